"""A run that its caller drives: on a small stack in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import ScriptedFault, SmallBackend, SmallStack, plan_of, scripted, small_description, write_workload

from harness.journal.files import read
from harness.model.alert_clauses import Cleared, Detected
from harness.model.errors import FaultError, HarnessError
from harness.model.plan import Plan
from harness.model.readings import FaultSeen, Phase
from harness.runner.execution import script
from harness.runner.execution.run import Run
from harness.runner.execution.session import CallerScript
from harness.runner.messages import RunOutcome
from harness.runner.watching import gate, settling

LONG = "600s"


class Driven:
    """A run with the script that drives it."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder / "runs" / "small"
        self.fault = ScriptedFault()
        self.backend = SmallBackend(addresses={"server": address}, states={"server": "S"})
        workload = folder / "runs" / "workloads" / "small-default-120h.jsonl"
        workload.parent.mkdir(parents=True)
        write_workload(workload)

    async def go(self, work: Callable[[CallerScript, Plan], Awaitable[None]], **changes: Any) -> RunOutcome:
        """Run, and do some work once the steady state is met."""
        plan = plan_of("0s", LONG, **changes)
        calls = CallerScript(plan)
        run = asyncio.create_task(Run(plan, small_description(), self.backend, self.folder, lambda _: None, calls).go())
        async with asyncio.timeout(20):
            await calls.ready.wait()
            await work(calls, plan)
            return await run

    def stages(self) -> list[str]:
        return [seen.stage for _, seen in read(self.folder).of(FaultSeen) if seen.stage != "effect"]


@pytest.fixture
async def stack() -> AsyncIterator[tuple[SmallStack, str]]:
    small = SmallStack()
    async with small.serving() as address:
        yield small, address


@pytest.fixture
def driven(tmp_path: Path, stack: tuple[SmallStack, str], monkeypatch: pytest.MonkeyPatch) -> Driven:
    made = Driven(tmp_path, stack[1])
    monkeypatch.setattr(script, "Faults", lambda: scripted(made.fault))
    monkeypatch.setattr(settling, "LEAST_S", 0.1)
    monkeypatch.setattr(settling, "CONTROL_S", 0.1)
    monkeypatch.setattr(gate, "SANE", tuple(bound.model_copy(update={"over": 0.2}) for bound in gate.SANE))
    return made


async def test_a_fault_is_confirmed_on_entry_and_absent_after_leaving(driven: Driven) -> None:
    async def work(calls: CallerScript, plan: Plan) -> None:
        step = plan.scenario.timeline[0]
        await calls.enter(step, plan)
        assert driven.stages()[-1] == "confirmed"
        assert await calls.current("availability") == 1.0
        await calls.leave(step.id, plan)
        assert not driven.fault.on
        calls.finish()

    assert (await driven.go(work)).error is None
    journal = read(driven.folder)
    phases = [phase.phase for _, phase in journal.of(Phase)]
    assert phases == ["starting", "gate", "baseline", "fault", "observing", "observed", "stopping"]
    assert driven.stages() == ["injecting", "injected", "confirmed", "reverting", "reverted"]
    (step,) = journal.plan.scenario.timeline
    assert step.duration < 20, "the plan has the time that the fault was really active"


async def test_an_alert_is_waited_for_until_it_fires_and_until_it_is_quiet(
    driven: Driven, stack: tuple[SmallStack, str]
) -> None:
    times = {"alert": "Broken", "within": "15s", "fault": "it"}
    seen = Detected.model_validate({"id": "seen", **times})
    quiet = Cleared.model_validate({"id": "quiet", **times})

    async def work(calls: CallerScript, plan: Plan) -> None:
        step = plan.scenario.timeline[0]
        await calls.enter(step, plan)
        waiting = asyncio.create_task(calls.wait_for(seen))
        await asyncio.sleep(0)
        assert not waiting.done()
        stack[0].alerts = [{"labels": {"alertname": "Broken"}, "state": "firing"}]
        await waiting
        await calls.leave(step.id, plan)
        waiting = asyncio.create_task(calls.wait_for(quiet))
        await asyncio.sleep(0)
        assert not waiting.done()
        stack[0].alerts = []
        await waiting
        calls.finish()

    assert (await driven.go(work)).error is None


async def test_a_fault_left_active_is_reverted_before_the_end(driven: Driven) -> None:
    async def work(calls: CallerScript, plan: Plan) -> None:
        await calls.enter(plan.scenario.timeline[0], plan)
        calls.finish()

    assert (await driven.go(work)).error is None
    assert driven.stages()[-1] == "reverted"


async def test_a_failure_of_the_caller_heals_and_is_the_error_of_the_run(driven: Driven) -> None:
    async def work(calls: CallerScript, plan: Plan) -> None:
        await calls.enter(plan.scenario.timeline[0], plan)
        calls.finish("the test ended early")

    outcome = await driven.go(work)
    assert isinstance(outcome.error, HarnessError)
    assert "the test ended early" in str(outcome.error)
    assert not driven.fault.on
    assert driven.stages()[-1] == "reverted"


async def test_a_fault_that_cannot_be_prepared_is_in_the_journal_and_nothing_waits_for_it(driven: Driven) -> None:
    driven.fault.script["prepare"] = FaultError("no")

    async def work(calls: CallerScript, plan: Plan) -> None:
        await calls.enter(plan.scenario.timeline[0], plan)
        calls.finish()

    assert (await driven.go(work)).error is None
    assert driven.stages() == ["failed"]


async def test_a_control_goes_the_same_way_without_the_fault(driven: Driven) -> None:
    quiet = Cleared.model_validate({"id": "quiet", "alert": "Broken", "within": "15s", "fault": "it"})

    async def work(calls: CallerScript, plan: Plan) -> None:
        step = plan.scenario.timeline[0]
        await calls.enter(step, plan)
        await calls.leave(step.id, plan)
        await calls.wait_for(quiet)
        calls.finish()

    assert (await driven.go(work, twin="control")).error is None
    assert driven.fault.calls == []


async def test_once_the_run_is_cut_short_its_caller_takes_nothing_out_and_puts_nothing_in(driven: Driven) -> None:
    plan = plan_of("0s", LONG)
    calls = CallerScript(plan)
    run = asyncio.create_task(Run(plan, small_description(), driven.backend, driven.folder, lambda _: None, calls).go())
    async with asyncio.timeout(20):
        await calls.ready.wait()
        step = plan.scenario.timeline[0]
        await calls.enter(step, plan)
        driven.fault.script["revert"] = None  # the run is busy with it
        run.cancel()
        await driven.fault.reverting.wait()
        late = [asyncio.create_task(work) for work in (calls.leave(step.id, plan), calls.enter(step, plan))]
        await asyncio.wait([run])
        assert not any(task.done() for task in late)
        assert driven.fault.calls.count("inject") == 1
        for task in late:
            task.cancel()
        await asyncio.wait(late)
