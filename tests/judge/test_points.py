"""The points of a bound as a report shows them: the judge's own, and what came before the gate."""

from __future__ import annotations

from itertools import pairwise

import pytest
from journals import BACK, CROWDED, OBSERVED_S, STAYS, Run, lag

from harness.judge.compared import compared, points_since
from harness.judge.facts import gather
from harness.judge.fault_facts import observation_end_s
from harness.model.clauses import Bound, Recovered
from harness.model.series import STEP_S

QUICK = Bound.model_validate({"id": "quick", "probe": "latency_p99", "at_most": "250ms", "over": "2s"})
LOW = Recovered.model_validate(BACK)


@pytest.mark.parametrize("bound", [QUICK, LOW, Bound.model_validate(STAYS)])
def test_from_the_gate_on_they_are_those_that_are_judged(bound: Bound) -> None:
    run = Run().gate(4.0).fault().answers((4.9, 5.2, {"done_s": 5.8})).readings("lag", lag((8.0, 9.0)))
    facts = gather(run.machine((8.2, 8.8, CROWDED)).end().build())
    judged, shown = compared(bound, facts).points, points_since(bound, facts, 1.0)
    assert judged
    assert shown[-len(judged) :] == judged
    earlier = shown[: -len(judged)]
    assert earlier[0].hi_s == pytest.approx(1.0 + (bound.over if bound is not LOW else 0.0), abs=0.15)
    ends = [point.hi_s for point in shown]
    assert max(b - a for a, b in pairwise(ends)) < 2 * STEP_S
    assert ends == sorted(ends)


def test_without_a_gate_all_that_was_measured_is_shown() -> None:
    facts = gather(Run().gate(6.0, met=False).readings("lag", 1.0, to_s=6.0).end(observed=None, closed=None).build())
    assert len(points_since(LOW, facts, 1.0)) == pytest.approx(50, abs=2)


@pytest.mark.parametrize(
    ("phases", "end_s"),
    [
        ([(20.0, "observed"), (20.1, "healing"), (21.0, "stopping")], 20.0),
        ([(13.0, "healing"), (16.0, "stopping")], 13.0),
        ([(16.0, "stopping")], 16.0),
        ([], OBSERVED_S + 2),
    ],
)
def test_observation_ends_where_healing_or_stopping_begins(phases: list[tuple[float, str]], end_s: float) -> None:
    run = Run().gate()
    for at_s, phase in phases:
        run.add(at_s, "phase", phase=phase)
    journal = run.end(observed=None).build()
    assert observation_end_s(journal) == gather(journal).end_s == end_s
