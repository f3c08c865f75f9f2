"""The workload that a stack's own tooling made: sent at its event times, each answer checked for being right and fresh.

Every answer becomes a record; one that does not come in time, or not in the documented form, is a failed one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aiohttp

from harness.model.eventtime import EventClock
from harness.model.readings import Answer
from harness.model.stack import WorkloadSpec
from harness.probes.http import read_body, read_json
from harness.probes.open_loop import CHECK_S, OpenLoop, Record
from harness.probes.verify import Checked, MalformedError, Verifier
from harness.probes.workload_file import Request, Workload


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
        origin_s: float,
    ) -> None:
        """`origin_s` is the value of time.monotonic() at which the run's clock stood at 0."""
        super().__init__(spec.timeout_s, spec.slow_s, record, origin_s)
        self._workload = workload
        self._url = url
        self._clock = clock
        self._verifier = verifier
        # The event clock is told in unix time; one offset, taken once, keeps the sending on the monotonic clock.
        self._unix_to_run = -time.time() + time.monotonic() - origin_s

    def _schedule(self) -> Iterator[tuple[float, Request]]:
        for request in self._workload.requests:
            yield self._clock.unix_of(request.at_event) + self._unix_to_run, request

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
        try:
            limit_s = self._limit_s(sent_s, due_s)
            async with asyncio.timeout(limit_s), session.post(self._url, json=request.body) as response:
                body = await read_body(response)
                status = response.status
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
        if status != 200:
            self._failed(outcome, f"status {status}", done_s)
            return
        try:
            answer = await self._checked(outcome, request, read_json(body), done_s)
        except (MalformedError, ValueError) as error:
            self._failed(outcome, f"not an answer of the documented form: {error}", done_s)
        else:
            self._record(answer)

    async def _checked(self, outcome: dict[str, Any], request: Request, said: dict[str, Any], done_s: float) -> Answer:
        try:
            async with asyncio.timeout(CHECK_S):
                checked = await self._verifier.check(request, said)
        except TimeoutError:
            checked = Checked(None, "there was no time to check it", False, {}, {})
        return Answer(
            **outcome,
            done_s=done_s,
            ok=True,
            slow=done_s - outcome["due_s"] > self._slow_s,
            flagged=said.get("fallback"),
            stale=checked.stale,
            wrong=checked.wrong,
            why=checked.why,
            ages=checked.ages,
            stamps=checked.stamps,
            version=said["model"].get("version"),
            score=float(said["score"]),
        )
