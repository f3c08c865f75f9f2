"""How a run keeps its sidecar: heartbeats that fail, hang or are refused, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

import pytest

from harness.journal.owner import LEASE_S
from harness.model.errors import BackendError
from harness.runner.safekeeping import sidecar_keeper
from harness.runner.safekeeping.sidecar_keeper import SidecarKeeper

LOST = "got no heartbeat for too long"


class FakeSidecar:
    """A sidecar without an engine."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.acted = False
        self.reached = True
        self.may_return = threading.Event()
        self.may_return.set()
        self.called = threading.Event()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.called.set()
        assert self.may_return.wait(30)
        if not self.reached:
            raise BackendError("not reached")

    def start(self) -> None:
        self._call("start")

    def beat(self) -> bool:
        self._call("beat")
        return self.acted

    def remove(self) -> None:
        self.calls.append("remove")

    def close(self) -> None:
        self.calls.append("close")


class Clock:
    """Moved by the test."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def sidecar() -> FakeSidecar:
    return FakeSidecar()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keeper(sidecar: FakeSidecar, clock: Clock) -> SidecarKeeper:
    it = SidecarKeeper(sidecar, clock)
    await it.start()
    sidecar.calls.clear()
    sidecar.called.clear()
    return it


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what it waits for happens in threads
            await asyncio.sleep(0.001)


def test_before_it_watches_there_is_nothing_to_check(sidecar: FakeSidecar, clock: Clock) -> None:
    it = SidecarKeeper(sidecar, clock)
    clock.now_s += 2 * LEASE_S
    it.check()


async def test_a_call_that_does_not_return_counts_as_no_heartbeat(
    keeper: SidecarKeeper, sidecar: FakeSidecar, clock: Clock
) -> None:
    sidecar.may_return.clear()
    hangs = asyncio.create_task(keeper.beat())
    assert await asyncio.to_thread(sidecar.called.wait, 30)
    clock.now_s += LEASE_S
    keeper.check()
    clock.now_s += 0.1
    with pytest.raises(BackendError, match=LOST):
        keeper.check()
    sidecar.may_return.set()
    await hangs


async def test_a_heartbeat_that_fails_is_repeated_until_the_lease_is_over(
    keeper: SidecarKeeper, sidecar: FakeSidecar, clock: Clock
) -> None:
    sidecar.reached = False
    keeps = asyncio.create_task(keeper.keep(every_s=0.0))
    await until(lambda: len(sidecar.calls) >= 6)
    assert sidecar.calls[:6] == ["beat", "start"] * 3, "where it has ended, it is started anew"
    keeper.check()
    clock.now_s += LEASE_S + 0.1
    await until(lambda: keeper.is_lost)
    sidecar.reached = True
    await until(lambda: sidecar.calls[-4:] == ["beat"] * 4)
    keeps.cancel()
    await asyncio.wait([keeps])
    with pytest.raises(BackendError, match=LOST):  # it has taken the faults out meanwhile
        keeper.check()


async def test_one_that_has_ended_is_started_anew_and_the_run_goes_on(
    keeper: SidecarKeeper, sidecar: FakeSidecar, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.now_s += LEASE_S - 1.0
    beats = iter([BackendError("no such container")])

    def beat() -> bool:
        for error in beats:
            raise error
        return False

    monkeypatch.setattr(sidecar, "beat", beat)
    await keeper.beat()
    assert sidecar.calls == ["start"]
    clock.now_s += LEASE_S - 1.0
    keeper.check()


async def test_one_that_has_taken_faults_out_ends_the_run(keeper: SidecarKeeper, sidecar: FakeSidecar) -> None:
    sidecar.acted = True
    await keeper.beat()
    with pytest.raises(BackendError, match=LOST):
        keeper.check()


async def test_the_last_heartbeat_starts_nothing_anew(keeper: SidecarKeeper, sidecar: FakeSidecar) -> None:
    sidecar.reached = False
    with pytest.raises(BackendError, match="not reached"):
        await keeper.last_beat()
    with pytest.raises(BackendError, match="not reached"):
        await keeper.beat()
    assert sidecar.calls == ["beat", "beat"]


async def test_the_end_does_not_wait_for_a_call_that_hangs(
    keeper: SidecarKeeper, sidecar: FakeSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecar_keeper, "END_WITHIN_S", 0.05)
    sidecar.may_return.clear()
    starts = asyncio.create_task(keeper.start())
    assert await asyncio.to_thread(sidecar.called.wait, 30)
    with pytest.raises(BackendError, match=r"the last heartbeat .* took longer than 0\.05 s"):
        await keeper.last_beat()
    sidecar.may_return.set()
    await starts
    assert sidecar.calls[-1] == "remove", "one that comes up after the end is not left"


async def test_it_is_removed_only_once_no_call_would_bring_it_back(keeper: SidecarKeeper, sidecar: FakeSidecar) -> None:
    sidecar.may_return.clear()
    beats = asyncio.create_task(keeper.beat())
    assert await asyncio.to_thread(sidecar.called.wait, 30)
    removes = asyncio.create_task(keeper.remove())
    for _ in range(100):
        await asyncio.sleep(0)
    assert sidecar.calls == ["beat"]
    sidecar.reached = False
    sidecar.may_return.set()
    await asyncio.wait([beats, removes])
    with contextlib.suppress(BackendError):
        beats.result()
    removes.result()
    assert sidecar.calls == ["beat", "remove"]
