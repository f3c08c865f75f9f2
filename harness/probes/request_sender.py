"""Sends a file of requests open loop over HTTP, and says of each answer whether it was as expected.

An error status is a failed request; an answer that came and is not what its line expects is a wrong one. Nothing of the
stack is assumed but that it speaks HTTP.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp

from harness.model.readings import Answer
from harness.model.workload import WorkloadSpec
from harness.probes.http import NoAnswerError, at_path, read_body, read_json
from harness.probes.open_loop import OpenLoop, Record
from harness.probes.request_file import FileRequest, RequestFile

LEAD_S = 0.05
"""How long before its first request the sending begins."""
Due = tuple[int, FileRequest]
"""Which pass over the file, and the request."""


class RequestSender(OpenLoop[Due]):
    """Sends one file to one address."""

    def __init__(
        self,
        file: RequestFile,
        spec: WorkloadSpec,
        url: str,
        headers: Mapping[str, str],
        record: Record,
        origin_s: float,
    ) -> None:
        """Take the address and headers as they are to be used; `origin_s` is time.monotonic() at the run's 0."""
        super().__init__(spec.timeout_s, spec.slow_s, record, origin_s)
        self._file = file
        self._spec = spec
        self._url = url
        self._headers = dict(headers)
        self._run_to_unix = time.time() - time.monotonic() + origin_s

    def _schedule(self) -> Iterator[tuple[float, Due]]:
        start_s = self._now_s() + LEAD_S
        sent, turn = 0, 0
        while turn == 0 or self._spec.repeat:
            for request in self._file.requests:
                if self._spec.rate is not None:
                    yield start_s + sent / self._spec.rate, (turn, request)
                else:
                    yield start_s + turn * self._file.length_s + (request.offset_s or 0.0), (turn, request)
                sent += 1
            turn += 1

    async def _one(self, session: aiohttp.ClientSession, due: Due, due_s: float) -> None:
        turn, request = due
        sent_s = self._now_s()
        outcome: dict[str, Any] = {
            "id": request.id if turn == 0 else f"{request.id}#{turn + 1}",
            "at_event": int(due_s + self._run_to_unix),
            "due_s": due_s,
            "sent_s": sent_s,
        }
        try:
            async with (
                asyncio.timeout(self._limit_s(sent_s, due_s)),
                session.request(
                    request.method or self._spec.method,
                    self._url_of(request),
                    headers={**self._headers, **request.headers},
                    allow_redirects=False,
                    **_body(request),
                ) as response,
            ):
                body = await read_body(response)
        except TimeoutError:
            self._failed(outcome, f"no answer within {self._timeout_s:g} s")
            return
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._failed(outcome, f"{type(error).__name__}: {error}")
            return
        except asyncio.CancelledError:
            self._failed(outcome, "the run ended before the answer came")
            raise
        done_s = self._now_s()
        try:
            judged = self._judged(request, response.status, response.headers, body)
        except NoAnswerError as error:
            self._failed(outcome, str(error), done_s)
        else:
            slow = done_s - due_s > self._slow_s
            self._record(Answer(**outcome, done_s=done_s, ok=True, slow=slow, **judged))

    def _url_of(self, request: FileRequest) -> str:
        return self._url if request.path is None else self._url.rstrip("/") + request.path

    def _judged(self, request: FileRequest, status: int, headers: Any, body: bytes) -> dict[str, Any]:
        """Return what the answer is: flagged, wrong, and why. Raises NoAnswerError for one that is a failure."""
        expect = request.expect
        taken = 200 <= status <= 299 if expect is None else expect.takes(status)
        # Where a status is named, another answer that is no error is one, and the wrong one.
        if not taken and (status >= 400 or expect is None or not expect.status):
            raise NoAnswerError(f"status {status}")
        said = None
        if self._spec.flagged is not None or (expect is not None and expect.values):
            said = self._parsed(expect is not None and bool(expect.values), body)
        why = f"the status is {status}" if not taken else None
        if expect is not None and why is None:
            why = expect.header_differs(headers) or (expect.differs(said) if expect.values else None)
        wrong = None if expect is None else why is not None
        return {"flagged": self._flag(said), "wrong": wrong, "why": why}

    def _parsed(self, needed: bool, body: bytes) -> Any:
        try:
            return read_json(body)
        except ValueError as error:
            if not needed:
                return None
            raise NoAnswerError(f"the answer is not JSON: {error}") from None

    def _flag(self, said: Any) -> str | None:
        if self._spec.flagged is None:
            return None
        try:
            found = at_path(said, self._spec.flagged)
        except NoAnswerError:
            return None
        if found in (None, False, "", 0):
            return None
        return "flagged" if found is True else str(found)[:200]


def _body(request: FileRequest) -> dict[str, Any]:
    """Return the body as aiohttp takes it: a text as it stands, all else as JSON."""
    if request.body is None:
        return {}
    if isinstance(request.body, str):
        return {"data": request.body.encode()}
    if any(name.lower() == "content-type" for name in request.headers):
        return {"data": json.dumps(request.body).encode()}
    return {"json": request.body}
