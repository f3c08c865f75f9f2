"""Faults that lie on one another: at the end of a run they come out newest first, and none is closed too early."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_runs import ScriptedFault, plan_of, small_description

from harness.journal.writer import JournalWriter
from harness.model.errors import BackendError, FaultError
from harness.model.fault import Confirmation
from harness.model.faultstep import FaultStep
from harness.model.stack import ServiceSpec
from harness.runner.faulting.driver import Driver, OpenUndo
from harness.runner.faulting.layers import Layers

EACH_S = 5.0
AT_MOST_S = 0.3
"""How long the revert of a newer fault lets an older one go first, where that is so wrong as to do so."""
STACK = small_description().model_copy(
    update={
        "services": {name: ServiceSpec(name=name, index=n, node=name) for n, name in enumerate(("server", "other"))}
    }
)


class Setting(ScriptedFault):
    """Sets what its service is set to, and sets it back to what it has found."""

    def __init__(self, name: str, found_in: dict[str, str], service: str, **script: Any) -> None:
        super().__init__(**script)
        self.name, self.all, self.service = name, found_in, service
        self.found = ""
        self.was_reverted = asyncio.Event()
        self.before_revert: Callable[[], Any] | None = None

    async def inject(self) -> None:
        self.found, self.all[self.service] = self.all[self.service], self.name
        await super().inject()

    async def revert(self, undo: dict[str, Any]) -> None:
        if self.before_revert is not None:
            await self.before_revert()
        await super().revert(undo)
        self.all[self.service] = self.found
        self.was_reverted.set()

    async def absent(self) -> Confirmation:
        return Confirmation(self.all[self.service] == self.name)


class Undo:
    """The undo of one fault: open until it is measured to be gone."""

    def __init__(self, open_ones: list[str], fault: str) -> None:
        self.open_ones, self.fault = open_ones, fault
        open_ones.append(fault)

    async def send_heartbeat(self) -> None:
        pass

    def in_flight(self, on: bool, /) -> None:
        pass

    def gone(self, evidence: Mapping[str, Any], /) -> None:
        self.open_ones.remove(self.fault)


class Bench:
    """Some faults of one run, each in by the time that the next goes in."""

    def __init__(self, folder: Path) -> None:
        self.settings = {"server": "as it was", "other": "as it was"}
        self.open: list[str] = []
        self.layers = Layers(STACK, lambda: self.open)
        self.faults: dict[str, Setting] = {}
        self.going: list[asyncio.Task[None]] = []
        names = [("one", "server"), ("two", "server"), ("beside", "other")]
        self.steps = {
            name: {"id": name, "at": "0s", "fault": "test.fault", "target": {"service": service}, "for": "60s"}
            for name, service in names
        }
        self.plan = plan_of("0s", "60s", timeline=list(self.steps.values()))
        self.journal = JournalWriter(folder / "journal.jsonl", self.plan)

    async def put_in(self, name: str, kind: str = "test.fault", **script: Any) -> Setting:
        step = next(step for step in self.plan.scenario.timeline if step.id == name)
        step = step.model_copy(update={"fault": kind})
        fault = self.faults[name] = Setting(name, self.settings, str(step.target.service), **script)
        covered_by = lambda: self.layers.covered_by(name)  # noqa: E731
        driver = Driver(
            step, fault, self.journal, lambda: None, lambda _: None, self._look, self._before, covered_by=covered_by
        )
        self.layers.drivers[name] = driver
        assert await driver.prepare()
        self.going.append(asyncio.create_task(driver.run()))
        await fault.went_in.wait()
        return fault

    async def _before(self, step: FaultStep, data: Mapping[str, Any], in_for_s: float) -> OpenUndo:
        return Undo(self.open, step.id)

    async def _look(self) -> None:
        pass

    async def heal(self, each_s: float = EACH_S) -> None:
        for task in self.going:
            task.cancel()
        await asyncio.wait(self.going)
        await asyncio.wait_for(self.layers.revert_all(each_s), self.layers.within_s(each_s) + 1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.journal.close()


def letting_go_first(bench: Bench, name: str) -> Callable[[], Any]:
    """Wait until the revert of that fault is over, or for long enough to see that it waits itself."""

    async def wait() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(bench.faults[name].was_reverted.wait(), AT_MOST_S)

    return wait


async def test_the_newer_of_two_on_one_service_comes_out_first(bench: Bench) -> None:
    await bench.put_in("one")
    newer = await bench.put_in("two")
    newer.before_revert = letting_go_first(bench, "one")
    await bench.heal()
    assert bench.settings["server"] == "as it was"
    assert bench.open == []


async def test_commands_may_lie_on_anything(bench: Bench) -> None:
    await bench.put_in("one")
    newer = await bench.put_in("beside", kind="command")
    older_was_in: list[bool] = []

    async def look() -> None:
        await letting_go_first(bench, "one")()
        older_was_in.append(bench.layers.drivers["one"].needs_revert)

    newer.before_revert = look
    await bench.heal()
    assert older_was_in == [True]
    assert bench.open == []


async def test_what_has_nothing_in_common_comes_out_side_by_side(bench: Bench) -> None:
    older, newer = await bench.put_in("one"), await bench.put_in("beside")
    both = asyncio.Barrier(2)
    older.before_revert = newer.before_revert = both.wait
    await bench.heal()
    assert bench.open == []
    assert set(bench.settings.values()) == {"as it was"}


@pytest.mark.parametrize("script", [{"revert": None}, {"revert": FaultError("no")}])
async def test_below_one_that_cannot_be_taken_out_nothing_is_closed(bench: Bench, script: dict[str, Any]) -> None:
    await bench.put_in("beside")
    older = await bench.put_in("one")
    await bench.put_in("two", **script)
    hangs = script["revert"] is None
    if hangs:
        with pytest.raises(BackendError, match=r"healing 'two' took longer than 0\.2 s"):
            await bench.heal(0.2)
    else:
        await bench.heal()
    assert "revert" in older.calls, "it is tried all the same"
    assert bench.open == ["one", "two"], "but the revert of the newer one may bring it back"


async def test_a_newer_one_that_comes_out_late_is_followed_by_those_below_it(bench: Bench) -> None:
    await bench.put_in("one")
    newer = await bench.put_in("two", revert=FaultError("no"))
    for name in ("two", "one"):
        await bench.layers.drivers[name].revert()
    assert bench.open == ["one", "two"]
    newer.script.clear()
    await bench.heal()
    assert bench.settings["server"] == "as it was"
    assert bench.open == []


async def test_two_reverts_of_one_fault_at_once_are_one(bench: Bench) -> None:
    fault = await bench.put_in("one")
    driver = bench.layers.drivers["one"]
    await asyncio.gather(driver.revert(), driver.revert())
    assert fault.calls.count("revert") == 1
    assert bench.open == []


async def test_each_of_a_row_has_its_own_time(bench: Bench) -> None:
    await bench.put_in("one")
    await bench.put_in("beside")
    assert bench.layers.within_s(EACH_S) == EACH_S
    await bench.put_in("two")
    assert bench.layers.within_s(EACH_S) == 2 * EACH_S
    await bench.heal()
