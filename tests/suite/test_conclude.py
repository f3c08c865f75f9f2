"""Stored runs are judged with their own controls, and what passes is decided by one rule."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import harness.judge
from harness.journal.records import Journal
from harness.journal.writer import JournalWriter
from harness.model.errors import BackendError, ScenarioError
from harness.model.plan import Plan, StackFacts
from harness.model.readings import Closed
from harness.model.scenario import Scenario
from harness.model.verdict import Value, Verdict
from harness.report import SuiteInfo
from harness.suite import rules
from harness.suite.conclude import ConcludedRun, StoredRun, conclude, conclude_all, judge_again, stored_run
from harness.suite.suite import first_seed, prepared, report_again, report_suite, write_report

SCENARIO = {
    "schema": 1, "scenario": "slow", "summary": "Something is slow.", "stack": "small",
    "timeline": [{"id": "it", "at": "0s", "fault": "node.loss", "target": {"service": "server"}, "for": "1s"}],
    "expect": {},
}  # fmt: skip


def run_in(folder: Path, run: str, **fields: Any) -> StoredRun:
    """Leave a run in a folder as a runner does."""
    made = Scenario.model_validate(SCENARIO)
    plan = Plan.model_validate({"run": run, "scenario": made, "stack": StackFacts(name="small"), "seed": 1, **fields})
    journal = JournalWriter(folder / run / "journal.jsonl", plan)
    journal.write(Closed(reason="completed"))
    journal.close()
    return stored_run(folder / run)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Let every run pass; tells which run was judged with which control."""
    seen: dict[str, str | None] = {}

    def judge(journal: Journal, control: Journal | None = None, *, unpaired: bool = False) -> Verdict:
        seen[journal.plan.run] = None if control is None else control.plan.run
        return Verdict(scenario="slow", value=Value.PASS, reasons=(), clauses=(), twin=journal.plan.twin)

    monkeypatch.setattr(harness.judge, "judge", judge)
    return seen


def test_a_run_is_judged_with_the_control_that_names_it(tmp_path: Path, judged: dict[str, str | None]) -> None:
    runs = [
        run_in(tmp_path, "slow~control", twin=None),
        run_in(tmp_path, "slow", twin=None),
        run_in(tmp_path, "quiet.2", twin="control", control_of="slow"),
        run_in(tmp_path, "slow~sabotage-alert-A", twin="sabotage"),
    ]
    concluded = conclude_all(runs)
    assert judged == {"slow": "quiet.2", "quiet.2": None, "slow~control": None, "slow~sabotage-alert-A": None}
    assert [run.run_dir for run in concluded] == [run.run_dir for run in runs]
    assert all((run.run_dir / "verdict.json").is_file() for run in concluded)


def test_a_run_with_an_error_of_the_harness_does_not_pass_in_any_report(
    tmp_path: Path, judged: dict[str, str | None]
) -> None:
    run = run_in(tmp_path, "slow")
    before = conclude(run)
    assert before.document is not None
    assert before.document.verdict is Value.PASS
    failed = replace(run, error=BackendError("the disk is full"))
    concluded = conclude_all([failed], {run.run_dir: before.document})
    info = SuiteInfo("s", "local", 1, "2026-01-05T03:00:00+00:00", 1.0, [])
    suite = write_report(tmp_path, info, concluded)
    stored = json.loads((run.run_dir / "verdict.json").read_text("utf-8"))
    assert (stored["verdict"], stored["reasons"][0]) == ("unknown", "the disk is full")
    assert (suite.scenarios[0].verdict, suite.scenarios[0].reasons[0]) == (Value.UNKNOWN, "the disk is full")
    assert suite.counts.passed == 0


def test_the_seed_of_a_suite_is_that_of_its_first_run_with_a_journal(tmp_path: Path) -> None:
    runs = [StoredRun(tmp_path / "lost", None), run_in(tmp_path, "slow", seed=7), run_in(tmp_path, "slower", seed=8)]
    assert first_seed(runs, 1) == 7
    assert first_seed(runs[:1], 3) == 3


def test_a_run_is_judged_again_with_the_control_in_its_suite(tmp_path: Path, judged: dict[str, str | None]) -> None:
    run_in(tmp_path, "quiet", twin="control", control_of="slow")
    run_in(tmp_path, "other~control", twin="control", control_of="other")
    run_in(tmp_path, "slow", twin=None)
    judge_again(tmp_path / "slow")
    assert judged["slow"] == "quiet"
    judge_again(tmp_path / "slow" / "journal.jsonl", unpaired=True)
    assert judged["slow"] is None
    judge_again(tmp_path / "slow", tmp_path / "other~control")
    assert judged["slow"] == "other~control", "the judge says what is wrong with it"
    judge_again(tmp_path / "quiet")
    assert judged["quiet"] is None


def verdict(value: Value, **fields: Any) -> Verdict:
    return Verdict(scenario="slow", value=value, reasons=(), clauses=(), **fields)


