"""Requests sent open loop: each at its own time, whatever becomes of those before it.

Arrivals never wait for answers, so overload is not hidden; latency counts from the moment at which a request was due.
Subclasses decide what is sent and which answer is right.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import aiohttp

from harness.journal.clock import Clock
from harness.model.readings import Answer, Gap
from harness.probes.http import read_body
from harness.probes.reader import is_own, short_reason

Record = Callable[[Answer | Gap], object]
FOREVER_S = 1e9
CHECK_S = 6.0
"""How long an answer may be checked: reading its model's artefact takes most of it."""
Item = TypeVar("Item")


class OpenLoop(Generic[Item]):
    """Sends one workload and records the outcome of every request that was due."""

    def __init__(self, timeout_s: float, slow_s: float, record: Record, run_clock: Clock) -> None:
        self._timeout_s = timeout_s
        self._slow_s = slow_s
        self._record = record
        self._now_s = run_clock.now_s
        self._open: dict[asyncio.Task[None], float] = {}
        self._next_due_s = math.inf
        self._error: BaseException | None = None

    def _schedule(self) -> Iterator[tuple[float, Item]]:
        """Yield what is to be sent and when it is due, on the run's clock, in order."""
        raise NotImplementedError

    async def _one(self, session: aiohttp.ClientSession, request: Item, due_s: float) -> None:
        """Send one request and record exactly one answer, or one gap."""
        raise NotImplementedError

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
        for due_s, request in self._schedule():
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
            await asyncio.wait(set(self._open), timeout=self._timeout_s + CHECK_S)
        left = set(self._open)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        if self._error is not None:
            raise self._error

    async def _exchange(
        self, session: aiohttp.ClientSession, outcome: dict[str, Any], method: str, url: str, **more: Any
    ) -> tuple[aiohttp.ClientResponse, bytes] | None:
        """Send a request and return its answer, read whole; None where there is none, which is recorded as a failure.

        A request that the harness itself could not send is a gap.
        `outcome` has the fields of an Answer that are known before one comes.
        """
        try:
            limit_s = self._limit_s(outcome["sent_s"], outcome["due_s"])
            async with asyncio.timeout(limit_s), session.request(method, url, **more) as response:
                return response, await read_body(response)
        except TimeoutError:
            self._failed(outcome, f"no answer within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError, MemoryError) as error:
            why = f"{type(error).__name__}: {error}"
            if is_own(error):
                self._record(Gap(probe="workload", from_s=outcome["due_s"], to_s=self._now_s(), why=short_reason(why)))
            elif isinstance(error, RuntimeError | MemoryError):
                raise  # a mistake of the harness: nothing is known of the stack
            else:
                self._failed(outcome, why, unread=isinstance(error, ValueError))
        except asyncio.CancelledError:
            self._failed(outcome, "the run ended before the answer came")
            raise
        return None

    def _limit_s(self, sent_s: float, due_s: float) -> float:
        """Return how long a request that was sent now may still take."""
        return max(0.001, self._timeout_s - (sent_s - due_s))

    def _failed(self, outcome: dict[str, Any], why: str, done_s: float | None = None, *, unread: bool = False) -> None:
        """Record a failure: nothing came, or an error; or what is `unread`, which another client may take as right."""
        done_s = self._now_s() if done_s is None else done_s
        slow = done_s - outcome["due_s"] > self._slow_s
        self._record(Answer(**outcome, done_s=done_s, ok=False, error=why, slow=slow, wrong=None if unread else False))
