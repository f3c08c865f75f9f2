"""Guardrails of a whole run on a small stack: what aborts it, what does not, and what is left of the faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import ScriptedFault, SmallBackend, SmallStack, plan_of, scripted, small_description, write_workload

from harness.journal.files import read
from harness.judge import judge
from harness.judge.aborting import aborted
from harness.judge.facts import gather
from harness.model.errors import FaultError
from harness.model.readings import Abort, FaultSeen, Phase, Stop
from harness.runner.execution import script
from harness.runner.execution.run import Run
from harness.runner.progress import Progress
from harness.runner.safekeeping.latch import STATE, set_latch
from harness.runner.safekeeping.running import runs
from harness.runner.watching import gate, settling

pytestmark = pytest.mark.slow
HALF = {"probe": "availability", "at_most": 0.5, "over": "300ms"}


class Breaking(ScriptedFault):
    """A fault that breaks the stack while it is in."""

    def __init__(self, stack: SmallStack, **script: Any) -> None:
        super().__init__(**script)
        self.stack = stack

    async def inject(self) -> None:
        await super().inject()
        self.stack.broken = True

    async def revert(self, undo: dict[str, Any]) -> None:
        await super().revert(undo)
        self.stack.broken = False


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STATE, str(tmp_path / "state"))
    return tmp_path / "state"


class Driven:
    """A run of a stack that its fault breaks."""

    def __init__(self, folder: Path, address: str, fault: Breaking) -> None:
        self.folder = folder / "runs" / "small"
        self.backend = SmallBackend(addresses={"server": address}, states={"server": "S"})
        self.fault = fault
        self.progress: list[Progress] = []
        workload = folder / "runs" / "workloads" / "small-default-120h.jsonl"
        workload.parent.mkdir(parents=True)
        write_workload(workload)

    async def go(self, *rules: dict[str, Any], at: str = "50ms", lasts: str = "8s", **changes: Any) -> Any:
        plan = plan_of(at, lasts, abort_if=list(rules), **changes)
        run = Run(plan, small_description(), self.backend, self.folder, self.progress.append)
        self.outcome = await asyncio.wait_for(run.go(), 30)
        assert self.outcome.error is None
        return read(self.folder)

    def at(self, text: str, act: Callable[[], object]) -> None:
        """Act in the moment in which the run tells of something."""
        inner = self.progress.append

        def told(step: Progress) -> None:
            inner(step)
            if step.text == text:
                act()

        self.progress = type("Told", (list,), {"append": staticmethod(told)})()


@pytest.fixture
async def stack() -> AsyncIterator[tuple[SmallStack, str]]:
    small = SmallStack()
    async with small.serving() as address:
        yield small, address


@pytest.fixture
def driven(tmp_path: Path, stack: tuple[SmallStack, str], monkeypatch: pytest.MonkeyPatch) -> Driven:
    made = Driven(tmp_path, stack[1], Breaking(stack[0]))
    monkeypatch.setattr(script, "Faults", lambda: scripted(made.fault))
    monkeypatch.setattr(settling, "LEAST_S", 0.1)
    monkeypatch.setattr(gate, "SANE", tuple(bound.model_copy(update={"over": 0.2}) for bound in gate.SANE))
    return made


def abort_value(journal: Any) -> str:
    """What the guardrail makes of the run. On a machine that makes the harness late, the run as a whole is unknown."""
    found = aborted(gather(journal))
    assert found is not None
    assert found.reason in judge(journal).reasons[0]
    return str(found.value)


def the_abort(journal: Any) -> tuple[int, Abort]:
    [found] = journal.of(Abort)
    return found


async def test_a_bound_that_holds_reverts_the_fault_and_ends_the_run(driven: Driven) -> None:
    journal = await driven.go(HALF)
    assert journal.closed.reason == "aborted"
    n, abort = the_abort(journal)
    assert (abort.why, abort.rule) == ("probe", "availability at most 0.5 over 300ms")
    assert abort.value is not None
    assert abort.value <= 0.5
    assert abort.at_s - abort.from_s == pytest.approx(0.3)
    injected = journal.fault_stage("it", "injected")[1]
    assert abort.from_s >= injected.lo_s, "its window is under the fault"
    assert all(journal.lines[line - 1].body.kind == "answer" for line in abort.lines)
    reverted = journal.fault_stage("it", "reverted")
    assert reverted is not None
    assert reverted[0] > n
    assert reverted[1].hi_s < injected.lo_s + 8, "long before its time"
    assert not driven.fault.on
    assert [phase.phase for _, phase in journal.of(Phase)][-2:] == ["healing", "stopping"]
    assert driven.backend.calls[-1] == "stop"
    assert abort_value(journal) == "fail"
    assert judge(journal).reasons[0].startswith("aborted by guardrail: availability at most 0.5 over 300ms")
    assert any("aborted by guardrail" in step.text for step in driven.progress)


async def test_a_bound_that_never_holds_changes_nothing(driven: Driven) -> None:
    journal = await driven.go({"probe": "flagged_answers", "at_least": 0.9, "over": "300ms"}, lasts="700ms")
    assert journal.closed.reason == "completed"
    assert not journal.of(Abort)


async def test_every_fault_is_reverted_at_once_and_one_that_hangs_keeps_no_other_in(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {name: Breaking(driven.fault.stack) for name in ("one", "two")}
    kinds["two"].script["revert"] = None
    table = scripted(driven.fault)["test.fault"]

    def make(step: Any, *_: Any) -> Any:
        return kinds[step.id]

    made = type(table)("test.fault", "", ("service",), table.parameters, make, changes="rows")
    monkeypatch.setattr(script, "Faults", lambda: {"test.fault": made})
    monkeypatch.setattr("harness.runner.faulting.driver.REVERT_S", 0.3)
    step = {"at": "0s", "fault": "test.fault", "target": {"service": "server"}, "for": "8s"}
    journal = await driven.go(HALF, timeline=[{"id": name, **step} for name in ("two", "one")])
    assert journal.fault_stage("one", "reverted") is not None
    assert journal.fault_stage("two", "reverted") is None
    reverting = [journal.fault_stage(name, "reverting")[1].lo_s for name in ("one", "two")]
    assert abs(reverting[0] - reverting[1]) < 0.25, "neither waits for the other"
    verdict = judge(journal)
    assert abort_value(journal) == "fail"
    assert any("never measured to be gone" in clause.reason for clause in verdict.clauses)


async def test_an_alert_aborts(driven: Driven, stack: tuple[SmallStack, str]) -> None:
    inject = driven.fault.inject

    async def inject_and_alert() -> None:
        await inject()
        stack[0].alerts = [{"labels": {"alertname": "Down", "zone": "a"}, "state": "firing"}]

    driven.fault.inject = inject_and_alert  # type: ignore[method-assign]
    journal = await driven.go({"alert": "Other"}, {"alert": "Down", "labels": {"zone": "a"}})
    n, abort = the_abort(journal)
    assert (abort.why, abort.rule, abort.measured) == ("alert", "the alert Down{zone=a} fires", "Down{zone=a}")
    assert [journal.lines[line - 1].body.kind for line in abort.lines] == ["alerts"]
    assert judge(journal).reasons[0].endswith(f"journal line {n})")
    assert not driven.fault.on


async def test_before_any_fault_it_aborts_too_and_the_verdict_is_unknown(
    driven: Driven, stack: tuple[SmallStack, str]
) -> None:
    driven.at("baseline", lambda: setattr(stack[0], "broken", True))
    journal = await driven.go(HALF, at="6s")
    assert journal.closed.reason == "aborted"
    assert driven.fault.calls == ["prepare"], "nothing went in"
    verdict = judge(journal)
    assert verdict.value == "unknown"
    assert "no fault was in" in verdict.reasons[0]


@pytest.mark.parametrize("twin", ["control", "misfire"])
async def test_twins_have_the_same_rules(driven: Driven, stack: tuple[SmallStack, str], twin: str) -> None:
    driven.at("fault it", lambda: setattr(stack[0], "broken", True))
    journal = await driven.go(HALF, twin=twin)
    assert journal.closed.reason == "aborted"
    assert (driven.fault.calls == []) is (twin == "control")


async def test_a_revert_that_fails_breaks_the_limit_of_time(driven: Driven) -> None:
    driven.fault.script["revert"] = FaultError("the cloud does not answer")
    journal = await driven.go(lasts="300ms", limits={"fault_time": "300ms"}, observe="10s")
    assert the_abort(journal)[1].why == "fault_time"
    assert driven.fault.calls.count("revert") == 2, "it is tried again"
    assert abort_value(journal) == "fail"


async def test_a_revert_that_hangs_breaks_the_limit_of_time(driven: Driven) -> None:
    revert, tried = driven.fault.revert, []

    async def at_the_second_try(undo: dict[str, Any]) -> None:
        tried.append(undo)
        if len(tried) == 1:
            await asyncio.Event().wait()
        await revert(undo)

    driven.fault.revert = at_the_second_try  # type: ignore[method-assign]
    journal = await driven.go(lasts="300ms", limits={"fault_time": "300ms"})
    abort = the_abort(journal)[1]
    assert (abort.why, abort.rule) == ("fault_time", "limits.fault_time 300ms")
    assert (abort.value or 0) > 1.3
    assert len(tried) == 2, "it is reverted again, at once"
    assert not driven.fault.on
    assert abort_value(journal) == "fail"


async def test_faults_within_the_limit_of_time_run_to_their_end(driven: Driven) -> None:
    journal = await driven.go(lasts="300ms", limits={"fault_time": "300ms"})
    assert journal.closed.reason == "completed"
    assert [seen.stage for _, seen in journal.of(FaultSeen)][-1] == "reverted"


@pytest.mark.parametrize("moment", ["starting", "gate", "baseline", "it injecting", "it confirmed", "it reverting"])
async def test_stopped_at_any_moment_it_reverts_and_ends(driven: Driven, moment: str) -> None:
    driven.at(moment, lambda: set_latch("small", "an incident"))
    lasts = "300ms" if moment == "it reverting" else "8s"
    journal = await driven.go(lasts=lasts, observe="8s")
    assert driven.outcome.interrupted
    assert journal.closed.reason == "stopped"
    [(_, stop)] = journal.of(Stop)
    assert stop.why == "an incident"
    assert not driven.fault.on
    if journal.fault_stage("it", "injected") is not None:
        assert journal.fault_stage("it", "reverted") is not None
    assert driven.backend.calls[-1] == "stop"
    verdict = judge(journal)
    assert verdict.value == "unknown"
    assert verdict.reasons[0].startswith(f"stopped by {stop.by} at {stop.since} (an incident): the latch ")
    assert list(runs()) == []


async def test_a_stop_while_the_stack_starts_waits_for_no_start(driven: Driven) -> None:
    async def start(_: Any) -> Any:
        driven.backend.calls.append("start")
        set_latch("all")
        await asyncio.Event().wait()

    driven.backend.start = start  # type: ignore[method-assign]
    journal = await driven.go()
    assert journal.closed.reason == "stopped"
    assert driven.backend.calls == ["start", "stop"]


async def test_a_run_that_is_stopped_before_it_begins_starts_nothing(driven: Driven) -> None:
    set_latch("all")
    journal = await driven.go()
    assert journal.closed.reason == "stopped"
    assert "start" not in driven.backend.calls


async def test_a_latch_of_another_stack_stops_nothing(driven: Driven) -> None:
    set_latch("other")
    assert (await driven.go(lasts="300ms")).closed.reason == "completed"


async def test_a_run_is_listed_while_it_goes_on(driven: Driven) -> None:
    seen: list[str] = []
    driven.at("starting", lambda: seen.extend(running.run for _, running, alive in runs() if alive))
    await driven.go(lasts="300ms")
    assert seen == ["small"]
