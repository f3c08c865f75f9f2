"""Watches what a run stands on, from before its stack starts until its journal is closed: the machine and its clock.

Two tasks that know nothing of each other: what ends the one must not end the other. A look that fails is a gap that the
judge reads. The machine is looked at again a little later; what is read from the clock has no right value any more.
That the run itself was stopped (SIGSTOP) shows when it is continued (SIGCONT): no other sign of it is as sure.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from harness.journal.clock import Clock
from harness.model.backend import Roots
from harness.model.errors import JournalError
from harness.model.machine import MACHINE
from harness.model.readings import Gap, MachineSeen
from harness.probes.event_clock import ClockSteps
from harness.probes.machine import MachineWatcher
from harness.probes.open_loop import FOREVER_S
from harness.probes.polling import poll

AGAIN_S = 1.0


class Continuing:
    """Whether this process was continued (SIGCONT), as it is after it was stopped."""

    def __init__(self) -> None:
        self._told = False
        self._before: Any = None

    def start(self) -> None:
        """Listen from now on. Only the main thread of a process can."""
        if self._before is None and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGCONT, self._note)

    def stop(self) -> None:
        """Listen no more. Idempotent."""
        if self._before is not None:
            signal.signal(signal.SIGCONT, self._before)
            self._before = None

    def _note(self, *_: object) -> None:
        self._told = True

    def take(self) -> bool:
        """Return whether it was since the last call."""
        told, self._told = self._told, False
        return told


class MachineWatch:
    """The machine and its wall clock, watched for one run."""

    def __init__(
        self,
        clock: Clock,
        record: Callable[[MachineSeen | Gap], object],
        roots: Callable[[], Roots],
        by_the_clock: Iterable[str],
    ) -> None:
        """`by_the_clock` names what is read from the wall clock."""
        self._clock = clock
        self._record = record
        self._roots = roots
        self._by_the_clock = tuple(by_the_clock)
        self._tasks: list[asyncio.Task[None]] = []
        self._continuing = Continuing()
        self.error: JournalError | None = None
        """The first error of the journal's disk that was met here."""

    def start(self) -> None:
        """Start watching."""
        self._continuing.start()
        self._tasks = [asyncio.create_task(self._kept(watch())) for watch in (self._watch_machine, self._watch_clock)]

    def stop(self) -> JournalError | None:
        """Stop watching, and return the error of the disk that was met meanwhile. Idempotent."""
        self._continuing.stop()
        for task in self._tasks:
            task.cancel()
        return self.error

    async def _kept(self, watch: Coroutine[None, None, None]) -> None:
        try:
            await watch
        except JournalError as error:
            self.error = self.error or error

    async def _watch_machine(self) -> None:
        looked_s = self._clock.now_s()
        while True:
            try:
                watcher = MachineWatcher(self._clock, self._record, self._roots, continued=self._continuing.take)

                async def look(planned_s: float, watcher: MachineWatcher = watcher) -> None:
                    nonlocal looked_s
                    await watcher.once(planned_s)
                    looked_s = self._clock.now_s()

                await poll(self._clock, look)
            except JournalError:
                raise
            except Exception as error:  # noqa: BLE001 - a platform that tells it in another form, or for once nothing
                again_s = self._clock.now_s() + AGAIN_S
                self._gap(MACHINE, looked_s, again_s, error)
                looked_s = again_s
                await asyncio.sleep(AGAIN_S)

    async def _watch_clock(self) -> None:
        looked_s = self._clock.now_s()
        try:
            steps = ClockSteps(self._clock, self._record, self._by_the_clock)

            async def look(_: float) -> None:
                nonlocal looked_s
                steps.look()
                looked_s = self._clock.now_s()

            await poll(self._clock, look)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, a step of the clock would go unnoticed from now on
            for probe in self._by_the_clock:
                self._gap(probe, looked_s, FOREVER_S, error)

    def _gap(self, probe: str, from_s: float, to_s: float, error: Exception) -> None:
        self._record(Gap(probe=probe, from_s=from_s, to_s=to_s, why=f"{type(error).__name__}: {error}"))
