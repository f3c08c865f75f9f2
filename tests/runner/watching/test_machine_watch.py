"""The machine and its clock are watched apart: what ends the one leaves the other, and nothing that fails is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.journal.clock import Clock
from harness.model.backend import Roots
from harness.model.errors import JournalError
from harness.model.readings import Gap, MachineSeen
from harness.probes import event_clock, machine
from harness.runner.watching import machine_watch
from harness.runner.watching.machine_watch import MachineWatch


class Watched:
    """One watch, and what it records."""

    def __init__(self, *by_the_clock: str) -> None:
        self.told: list[MachineSeen | Gap] = []
        self.watch = MachineWatch(Clock(), self.take, Roots, by_the_clock)

    def take(self, one: MachineSeen | Gap) -> None:
        self.told.append(one)

    def gaps(self, probe: str) -> list[Gap]:
        return [one for one in self.told if isinstance(one, Gap) and one.probe == probe]

    def looks(self) -> list[MachineSeen]:
        return [one for one in self.told if isinstance(one, MachineSeen)]

    async def until(self, condition: Callable[[], object]) -> None:
        self.watch.start()
        try:
            async with asyncio.timeout(5.0):
                while not condition():  # noqa: ASYNC110 - it polls
                    await asyncio.sleep(0.01)
        finally:
            self.watch.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_watch, "AGAIN_S", 0.05)


def failing(times: float, error: Exception, real: Any) -> Any:
    """Return a call that fails so many times, and is then what it was."""
    left = [times]

    def call(*args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return real(*args, **more)

    return call


@pytest.mark.parametrize("error", [ValueError("substring not found"), RuntimeError("odd"), MemoryError()])
@pytest.mark.parametrize("where", ["__init__", "once"])
async def test_a_look_at_the_machine_that_fails_is_a_gap_and_the_next_is_tried(
    where: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.MachineWatcher, where, failing(2, error, getattr(machine.MachineWatcher, where)))
    watched = Watched()
    await watched.until(watched.looks)
    first, second = watched.gaps("machine")
    assert first.why.startswith(type(error).__name__)
    assert second.from_s == first.to_s
    assert watched.looks()[0].from_s >= second.to_s, "the lost stretch is in no look"


async def test_steps_of_the_clock_are_noticed_though_the_machine_cannot_be_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine.MachineWatcher, "once", failing(1e9, ValueError("odd"), None))
    look, looked = event_clock.ClockSteps.look, asyncio.Event()

    def told(steps: event_clock.ClockSteps) -> None:
        look(steps)
        looked.set()

    monkeypatch.setattr(event_clock.ClockSteps, "look", told)
    watched, real = Watched("age"), time.time
    await_gap = watched.until(lambda: watched.gaps("age"))
    task = asyncio.create_task(await_gap)
    async with asyncio.timeout(5.0):
        await looked.wait()
    monkeypatch.setattr(time, "time", lambda: real() - 90.0)
    await task
    assert "the wall clock was set by -90.0 s" in watched.gaps("age")[0].why


@pytest.mark.parametrize("where", ["__init__", "look"])
async def test_what_is_read_from_a_clock_that_nobody_watches_is_unknown(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_clock.ClockSteps, where, failing(1e9, OSError("no clock"), None))
    watched = Watched("workload", "age")
    await watched.until(lambda: watched.gaps("age") and len(watched.looks()) > 1)
    for probe in ("workload", "age"):
        (gap,) = watched.gaps(probe)
        assert gap.to_s > 1e8
        assert gap.why == "OSError: no clock"


async def test_an_error_of_the_disk_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    error = JournalError("the journal cannot be written: No space left on device")
    watched = Watched()
    monkeypatch.setattr(watched, "take", failing(1e9, error, None))
    watched.watch = MachineWatch(Clock(), watched.take, Roots, ())
    await watched.until(lambda: watched.watch.error)
    assert watched.watch.stop() is error


async def test_a_process_that_is_continued_is_noted_once_and_only_while_watched() -> None:
    before = signal.getsignal(signal.SIGCONT)
    watched = Watched()

    def told() -> bool:
        if len(watched.looks()) == 1:
            os.kill(os.getpid(), signal.SIGCONT)
        return len(watched.looks()) >= 4

    await watched.until(told)
    assert [one.continued for one in watched.looks()].count(True) == 1
    assert signal.getsignal(signal.SIGCONT) is before
