"""The driver of one fault: whatever fails or hangs on the way is written down, costs bounded time, and is healed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_runs import ScriptedFault, plan_of

from harness.journal.files import read
from harness.journal.writer import JournalWriter
from harness.model.errors import BackendError, FaultError, JournalError
from harness.model.fault import Confirmation
from harness.model.faultstep import FaultStep
from harness.model.hitrows import HitRow
from harness.model.readings import Body, FaultSeen, Hit, Undo
from harness.runner.faulting import driver as faulting
from harness.runner.faulting.driver import Driver, OpenUndo


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREPARE_S", "INJECT_S", "CONFIRM_S", "REVERT_S", "ABSENT_S"):
        monkeypatch.setattr(faulting, name, 0.05)


async def nothing() -> None:
    """Take no time."""


class SessionRunner:
    """A driver with its fault and its journal."""

    def __init__(self, folder: Path, untold: str | None = None, **script: Any) -> None:
        plan = plan_of("0s", "0.2s")
        self.fault = ScriptedFault(**script)
        self.looks = 0
        self.undo: list[tuple[str, dict[str, Any], float]] = []
        self.absences: list[dict[str, Any]] = []
        self.calls_in_flight: list[tuple[bool, int]] = []
        self.undo_fails: JournalError | None = None
        self.heartbeat: Callable[[], Awaitable[None]] = nothing
        self.looking: Callable[[], Awaitable[None]] = nothing
        self.hits: set[HitRow] = set()
        self.journal = JournalWriter(folder / "journal.jsonl", plan)
        step = plan.scenario.timeline[0]
        self.driver = Driver(
            step, self.fault, self.journal, lambda: 7, self.hits.add, self._look, self._before, untold=untold
        )

    async def _before(self, step: FaultStep, data: Mapping[str, Any], in_for_s: float) -> OpenUndo:
        if self.undo_fails is not None:
            raise self.undo_fails
        assert not self.fault.on, "the undo is there before the fault is in"
        self.undo.append((step.id, dict(data), in_for_s))
        return self

    async def send_heartbeat(self) -> None:
        await self.heartbeat()

    def in_flight(self, on: bool, /) -> None:
        self.calls_in_flight.append((on, len(self.fault.calls)))

    def gone(self, evidence: Mapping[str, Any], /) -> None:
        self.absences.append(dict(evidence))

    async def _look(self) -> None:
        self.looks += 1
        if self.undo:
            await self.looking()

    def bodies(self, *kinds: type[Body]) -> list[Any]:
        return [line.body for line in read(self.journal.path).lines if isinstance(line.body, kinds)]

    def stages(self) -> list[str]:
        """Return the stages, those that come again once."""
        told = [seen.stage for seen in self.bodies(FaultSeen)]
        return [s for k, s in enumerate(told) if k == 0 or told[k - 1] != s]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    made: list[SessionRunner] = []

    def make(**script: Any) -> SessionRunner:
        made.append(SessionRunner(tmp_path, **script))
        return made[0]

    yield make
    for one in made:
        one.journal.close()


async def test_a_fault_that_does_as_it_should(bench: Any) -> None:
    it = bench(rows=[{"entity": "JFK", "event_time": 5, "field": "delay", "before": 1, "after": 2}])
    assert await it.driver.prepare()
    assert it.bodies(Undo)[0].data == {"put": "back"}
    await it.driver.run()
    assert it.stages() == ["injecting", "injected", "confirmed", "reverting", "reverted"]
    assert it.fault.calls[:2] == ["prepare", "inject"]
    assert it.looks == 2, "the alert sources are read just before, and again once it has begun"
    assert it.hits == {HitRow("JFK", 5, "delay")}
    assert it.bodies(Hit)[0].rows[0]["after"] == 2
    assert not it.fault.on
    (undo,) = it.undo
    assert undo[:2] == ("it", {"put": "back"})
    assert undo[2] > 0.2, "it may be in for as long as planned, and for as long as the calls may take"
    assert it.absences == [{}]
    revert = it.fault.calls.index("revert")
    assert it.calls_in_flight == [(True, 1), (False, 2), (True, revert)], "around each call that changes something"
    await it.driver.revert()
    assert it.fault.calls.count("revert") == 1
    assert len(it.absences) == 1


async def test_without_its_undo_on_disk_a_fault_does_not_go_in(bench: Any) -> None:
    it = bench()
    assert await it.driver.prepare()
    it.undo_fails = JournalError("no room")
    await it.driver.run()
    assert it.fault.calls == ["prepare"]
    assert not it.driver.needs_revert
    assert it.stages() == ["failed"]


@pytest.mark.parametrize("error", [FaultError("no"), BackendError("gone"), KeyError("a mistake"), None])
async def test_preparing_fails(bench: Any, error: Exception | None) -> None:
    it = bench(prepare=error)
    assert await it.driver.prepare() is False
    assert it.stages() == ["failed"]
    assert it.bodies(FaultSeen)[0].evidence["doing"] == "prepare"
    await it.driver.revert()
    assert it.fault.calls == ["prepare"], "what never went in is not taken out"


@pytest.mark.parametrize("error", [FaultError("no"), BackendError("gone"), ZeroDivisionError(), None])
async def test_injecting_fails_or_hangs_and_is_reverted(bench: Any, error: Exception | None) -> None:
    it = bench(inject=error)
    await it.driver.prepare()
    await it.driver.run()
    assert it.stages() == ["injecting", "failed", "reverting", "reverted"]
    assert "revert" in it.fault.calls


@pytest.mark.parametrize("error", [FaultError("no"), ValueError("odd"), None])
async def test_confirming_fails_or_hangs_and_goes_on(bench: Any, error: Exception | None) -> None:
    it = bench(confirm=error)
    await it.driver.prepare()
    await it.driver.run()
    assert it.stages() == ["injecting", "injected", "effect", "reverting", "reverted"]
    effects = [seen for seen in it.bodies(FaultSeen) if seen.stage == "effect"]
    assert effects
    assert all(seen.landed is None and "error" in seen.evidence for seen in effects)


async def test_an_effect_that_comes_late_is_confirmed_when_it_does(bench: Any) -> None:
    it = bench(landings=[Confirmation(False), Confirmation(None), Confirmation(True, {"seen": 1}), Confirmation(False)])
    await it.driver.prepare()
    await it.driver.run()
    told = [(seen.stage, seen.landed) for seen in it.bodies(FaultSeen) if seen.stage in ("effect", "confirmed")]
    assert told[:3] == [("effect", False), ("effect", None), ("confirmed", True)]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (FaultError("no"), "no"),
        (OSError("odd"), "reverting failed: OSError: odd"),
        (None, "reverting took longer than 0.05 s"),
    ],
)
async def test_reverting_fails_or_hangs_and_can_be_tried_again(bench: Any, error: Exception | None, why: str) -> None:
    it = bench(revert=error)
    await it.driver.prepare()
    await it.driver.run()
    assert it.stages()[-1] == "failed"
    assert it.bodies(FaultSeen)[-1].evidence == {"doing": "revert", "error": why}
    assert it.driver.needs_revert
    it.fault.script["revert"] = "fine"
    await it.driver.revert()
    assert it.stages()[-2:] == ["reverting", "reverted"]
    assert not it.fault.on


async def test_a_fault_whose_absence_is_never_measured(bench: Any) -> None:
    it = bench(absent=Confirmation(True, {"left": 1}))
    await it.driver.prepare()
    await it.driver.run()
    failed = it.bodies(FaultSeen)[-1]
    assert failed.stage == "failed"
    assert "still active" in failed.evidence["error"]
    assert it.driver.needs_revert


async def test_cancelled_anywhere_it_can_still_be_reverted(bench: Any) -> None:
    it = bench()
    await it.driver.prepare()
    running = asyncio.create_task(it.driver.run())
    await it.fault.went_in.wait()
    running.cancel()
    await asyncio.wait([running])
    assert it.driver.needs_revert
    await it.driver.revert()
    assert not it.fault.on


@pytest.mark.parametrize("where", ["heartbeat", "looking"])
async def test_cut_off_between_its_undo_and_its_injection_it_is_measured_to_be_gone(bench: Any, where: str) -> None:
    it = bench()
    await it.driver.prepare()
    there = asyncio.Event()

    async def for_ever() -> None:
        there.set()
        await asyncio.Event().wait()

    setattr(it, where, for_ever)
    running = asyncio.create_task(it.driver.run())
    await there.wait()
    running.cancel()
    await asyncio.wait([running])
    assert it.driver.needs_revert, "its undo is open"
    await it.driver.revert()
    assert it.fault.calls == ["prepare", "revert", "absent"]
    assert it.absences == [{}]
    assert not it.driver.needs_revert
    read(it.journal.path)


async def test_a_guard_that_is_not_told_keeps_the_fault_out_and_its_undo_is_closed(bench: Any) -> None:
    it = bench()
    await it.driver.prepare()

    async def lost() -> None:
        raise BackendError("the engine does not answer")

    it.heartbeat = lost
    await it.driver.run()
    assert it.fault.calls == ["prepare", "revert", "absent"]
    assert it.stages() == ["failed", "reverting", "reverted"]
    assert it.absences == [{}]


async def test_a_guard_in_a_container_that_does_not_answer_keeps_the_fault_out(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faulting, "SEND_UNDO_S", 0.01)
    it = bench()
    await it.driver.prepare()
    it.heartbeat = asyncio.Event().wait
    await it.driver.run()
    assert it.fault.calls == ["prepare", "revert", "absent"]
    assert "sending its undo to the guard in a container took longer" in it.bodies(FaultSeen)[0].evidence["error"]


async def test_a_full_disk_does_not_keep_the_fault_in(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    it = bench()
    await it.driver.prepare()
    running = asyncio.create_task(it.driver.run())
    await it.fault.went_in.wait()
    running.cancel()
    await asyncio.wait([running])

    def full(*_: object) -> int:
        raise JournalError("the journal cannot be written: No space left on device")

    monkeypatch.setattr(it.journal, "write", full)
    with pytest.raises(JournalError):
        await it.driver.revert()
    assert not it.fault.on
    assert not it.driver.needs_revert


async def test_rows_are_reported_with_whatever_is_known_of_them(bench: Any) -> None:
    it = bench(rows=[{"object": "a", "entity": None, "event_time": None, "field": "x"}, {"object": "b"}])
    await it.driver.prepare()
    await it.driver.run()
    assert len(it.bodies(Hit)[0].rows) == 2
    assert it.hits == {HitRow(None, None, "x", "a"), HitRow(None, None, None, "b")}


@pytest.mark.parametrize("event_time", ["soon", float("nan"), float("inf"), [1]])
def test_a_time_that_is_no_whole_number_is_none(event_time: Any) -> None:
    assert HitRow.of({"entity": 7, "event_time": event_time, "field": "x"}) == HitRow("7", None, "x")


async def test_a_fault_that_does_not_report_its_rows_says_so_before_it_goes_in(bench: Any) -> None:
    it = bench(untold="nobody knows")
    await it.driver.prepare()
    assert it.bodies(Hit) == []
    await it.driver.run()
    assert [(hit.rows, hit.untold) for hit in it.bodies(Hit)] == [((), "nobody knows")]
    stages = [type(body) if isinstance(body, Hit) else body.stage for body in it.bodies(Hit, FaultSeen)]
    assert stages.index(Hit) < stages.index("injected")
