"""How near a clause that passed came to its bound."""

from __future__ import annotations

from typing import Any

import pytest
from journals import ALL, BROKEN, Run, good_run, lag


def used(run: Run, clause: str) -> float | None:
    found = run.clause(clause)
    assert found.value == "pass", found.reason
    return found.used


@pytest.mark.parametrize(("clause", "share"), [("seen", 2.0 / 6), ("back", 2.0 / 6), ("clear", 2.0 / 6)])
def test_of_a_deadline_it_is_the_time_taken(clause: str, share: float) -> None:
    assert used(good_run(), clause) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(
    ("bound", "share"),
    [
        ({"probe": "lag", "at_most": 12}, 9 / 12),
        ({"probe": "lag", "at_least": 0.5}, 0.5),
        ({"probe": "lag", "at_least": 0}, None),
        ({"probe": "latency_p99", "at_most": "200ms", "over": "2s"}, 0.1),
        ({"probe": "availability", "at_least": 0.9, "over": "2s"}, 0.5),
        ({"probe": "availability", "at_least": 0, "over": "2s"}, 0.05),
        ({"probe": "wrong_answers", "at_most": 0, "over": "2s"}, None),
        ({"probe": "flagged_answers", "at_most": 0.5, "over": "2s"}, 0.0),
    ],
)
def test_of_a_limit_it_is_the_worst_value(bound: dict[str, Any], share: float | None) -> None:
    run = Run({"stays": [{"id": "b"} | bound]}).gate().fault().readings("lag", lambda t_s: 9.0 if 8 < t_s < 9 else 1.0)
    # Five of the hundred requests of two seconds fail.
    failing = [(t / 50, t / 50 + 0.01, {"ok": False}) for t in range(400, 405)]
    found = used(run.answers(*(failing if bound["probe"] == "availability" else ())).end(), "b")
    assert found == (None if share is None else pytest.approx(share, abs=0.01))


def test_a_clause_that_did_not_pass_used_nothing() -> None:
    run = Run({"recovered": ALL["recovered"]}).gate().fault().readings("lag", lag((6.0, 30.0))).end()
    assert run.clause("back").used is None
    unknown = Run({"recovered": ALL["recovered"]}).gate().fault(confirmed=None).readings("lag", BROKEN).end()
    assert unknown.clause("back").used is None
