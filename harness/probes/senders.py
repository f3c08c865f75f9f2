"""The two senders of work: a workload made by the stack's own tooling, and a file of requests.

Both send open loop, and every request that was due becomes one Answer. A made workload goes out at its event times, and
each answer is checked for being right and fresh; an answer in another format than the documented one is a failure. What
an answer to a file of requests is, `file_answers` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp

from harness.journal.clock import Clock
from harness.model.eventtime import EventClock
from harness.model.readings import Answer
from harness.model.workload import WorkloadSpec
from harness.probes.file_answers import judge_answer
from harness.probes.http import request_body
from harness.probes.open_loop import OpenLoop, Record
from harness.probes.reader import NoAnswerError
from harness.probes.request_file import FileRequest, RequestFile, url_of
from harness.probes.strict_json import read_json
from harness.probes.verify import MalformedError, Verifier
from harness.probes.workload_file import Request, Workload

ERROR_STATUS = 400
"""The lowest status by which a server says that it gives no answer."""
LEAD_S = 0.05
"""How long before its first request the sending of a file begins."""
Due = tuple[int, FileRequest]
"""Which pass over the file, and the request."""


class Sender(OpenLoop[Request]):
    """Sends one workload, made for the stack's event time, to one address."""

    def __init__(
        self,
        workload: Workload,
        spec: WorkloadSpec,
        url: str,
        clock: EventClock,
        verifier: Verifier,
        record: Record,
        run_clock: Clock,
    ) -> None:
        super().__init__(spec.timeout_s, spec.slow_s, record, run_clock)
        self._workload = workload
        self._url = url
        self._clock = clock
        self._verifier = verifier
        # The event clock speaks unix time; one offset, taken once, keeps the sending on the monotonic clock.
        self._unix_at_zero_s = run_clock.unix_at_zero_s()

    def _schedule(self) -> Iterator[tuple[float, Request]]:
        for request in self._workload.requests:
            yield self._clock.unix_of(request.at_event) - self._unix_at_zero_s, request

    async def _one(self, session: aiohttp.ClientSession, request: Request, due_s: float) -> None:
        sent_s = self._now_s()
        outcome = {
            "id": request.id,
            "entity": request.body.get(self._workload.entity_field or ""),
            "at_event": request.at_event,
            "due_s": due_s,
            "sent_s": sent_s,
            "outcome": request.outcome,
            "outcome_at": request.outcome_at,
        }
        answered = await self._exchange(session, outcome, "POST", self._url, json=request.body)
        if answered is None:
            return
        response, body = answered
        done_s = self._now_s()
        if response.status != 200:
            self._failed(outcome, f"status {response.status}", done_s, unread=response.status < ERROR_STATUS)
            return
        try:
            answer = await self._checked(outcome, request, read_json(body), done_s)
        except (MalformedError, ValueError) as error:
            self._failed(outcome, f"not an answer in the documented format: {error}", done_s, unread=True)
        else:
            self._record(answer)

    async def _checked(
        self, outcome: dict[str, Any], request: Request, content: dict[str, Any], done_s: float
    ) -> Answer:
        checked = await self._verifier.check(request, content)
        return Answer(
            **outcome,
            done_s=done_s,
            ok=True,
            slow=done_s - outcome["due_s"] > self._slow_s,
            flagged=content.get("fallback") or None,
            stale=checked.stale,
            wrong=checked.wrong,
            why=checked.why,
            ages=checked.ages,
            stamps=checked.stamps,
            version=content["model"].get("version"),
            score=float(content["score"]),
        )


class RequestSender(OpenLoop[Due]):
    """Sends one file to one address."""

    def __init__(
        self,
        file: RequestFile,
        spec: WorkloadSpec,
        url: str,
        headers: Mapping[str, str],
        record: Record,
        run_clock: Clock,
    ) -> None:
        """Take the address and headers as they are to be used."""
        super().__init__(spec.timeout_s, spec.slow_s, record, run_clock)
        self._file = file
        self._spec = spec
        self._url = url
        self._headers = dict(headers)
        self._unix_at_zero_s = run_clock.unix_at_zero_s()

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
            "at_event": int(due_s + self._unix_at_zero_s),
            "due_s": due_s,
            "sent_s": sent_s,
        }
        answered = await self._exchange(
            session,
            outcome,
            request.method or self._spec.method,
            url_of(request, self._url),
            headers={**self._headers, **request.headers},
            allow_redirects=False,
            **request_body(request.body, request.headers),
        )
        if answered is None:
            return
        response, body = answered
        done_s = self._now_s()
        try:
            judged = judge_answer(request, self._spec.flagged, response.status, response.headers, body)
        except NoAnswerError as error:
            self._failed(outcome, str(error), done_s, unread=response.status < ERROR_STATUS)
        else:
            told = Answer(
                **outcome,
                done_s=done_s,
                ok=True,
                slow=done_s - due_s > self._slow_s,
                flagged=judged.flagged,
                wrong=judged.wrong,
                why=next(iter(judged.differences), None),
            )
            self._record(told)
