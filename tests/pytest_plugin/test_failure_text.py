"""The text of a failure says what the verdict says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.journal.records import Header, Journal
from harness.model.plan import Plan, StackFacts
from harness.model.scenario import Scenario
from harness.model.verdict import Value, Verdict
from harness.pytest_plugin.failure_text import failures
from harness.pytest_plugin.session_runner import Finished
from harness.suite.conclude import ConcludedRun

SCENARIO = {
    "schema": 1, "scenario": "slow", "summary": "Something is slow.", "stack": "small",
    "timeline": [{"id": "it", "at": "0s", "fault": "node.loss", "target": {"service": "server"}, "for": "1s"}],
    "expect": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "caught", "said"),
    [
        (Value.FAIL, False, "slow: alert A was switched off, and not every clause that must fail without it did"),
        (Value.UNKNOWN, True, "slow: UNKNOWN: the run neither passed nor failed"),
    ],
)
def test_a_sabotage_that_was_cut_off_is_not_told_as_one_that_nobody_noticed(
    tmp_path: Path, value: Value, caught: bool, said: str
) -> None:
    made = Scenario.model_validate(SCENARIO)
    plan = Plan(run="slow", scenario=made, stack=StackFacts(name="small"), seed=1, twin="sabotage")
    journal = Journal(Header(schema=1, harness="0", started="2026-01-05T03:00:00+00:00", plan=plan), ())
    told = {"twin": "sabotage", "sabotage": "alert A", "caught": caught}
    verdict = Verdict(scenario="slow", value=value, reasons=(), clauses=(), **told)
    [text] = failures([Finished(plan, ConcludedRun(tmp_path, journal, verdict))])
    assert text.startswith(said)
