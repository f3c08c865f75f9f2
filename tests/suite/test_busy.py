"""Waiting for a quiet machine, and repeating the runs that it was too busy for."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.expectations import RunResult
from harness.model.plan import Plan, StackFacts
from harness.model.readings import MachineSeen
from harness.model.scenario import Scenario
from harness.model.verdict import Cause, ClauseResult, Value, Verdict
from harness.report import SuiteInfo
from harness.report.ci import junit_xml, summary_md
from harness.runner.planning.plan import with_controls
from harness.suite import quiet, rules
from harness.suite.conclude import ConcludedRun, counting
from harness.suite.quiet import crowded, wait_for_quiet
from harness.suite.suite import repeats, write_report

BUSY = "stays: availability cannot be judged: machine busy (others took 1.3 of 2 processors at 1.0–9.0 s)"


def plan(run: str) -> Plan:
    step = {"id": "it", "at": "0s", "fault": "node.loss", "target": {"service": "server"}, "for": "1s"}
    made = Scenario.model_validate(
        {"schema": 1, "scenario": run, "summary": "A.", "stack": "small", "timeline": [step], "expect": {}}
    )
    return Plan(run=run, scenario=made, stack=StackFacts(name="small"), seed=1)


def concluded(folder: Path, plan: Plan, value: Value, *reasons: str) -> ConcludedRun:
    from harness.journal.files import read
    from harness.journal.writer import JournalWriter

    JournalWriter(folder / plan.run / "journal.jsonl", plan).close()
    causes: list[Cause] = ["machine" if reason == BUSY else "other" for reason in reasons]
    clauses = tuple(
        ClauseResult.of(f"clause-{n}", value, reason, RunResult(), cause=cause)
        for n, (reason, cause) in enumerate(zip(reasons, causes, strict=True))
    )
    verdict = Verdict(scenario=plan.scenario.scenario, value=value, reasons=reasons, clauses=clauses)
    return ConcludedRun(folder / plan.run, read(folder / plan.run), verdict)


def test_a_run_that_the_machine_was_too_busy_for_is_repeated_and_no_other(tmp_path: Path) -> None:
    plans = [plan("busy"), plan("odd"), plan("broken"), plan("good")]
    values = (Value.UNKNOWN, BUSY), (Value.UNKNOWN, "the run was cut off"), (Value.FAIL, "slow"), (Value.PASS,)
    runs = [concluded(tmp_path, one, *value) for one, value in zip(plans, values, strict=True)]
    assert [(again.run, again.repeats) for again in repeats(plans, runs)] == [("busy~again", "busy")]


def test_a_run_that_has_another_reason_too_is_not_repeated(tmp_path: Path) -> None:
    never = "late: the fault was injected but never confirmed: no traffic of 'front' met it"
    assert repeats([plan("odd")], [concluded(tmp_path, plan("odd"), Value.UNKNOWN, never, BUSY)]) == []


@pytest.mark.parametrize("which", [0, 1])
def test_a_pair_is_repeated_as_a_pair(tmp_path: Path, which: int) -> None:
    plans = with_controls([plan("a"), plan("b")])
    runs = [concluded(tmp_path, one, Value.PASS) for one in plans]
    runs[which] = concluded(tmp_path / "other", plans[which], Value.UNKNOWN, BUSY)
    again = repeats(plans, runs)
    assert [(one.run, one.control_of, one.repeats) for one in again] == [
        ("a~again", None, "a"), ("a~control~again", "a~again", "a~control"),
    ]  # fmt: skip


@pytest.mark.parametrize("failed", [0, 1])
def test_a_run_that_failed_stands_although_its_partner_is_unknown(tmp_path: Path, failed: int) -> None:
    plans = with_controls([plan("a")])
    values = [(Value.UNKNOWN, BUSY), (Value.UNKNOWN, BUSY)]
    values[failed] = (Value.FAIL, "slow")
    runs = [concluded(tmp_path, one, *value) for one, value in zip(plans, values, strict=True)]
    assert repeats(plans, runs) == []


def test_the_repetition_counts_and_both_are_in_every_report(tmp_path: Path) -> None:
    first = plan("slow")
    again = first.model_copy(update={"run": "slow~again", "repeats": "slow"})
    runs = [concluded(tmp_path, first, Value.UNKNOWN, BUSY), concluded(tmp_path, again, Value.PASS)]
    assert [run.run_dir.name for run in counting(runs)] == ["slow~again"]
    assert rules.exit_code(counting(runs)) == rules.PASS
    suite = write_report(tmp_path, SuiteInfo("s", "local", 1, "2026-01-05T03:00:00+00:00", 1.0, []), runs)
    assert (suite.counts.passed, suite.counts.unknown) == (1, 0)
    assert [scenario.repeated_by for scenario in suite.scenarios] == ["slow~again", None]
    junit = junit_xml(suite, {})
    assert 'errors="0"' in junit
    assert "unknown, repeated as slow~again: stays" in junit
    assert "unknown (repeated)" in summary_md(suite).replace("\\", "")
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "repeated as slow~again" in page
    assert '<header class="top pass">' in page


def test_a_repetition_that_is_unknown_too_leaves_the_suite_unknown(tmp_path: Path) -> None:
    first = plan("slow")
    again = first.model_copy(update={"run": "slow~again", "repeats": "slow"})
    runs = [concluded(tmp_path, one, Value.UNKNOWN, BUSY) for one in (first, again)]
    assert rules.exit_code(counting(runs)) == rules.UNKNOWN


def seen(others: float, processors: float = 2.0, **fields: float) -> MachineSeen:
    given = {"from_s": 0.0, "to_s": 1.0, "processors": processors, "busy": others, "own": 0.0} | fields
    return MachineSeen.model_validate(given)


@pytest.mark.parametrize(
    ("machine", "why"),
    [
        (seen(0.6), None),
        (seen(0.8), "others use 0.8 of 2 processors"),
        (seen(0.2, steal=0.6), "others use 0.8 of 2 processors"),
        (seen(0.2, processors=1.0), None),
        (seen(0.3, processors=1.0), "others use 0.3 of 1 processor"),
        (seen(6.0, processors=8.0), None),
        (seen(7.0, processors=8.0), "others use 7.0 of 8 processors"),
        (seen(0.1, memory_free=0.02), "2 % of the memory is free"),
        (seen(0.1, memory_free=0.2), None),
    ],
)
def test_a_machine_is_crowded_where_it_leaves_a_run_too_little(machine: MachineSeen, why: str | None) -> None:
    assert crowded(machine) == why


def test_a_machine_of_which_nothing_is_known_is_not_waited_for() -> None:
    assert crowded(MachineSeen(from_s=0.0, to_s=1.0, processors=2.0)) is None


async def waited(
    looks: list[MachineSeen], within_s: float, monkeypatch: pytest.MonkeyPatch, stop: int = 99
) -> list[str]:
    """Return what is told of a wait for a machine that looks so, one look after the other."""
    told: list[str] = []
    left = list(looks)
    clock = [0.0]

    class Clock:
        def now_s(self) -> float:
            return clock[0]

    async def look_once() -> MachineSeen:
        clock[0] += 1.0
        return left.pop(0)

    monkeypatch.setattr(quiet, "look_once", look_once)
    monkeypatch.setattr(quiet, "Clock", Clock)
    await wait_for_quiet(within_s, told.append, lambda: clock[0] >= stop)
    return told


async def test_a_quiet_machine_is_not_worth_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await waited([seen(0.1)], 60.0, monkeypatch) == []


async def test_it_waits_until_the_machine_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    told = await waited([seen(1.8), seen(1.9), seen(0.1)], 60.0, monkeypatch)
    assert told == [
        "waiting up to 60 s for a quiet machine: others use 1.8 of 2 processors",
        "the machine is quiet now",
    ]


async def test_it_goes_on_after_a_time_and_says_what_that_means(monkeypatch: pytest.MonkeyPatch) -> None:
    told = await waited([seen(1.8)] * 3, 3.0, monkeypatch)
    assert told[1] == "the machine is not quiet after 3 s: others use 1.8 of 2 processors; runs may end as unknown"


async def test_a_suite_that_is_stopped_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(await waited([seen(1.8)] * 9, 60.0, monkeypatch, stop=2)) == 1


async def test_this_machine_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "LOOK_S", 0.05)
    look = await quiet.look_once()
    assert look.to_s > look.from_s
