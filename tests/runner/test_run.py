"""A whole run on a small stack in the test's own process: in order, stopped at any point, and with a full disk."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import ScriptedFault, SmallBackend, SmallStack, plan_of, scripted, small_description, write_workload

from harness.journal.files import read
from harness.model.backend import FAULT_PROXY, ProcessEvent
from harness.model.errors import BackendError, FaultError, JournalError
from harness.model.readings import Answer, FaultSeen, Phase
from harness.runner import gate, script, settling
from harness.runner import run as run_module
from harness.runner.progress import Progress
from harness.runner.run import Run


class SessionRunner:
    """One run with its stack, its fault and what it told."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder / "runs" / "small"
        self.backend = SmallBackend(addresses={"server": address}, states={"server": "S"})
        self.fault = ScriptedFault()
        self.told: list[Progress] = []
        self.description = small_description()
        workload = folder / "runs" / "workloads" / "small-default-120h.jsonl"
        workload.parent.mkdir(parents=True)
        write_workload(workload)
        self.workload = workload

    def run(self, at: str = "50ms", duration: str = "150ms", **changes: Any) -> Run:
        return Run(plan_of(at, duration, **changes), self.description, self.backend, self.folder, self.told.append)

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
def bench(tmp_path: Path, stack: tuple[SmallStack, str], monkeypatch: pytest.MonkeyPatch) -> SessionRunner:
    made = SessionRunner(tmp_path, stack[1])
    monkeypatch.setattr(script, "Faults", lambda: scripted(made.fault))
    monkeypatch.setattr(settling, "LEAST_S", 0.1)
    sane = tuple(bound.model_copy(update={"over": 0.2}) for bound in gate.SANE)
    monkeypatch.setattr(gate, "SANE", sane)
    return made


async def test_from_start_to_end(bench: SessionRunner) -> None:
    outcome = await bench.run().go()
    assert outcome.error is None
    journal = bench.journal()
    phases = [phase.phase for _, phase in journal.of(Phase)]
    assert phases == ["starting", "gate", "baseline", "fault", "observing", "observed", "stopping"]
    assert bench.stages() == ["injecting", "injected", "confirmed", "reverting", "reverted"]
    assert journal.closed.reason == "completed"
    answers = [answer for _, answer in journal.of(Answer)]
    assert len(answers) > 10
    assert all(answer.ok and answer.wrong is False for answer in answers)
    assert len({answer.id for answer in answers}) == len(answers)
    assert bench.backend.calls == ["start", "stop"]
    assert next(p.text for p in bench.told if p.what == "phase") == "starting"


async def test_a_control_goes_through_the_same_motions_without_the_fault(bench: SessionRunner) -> None:
    await bench.run(twin="control").go()
    assert bench.fault.calls == []
    assert bench.journal().closed.reason == "completed"


async def test_a_gate_that_is_not_met_says_what_was_missing(
    bench: SessionRunner, stack: tuple[SmallStack, str]
) -> None:
    firing = {"labels": {"alertname": "Broken"}, "state": "firing"}
    stack[0].alerts = [firing]
    expect = {"detected": [{"id": "seen", "alert": "Broken", "within": "1s"}]}
    outcome = await bench.run(expect=expect, gate_timeout="1s").go()
    assert outcome.error is None
    assert bench.journal().closed.reason == "gate"
    assert "Broken{}, which the fault should raise" in bench.journal().gate[1].why
    assert bench.fault.calls == []


@pytest.mark.parametrize("step", ["prepare", "inject", "revert"])
async def test_a_fault_that_fails_is_recorded_and_the_run_comes_to_its_end(bench: SessionRunner, step: str) -> None:
    bench.fault.script[step] = FaultError("no")
    outcome = await bench.run().go()
    assert outcome.error is None
    assert "failed" in bench.stages()
    assert bench.journal().closed.reason == "completed"
    assert bench.backend.calls[-1] == "stop"


async def test_all_faults_are_made_ready_before_the_first_goes_in(bench: SessionRunner) -> None:
    prepare = bench.fault.prepare

    async def as_slow_as_it_comes() -> dict[str, Any]:
        if bench.fault.calls:
            await asyncio.sleep(0.1)
        return await prepare()

    bench.fault.prepare = as_slow_as_it_comes  # type: ignore[method-assign]
    fault = {"at": "0s", "fault": "test.fault", "target": {"service": "server"}, "for": "100ms"}
    timeline = [{"id": name, **fault} for name in ("one", "other")]
    assert (await bench.run(timeline=timeline).go()).error is None
    assert bench.fault.calls.count("prepare") == 2
    assert "prepare" not in bench.fault.calls[bench.fault.calls.index("inject") :]


