"""A whole run on a small stack in the test's own process: in order, stopped at any point, and with a full disk."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import ScriptedFault, SmallBackend, SmallStack, plan_of, scripted, small_description, write_workload

from harness.journal.files import NAME as JOURNAL
from harness.journal.files import read
from harness.journal.writer import JournalWriter
from harness.judge import judge
from harness.judge.facts import gather
from harness.judge.run_checks import lateness_s
from harness.model.backend import FAULT_PROXY, ProcessEvent
from harness.model.errors import BackendError, FaultError, JournalError
from harness.model.readings import Answer, Body, FaultSeen, Phase, ProcessSeen
from harness.probes.machine import MachineWatcher
from harness.runner.execution import run as run_module
from harness.runner.execution import script
from harness.runner.execution.run import Run
from harness.runner.progress import Progress
from harness.runner.watching import gate, settling
from harness.runner.watching.watchers import Watchers

pytestmark = pytest.mark.slow


class Driven:
    """One run with its stack, its fault and its progress."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder / "runs" / "small"
        self.backend = SmallBackend(addresses={"server": address}, states={"server": "S"})
        self.fault = ScriptedFault()
        self.progress: list[Progress] = []
        self._acts: dict[str, Callable[[], object]] = {}
        self.description = small_description()
        workload = folder / "runs" / "workloads" / "small-default-120h.jsonl"
        workload.parent.mkdir(parents=True)
        write_workload(workload)
        self.workload = workload

    def run(self, at: str = "50ms", duration: str = "150ms", **changes: Any) -> Run:
        return Run(plan_of(at, duration, **changes), self.description, self.backend, self.folder, self._told)

    def at(self, text: str, act: Callable[[], object]) -> None:
        """Act in the moment in which a run tells of something."""
        self._acts[text] = act

    def _told(self, progress: Progress) -> None:
        self.progress.append(progress)
        if progress.text in self._acts:
            self._acts[progress.text]()

    def journal(self) -> Any:
        return read(self.folder)

    def stages(self) -> list[str]:
        return [seen.stage for _, seen in self.journal().of(FaultSeen) if seen.stage != "effect"]


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
    sane = tuple(bound.model_copy(update={"over": 0.2}) for bound in gate.SANE)
    monkeypatch.setattr(gate, "SANE", sane)
    return made


async def test_from_start_to_end(driven: Driven) -> None:
    outcome = await driven.run().go()
    assert outcome.error is None
    journal = driven.journal()
    phases = [phase.phase for _, phase in journal.of(Phase)]
    assert phases == ["starting", "gate", "baseline", "fault", "observing", "observed", "stopping"]
    assert driven.stages() == ["injecting", "injected", "confirmed", "reverting", "reverted"]
    assert journal.closed.reason == "completed"
    answers = [answer for _, answer in journal.of(Answer)]
    assert len(answers) > 10
    assert all(answer.ok and answer.wrong is None for answer in answers), "it declares no model"
    assert len({answer.id for answer in answers}) == len(answers)
    assert driven.backend.calls == ["start", "stop"]
    assert next(p.text for p in driven.progress if p.what == "phase") == "starting"


async def test_its_lateness_is_what_the_judge_reads_in_the_journal(driven: Driven) -> None:
    outcome = await driven.run().go()
    journal = driven.journal()
    facts = gather(journal)
    in_journal = lateness_s(journal, facts.gate_s, journal.lines[-1].t_s)
    assert in_journal is not None
    assert outcome.late_s == in_journal[0]


