"""The sequence of events says nothing that the verdict does not, and nothing that was not measured."""

from __future__ import annotations

from typing import Any

import pytest
from made_runs import END_S, failing, passing

from harness.journal.records import Journal
from harness.model.verdict import Value, Verdict
from harness.report.figure import run_svg
from harness.report.spans import alert_lanes, markers
from harness.report.story import story
from harness.report.table import after
from harness.report.write import run_document


def told(journal: Journal, verdict: Verdict) -> list[str]:
    events, _ = story(journal, verdict, alert_lanes(journal))
    return [event.text for event in events]


def with_clause(verdict: Verdict, id_: str, value: Value) -> Verdict:
    """Return a verdict with another value of one clause, whose measured times stay as they are."""
    met = {Value.PASS: True, Value.FAIL: False, Value.UNKNOWN: None}[value]
    clauses = [
        c.model_copy(update={"value": value, "measured": c.measured.model_copy(update={"met": met})})
        if c.id == id_
        else c
        for c in verdict.clauses
    ]
    return verdict.model_copy(update={"clauses": tuple(clauses)})


def test_an_alert_that_still_fires_at_the_end_is_not_told_to_have_stopped() -> None:
    journal, verdict = failing()
    said = told(journal, verdict)
    assert "ScoreDrift · server-1 no longer fires" in said
    assert "FeaturesStale · pipeline no longer fires" not in said
    assert said.index("FeaturesStale · pipeline is not seen to stop firing") > said.index("observation ends")
    [stale] = [lane for lane in alert_lanes(journal) if lane.expected]
    assert [(s.to_s, s.open, s.period) for s in stale.firing] == [(END_S, True, "from 17.6 s on")]
    assert "FeaturesStale · pipeline: firing from 17.6 s on" in run_svg(journal, verdict)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Value.PASS, ["detected, as the judge finds it"]),
        (Value.FAIL, ["detected, too late"]),
        (Value.UNKNOWN, []),
    ],
)
def test_a_detection_is_told_as_its_clause_judges_it(value: Value, said: list[str]) -> None:
    journal, verdict = passing()
    changed = with_clause(verdict, "seen", value)
    assert [text for text in told(journal, changed) if text.startswith("detected")] == said
    assert ("detected" in [m.what for m in markers(changed)]) is bool(said)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Value.PASS, ["recovered, as the judge finds it"]),
        (Value.FAIL, ["recovered, too late"]),
        (Value.UNKNOWN, []),
    ],
)
def test_a_recovery_that_did_not_hold_is_not_told(value: Value, said: list[str]) -> None:
    journal, verdict = passing()
    changed = with_clause(verdict, "caught-up", value)
    assert [text for text in told(journal, changed) if text.startswith("recovered")] == said


@pytest.mark.parametrize(
    ("id_", "value", "text"),
    [("seen", Value.UNKNOWN, "unknown"), ("seen", Value.FAIL, "2.51 s"), ("caught-up", Value.UNKNOWN, "unknown")],
)
def test_the_figures_at_the_top_give_no_time_of_what_is_undecided(id_: str, value: Value, text: str) -> None:
    journal, verdict = passing()
    document: Any = run_document(journal, with_clause(verdict, id_, value), None)
    assert after(document.detection if id_ == "seen" else document.recovery) == text
