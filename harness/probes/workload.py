"""The workload: requests sent open loop, at their own times, whatever becomes of those before them.

Arrivals never wait for answers, so overload is not hidden; latency counts from the moment at which a request was due.
Every answer becomes a record, checked for being right and fresh; one that does not come in time is a failed one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from harness.model.eventtime import EventClock
from harness.model.readings import Answer, Gap
from harness.model.stack import WorkloadSpec
from harness.probes.http import read_body, read_json
from harness.probes.verify import Checked, MalformedError, Verifier
from harness.probes.workload_file import Request, Workload

Record = Callable[[Answer | Gap], object]
FOREVER_S = 1e9
CHECK_S = 6.0
"""How long an answer may be checked: reading its model's artefact takes most of it."""


class Sender:
    """Sends one workload to one address."""

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
        self._workload = workload
        self._spec = spec
        self._url = url
        self._clock = clock
        self._verifier = verifier
        self._record = record
        self._origin_s = origin_s
        # The event clock is told in unix time; one offset, taken once, keeps the sending on the monotonic clock.
        self._unix_to_run = -time.time() + time.monotonic() - origin_s
        self._open: dict[asyncio.Task[None], float] = {}
        self._next_due_s = math.inf
        self._error: BaseException | None = None

    async def run(self) -> None:
        """Send until the workload ends or the task is cancelled; a workload that ends is a gap."""
        # Shorter than servers keep idle connections: one that closes as a request goes out would look like a failure.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            try:
                await self._send_all(session)
            finally:
                await self._finish()

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        first_s = self._now_s()
        for request in self._workload.requests:
            due_s = self._clock.unix_of(request.at_event) + self._unix_to_run
            if due_s < first_s:
                continue
            self._next_due_s = due_s
            wait_s = due_s - self._now_s()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            if self._error is not None:
                raise self._error
            task = asyncio.create_task(self._one(session, request, due_s))
            self._open[task] = due_s
            task.add_done_callback(self._close)
        self._next_due_s = math.inf
        ended_s = self._now_s()
        self._record(Gap(probe="workload", from_s=ended_s, to_s=FOREVER_S, why="the workload had come to its end"))

    def _close(self, task: asyncio.Task[None]) -> None:
        self._open.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self._error = task.exception()

    def settled_s(self) -> float:
        """Return until when, on the run's clock, every request that was due has its answer."""
        return min(self._next_due_s, self._now_s(), *self._open.values()) - 1e-6

    async def _finish(self) -> None:
        """Wait for the answers that are still due, for as long as they may take."""
        if self._open:
            await asyncio.wait(set(self._open), timeout=self._spec.timeout_s + CHECK_S)
        left = set(self._open)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        if self._error is not None:
            raise self._error

    def _now_s(self) -> float:
        return time.monotonic() - self._origin_s

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
        limit_s = max(0.001, self._spec.timeout_s - (sent_s - due_s))
        try:
            async with asyncio.timeout(limit_s), session.post(self._url, json=request.body) as response:
                body = await read_body(response)
                status = response.status
        except TimeoutError:
            self._failed(outcome, f"no answer within {self._spec.timeout_s:g} s")
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

    def _failed(self, outcome: dict[str, Any], why: str, done_s: float | None = None) -> None:
        done_s = self._now_s() if done_s is None else done_s
        slow = done_s - outcome["due_s"] > self._spec.slow_s
        self._record(Answer(**outcome, done_s=done_s, ok=False, error=why, slow=slow))

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
            slow=done_s - outcome["due_s"] > self._spec.slow_s,
            flagged=said.get("fallback"),
            stale=checked.stale,
            wrong=checked.wrong,
            why=checked.why,
            ages=checked.ages,
            stamps=checked.stamps,
            version=said["model"].get("version"),
            score=float(said["score"]),
        )