@pytest.mark.parametrize(
    ("value", "fields", "code"),
    [
        (Value.PASS, {}, rules.PASS),
        (Value.FAIL, {}, rules.FAIL),
        (Value.UNKNOWN, {}, rules.UNKNOWN),
        (Value.FAIL, {"twin": "sabotage", "caught": True}, rules.PASS),
        (Value.FAIL, {"twin": "sabotage", "caught": False}, rules.FAIL),
        (Value.FAIL, {"twin": "sabotage", "caught": None}, rules.FAIL),
        (Value.PASS, {"twin": "sabotage", "caught": False}, rules.FAIL),
        (Value.UNKNOWN, {"twin": "sabotage", "caught": True}, rules.UNKNOWN),
        (Value.PASS, {"twin": "control"}, rules.PASS),
        (Value.FAIL, {"twin": "control", "caught": True}, rules.FAIL),
    ],
)
def test_what_passes(value: Value, fields: dict[str, Any], code: int) -> None:
    assert rules.verdict_code(verdict(value, **fields)) == code
    assert rules.passes(verdict(value, **fields)) is (code == rules.PASS)


@pytest.mark.parametrize("twin", [None, "control", "misfire"])
def test_a_failure_stands_however_its_run_ended(twin: Any) -> None:
    failed = verdict(Value.FAIL, twin=twin)
    assert rules.with_interruption(failed) == rules.with_error(failed, BackendError("no")) == failed


@pytest.mark.parametrize("caught", [True, False])
def test_a_sabotage_that_did_not_end_as_it_should_is_unknown(caught: bool) -> None:
    failed = verdict(Value.FAIL, twin="sabotage", caught=caught)
    for ended in (rules.with_interruption(failed), rules.with_error(failed, BackendError("the disk is full"))):
        assert (ended.value, rules.verdict_code(ended)) == (Value.UNKNOWN, rules.UNKNOWN)
        assert ended.reasons
    assert rules.with_error(failed, None) == failed


def test_a_caught_sabotage_that_was_cut_off_is_good_in_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught = verdict(Value.FAIL, twin="sabotage", sabotage="alert A", caught=True)
    monkeypatch.setattr(harness.judge, "judge", lambda *_, **__: caught)
    whole, half = run_in(tmp_path, "whole"), replace(run_in(tmp_path, "half"), interrupted="cut off")
    finished = report_suite(tmp_path, INFO, [whole, half], interrupted=True)
    assert [run.verdict for run in finished.document.scenarios] == [Value.FAIL, Value.UNKNOWN]
    suites = ET.parse(tmp_path / "junit.xml").getroot()
    assert [error.attrib["type"] for error in suites.iter("error")] == ["interrupted"]
    assert not list(suites.iter("failure"))


INFO = SuiteInfo("s", "local", 1, "2026-01-05T03:00:00+00:00", 1.0, [])


def test_a_suite_that_is_reported_again_keeps_the_runs_that_left_no_journal(
    tmp_path: Path, judged: dict[str, str | None]
) -> None:
    runs = [
        StoredRun(tmp_path / "first", None, BackendError("the stack did not start")),
        run_in(tmp_path, "slow"),
        replace(run_in(tmp_path, "half"), interrupted="cut off"),
        StoredRun(tmp_path / "later", None, interrupted="not run"),
    ]
    before = report_suite(tmp_path, INFO, runs, interrupted=True)
    again = report_again(tmp_path)
    assert again.document == before.document
    assert again.document.counts.unknown == 3
    assert (again.exit_code, again.interrupted) == (rules.INTERRUPTED, True)
    assert [run.interrupted for run in again.document.scenarios] == [None, None, "cut off", "not run"]
    assert report_again(tmp_path).document == before.document


def test_a_suite_of_which_nothing_was_run_is_reported_again(tmp_path: Path) -> None:
    before = report_suite(tmp_path, INFO, [StoredRun(tmp_path / "later", None, interrupted="not run")])
    again = report_again(tmp_path)
    assert (again.document, again.exit_code) == (before.document, rules.INTERRUPTED)


def test_a_run_whose_journal_is_gone_is_no_pass(tmp_path: Path, judged: dict[str, str | None]) -> None:
    report_suite(tmp_path, INFO, [run_in(tmp_path, "slow"), run_in(tmp_path, "slower")])
    (tmp_path / "slower" / "journal.jsonl").unlink()
    again = report_again(tmp_path)
    assert (again.document.counts.passed, again.document.counts.unknown, again.document.errors) == (1, 1, 1)
    assert "the journal of this run is gone" in again.document.scenarios[1].reasons[0]
    assert again.exit_code == rules.BROKEN


def test_the_worst_run_gives_the_exit_code_of_a_suite(tmp_path: Path) -> None:
    passed, failed, unknown = (ConcludedRun(tmp_path, verdict=verdict(value)) for value in Value)
    by_value = {run.verdict.value: run for run in (passed, failed, unknown) if run.verdict is not None}
    good, bad, open_ = by_value[Value.PASS], by_value[Value.FAIL], by_value[Value.UNKNOWN]
    broken = ConcludedRun(tmp_path, verdict=verdict(Value.PASS), error=BackendError("no"))
    assert rules.exit_code([good]) == rules.PASS
    assert rules.exit_code([good, open_]) == rules.UNKNOWN
    assert rules.exit_code([open_, bad, good]) == rules.FAIL
    assert rules.exit_code([bad, broken]) == rules.exit_code([ConcludedRun(tmp_path)]) == rules.BROKEN
    assert rules.exit_code([bad], interrupted=True) == rules.INTERRUPTED


def test_two_suites_do_not_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "suite"
    refused = pytest.raises(ScenarioError, match="another suite of this name is running")
    with prepared(folder), refused, prepared(folder):
        pytest.fail("both hold it")
    with prepared(folder):
        assert folder.is_dir()