async def test_a_fault_that_cannot_be_made_is_recorded(bench: SessionRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise FaultError("no such thing")

    table = scripted(bench.fault)
    broken = {"test.fault": type(table["test.fault"])("test.fault", "", (), table["test.fault"].parameters, refuse)}
    monkeypatch.setattr(script, "Faults", lambda: broken)
    assert (await bench.run().go()).error is None
    assert bench.stages() == ["failed"]


async def test_a_stack_that_does_not_start_is_an_error_with_the_journal_closed(bench: SessionRunner) -> None:
    async def start(_: Any) -> Any:
        raise BackendError("the service server did not start")

    bench.backend.start = start  # type: ignore[method-assign]
    outcome = await bench.run().go()
    assert isinstance(outcome.error, BackendError)
    closed = bench.journal().closed
    assert (closed.reason, closed.error) == ("error", "the service server did not start")
    assert bench.backend.calls == ["stop"]


async def test_a_dead_fault_proxy_ends_the_run_and_heals(bench: SessionRunner) -> None:
    bench.backend.events_seen = [ProcessEvent(FAULT_PROXY, "killed", 0.0, signal=9)]
    outcome = await bench.run().go()
    assert isinstance(outcome.error, BackendError)
    assert "the fault proxy died" in str(outcome.error)
    assert bench.journal().closed.reason == "error"


def at_phase(run: Run, bench: SessionRunner, text: str, act: Callable[[], object]) -> None:
    """Act in the moment in which a run tells of something."""
    inner = bench.told.append

    def told(progress: Progress) -> None:
        inner(progress)
        if progress.text == text:
            act()

    run._on_progress = told


@pytest.mark.parametrize(
    "moment",
    ["starting", "gate", "baseline", "fault it", "it injecting", "it injected", "it confirmed", "it reverting",
     "it reverted", "observing", "observed", "stopping"],
)  # fmt: skip
@pytest.mark.parametrize("times", [1, 3])
async def test_stopped_at_any_moment_it_heals_and_closes(bench: SessionRunner, moment: str, times: int) -> None:
    run = bench.run()
    task = asyncio.create_task(run.go())

    def stop() -> None:
        for k in range(times):
            asyncio.get_running_loop().call_later(0.002 * k, task.cancel)

    at_phase(run, bench, moment, stop)
    done, _ = await asyncio.wait([task], timeout=10)
    assert done, "it ends"
    assert task.cancelled()
    assert not bench.fault.on
    assert bench.journal().closed.reason == "interrupted"
    assert bench.backend.calls[-1] == "stop"
    if "injected" in bench.stages():
        assert bench.stages()[-1] == "reverted"
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in others if "harness" in repr(task.get_coro())]


@pytest.mark.parametrize("moment", ["gate", "it confirmed", "observing", "stopping"])
async def test_a_full_disk_is_one_clear_error_and_keeps_no_fault_in(bench: SessionRunner, moment: str) -> None:
    run = bench.run()

    def fill() -> None:
        def full(_: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        run._journal._file.close()
        run._journal._file = type("Full", (), {"write": staticmethod(full), "close": lambda _: None})()  # type: ignore[assignment]

    at_phase(run, bench, moment, fill)
    outcome = await asyncio.wait_for(run.go(), 10)
    assert isinstance(outcome.error, JournalError)
    assert "No space left on device" in str(outcome.error)
    assert not bench.fault.on
    assert bench.backend.calls[-1] == "stop"


async def test_a_healing_that_hangs_is_given_up_and_the_stack_is_stopped(
    bench: SessionRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "HEAL_S", 0.2)
    bench.fault.script["revert"] = None
    run = bench.run()
    task = asyncio.create_task(run.go())
    at_phase(run, bench, "it confirmed", task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        assert isinstance((await asyncio.wait_for(task, 10)).error, BackendError)
    assert bench.backend.calls[-1] == "stop"
    assert bench.journal().closed is not None


async def test_a_workload_that_cannot_be_made(bench: SessionRunner) -> None:
    bench.workload.unlink()
    outcome = await bench.run().go()
    assert isinstance(outcome.error, BackendError)
    assert "no jobs here" in str(outcome.error)
    assert bench.journal().closed.reason == "error"