async def test_a_machine_that_cannot_be_watched_is_told_and_the_run_goes_on(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def odd(*_: Any) -> None:
        raise ValueError("substring not found")

    monkeypatch.setattr(MachineWatcher, "once", odd)
    outcome = await driven.run().go()
    assert outcome.error is None
    journal = driven.journal()
    assert journal.closed.reason == "completed"
    assert journal.gaps("machine")[0].why == "ValueError: substring not found"
    told = [step.text for step in driven.progress if "the machine" in step.text]
    assert told == ["the machine is not watched: ValueError: substring not found"]
    assert any(reason.startswith("note: the machine was not watched") for reason in judge(journal).reasons)


async def test_an_answer_that_cannot_be_recorded_at_the_end_is_not_lost(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Watchers.stop_workload

    async def stop(watchers: Watchers) -> None:
        assert watchers._sender is not None
        watchers._sender._error = RuntimeError("a bug in the check of an answer")
        await real(watchers)

    monkeypatch.setattr(Watchers, "stop_workload", stop)
    outcome = await driven.run().go()
    assert "the watcher of workload failed: RuntimeError: a bug in the check" in str(outcome.error)


async def test_a_control_goes_through_the_same_motions_without_the_fault(driven: Driven) -> None:
    await driven.run(twin="control").go()
    assert driven.fault.calls == []
    assert driven.journal().closed.reason == "completed"


async def test_a_misfire_without_a_target_starts_nothing_and_leaves_its_reason(driven: Driven) -> None:
    plan = plan_of("0s", "1s", twin="misfire").model_copy(update={"unaimed": "there is nowhere else"})
    outcome = await Run(plan, driven.description, driven.backend, driven.folder, driven.progress.append).go()
    assert outcome.error is None
    assert (driven.backend.calls, driven.fault.calls) == ([], [])
    verdict = judge(driven.journal())
    assert (verdict.value, verdict.reasons) == ("unknown", ("there is nowhere else",))
    assert [step.text for step in driven.progress] == ["nothing is run: there is nowhere else"]


async def test_a_gate_that_is_not_met_says_what_was_missing(driven: Driven, stack: tuple[SmallStack, str]) -> None:
    firing = {"labels": {"alertname": "Broken"}, "state": "firing"}
    stack[0].alerts = [firing]
    expect = {"detected": [{"id": "seen", "alert": "Broken", "within": "1s"}]}
    outcome = await driven.run(expect=expect, gate_timeout="1s").go()
    assert outcome.error is None
    assert driven.journal().closed.reason == "gate"
    assert "Broken{}, which the fault should raise" in driven.journal().gate[1].why
    assert driven.fault.calls == []


@pytest.mark.parametrize("step", ["prepare", "inject", "revert"])
async def test_a_fault_that_fails_is_recorded_and_the_run_comes_to_its_end(driven: Driven, step: str) -> None:
    driven.fault.script[step] = FaultError("no")
    outcome = await driven.run().go()
    assert outcome.error is None
    assert "failed" in driven.stages()
    assert driven.journal().closed.reason == "completed"
    assert driven.backend.calls[-1] == "stop"


async def test_all_faults_are_made_ready_before_the_first_goes_in(driven: Driven) -> None:
    prepare = driven.fault.prepare

    async def as_slow_as_it_comes() -> dict[str, Any]:
        if driven.fault.calls:
            await asyncio.sleep(0.1)
        return await prepare()

    driven.fault.prepare = as_slow_as_it_comes  # type: ignore[method-assign]
    fault = {"at": "0s", "fault": "test.fault", "target": {"service": "server"}, "for": "100ms"}
    timeline = [{"id": name, **fault} for name in ("one", "other")]
    assert (await driven.run(timeline=timeline).go()).error is None
    assert driven.fault.calls.count("prepare") == 2
    assert "prepare" not in driven.fault.calls[driven.fault.calls.index("inject") :]


async def test_a_fault_that_cannot_be_made_is_recorded(driven: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise FaultError("no such thing")

    table = scripted(driven.fault)
    broken = {"test.fault": type(table["test.fault"])("test.fault", "", (), table["test.fault"].parameters, refuse)}
    monkeypatch.setattr(script, "Faults", lambda: broken)
    assert (await driven.run().go()).error is None
    assert driven.stages() == ["failed"]


async def test_a_stack_that_does_not_start_is_an_error_with_the_journal_closed(driven: Driven) -> None:
    async def start(_: Any) -> Any:
        raise BackendError("the service server did not start")

    driven.backend.start = start  # type: ignore[method-assign]
    outcome = await driven.run().go()
    assert isinstance(outcome.error, BackendError)
    closed = driven.journal().closed
    assert (closed.reason, closed.error) == ("error", "the service server did not start")
    assert outcome.late_s is None, "without a gate nothing is measured"
    assert driven.backend.calls == ["stop"]


async def test_a_dead_fault_proxy_ends_the_run_and_heals(driven: Driven) -> None:
    run = driven.run()
    driven.backend.events_seen = [ProcessEvent(FAULT_PROXY, "killed", time.monotonic(), signal=9)]
    outcome = await run.go()
    assert isinstance(outcome.error, BackendError)
    assert "the fault proxy died" in str(outcome.error)
    assert driven.journal().closed.reason == "error"
    seen = [(one.service, one.what) for _, one in driven.journal().of(ProcessSeen)]
    assert seen == [(FAULT_PROXY, "exited")], "the judge must know of it"


@pytest.mark.parametrize(
    "moment",
    ["starting", "gate", "baseline", "fault it", "it injecting", "it injected", "it confirmed", "it reverting",
     "it reverted", "observing", "observed", "stopping"],
)  # fmt: skip
@pytest.mark.parametrize("times", [1, 3])
async def test_stopped_at_any_moment_it_heals_and_closes(driven: Driven, moment: str, times: int) -> None:
    run = driven.run()
    task = asyncio.create_task(run.go())

    def stop() -> None:
        for k in range(times):
            asyncio.get_running_loop().call_later(0.002 * k, task.cancel)

    driven.at(moment, stop)
    done, _ = await asyncio.wait([task], timeout=10)
    assert done, "it ends"
    assert task.cancelled()
    assert not driven.fault.on
    assert driven.journal().closed.reason == "interrupted"
    assert driven.backend.calls[-1] == "stop"
    if "injecting" in driven.stages():
        assert driven.stages()[-1] == "reverted"
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in others if "harness" in repr(task.get_coro())]


@pytest.mark.parametrize("moment", ["gate", "it confirmed", "observing", "stopping"])
async def test_a_full_disk_is_one_clear_error_and_keeps_no_fault_in(
    driven: Driven, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(journal: JournalWriter, _: Body) -> int:
        journal.close()
        raise JournalError("the journal cannot be written: No space left on device")

    driven.at(moment, lambda: monkeypatch.setattr(JournalWriter, "write", full))
    outcome = await asyncio.wait_for(driven.run().go(), 10)
    assert isinstance(outcome.error, JournalError)
    assert "No space left on device" in str(outcome.error)
    assert not driven.fault.on
    assert driven.backend.calls[-1] == "stop"


async def test_a_journal_whose_last_line_finds_the_disk_full_is_closed(driven: Driven) -> None:
    def held() -> list[int]:
        """The numbers under which this process holds the journal, or what the test puts in its place."""
        open_now = [one for one in Path("/proc/self/fd").iterdir() if one.exists()]
        return [int(one.name) for one in open_now if any(one.samefile(it) for it in (driven.folder / JOURNAL, full))]

    def fill() -> None:
        (handle,) = held()
        nothing = os.open(full, os.O_WRONLY)
        os.dup2(nothing, handle)
        os.close(nothing)

    full = Path("/dev/full")
    driven.at("nothing is run: there is nowhere else", fill)
    plan = plan_of("50ms", "150ms", twin="misfire").model_copy(update={"unaimed": "there is nowhere else"})
    run = Run(plan, driven.description, driven.backend, driven.folder, driven._told)
    outcome = await run.go()
    assert "the journal cannot be written: No space left on device" in str(outcome.error)
    assert held() == []


async def test_a_healing_that_hangs_is_given_up_and_the_stack_is_stopped(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "HEAL_S", 0.2)
    driven.fault.script["revert"] = None
    task = asyncio.create_task(driven.run().go())
    driven.at("it confirmed", task.cancel)
    done, _ = await asyncio.wait([task], timeout=10)
    assert done, "it ends"
    assert task.cancelled(), "what is left does not hide that it was interrupted"
    assert driven.backend.calls[-1] == "stop"
    closed = driven.journal().closed
    assert closed.reason == "interrupted"
    assert closed.error == "healing 'it' took longer than 0.2 s"


async def test_a_workload_that_cannot_be_made(driven: Driven) -> None:
    driven.workload.unlink()
    outcome = await driven.run().go()
    assert isinstance(outcome.error, BackendError)
    assert "no jobs here" in str(outcome.error)
    assert driven.journal().closed.reason == "error"
