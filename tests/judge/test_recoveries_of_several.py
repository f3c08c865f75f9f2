"""Runs with more than one fault: each clause is about its own, and what one did is not laid on another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from journals import BACK, SEEN, SLOW, Run, lag, times

Stay = tuple[float, float]
FIRST, SECOND = BACK | {"id": "b1", "fault": "first"}, BACK | {"id": "b2", "fault": "second"}


def two(expect: Mapping[str, Any], a: Stay, b: Stay, names: Sequence[str] = ("first", "second")) -> Run:
    """Return a run with two faults, each in from one moment to another."""
    run = Run(expect, faults=names).gate()
    for name, (in_s, out_s) in zip(names, (a, b), strict=True):
        run.fault(name, injected=float(in_s), confirmed=in_s + 0.3, reverted=float(out_s))
    return run


def test_each_recovery_counts_from_its_own_fault_to_the_next() -> None:
    run = two({"recovered": [FIRST, SECOND]}, (5, 8), (15, 18)).readings("lag", lag((5.5, 9), (15.5, 19))).end()
    assert [run.clause(id_).value for id_ in ("b1", "b2")] == ["pass", "pass"], run.judged().reasons


def test_what_only_the_second_fault_broke_is_nothing_to_recover_from_for_the_first() -> None:
    first = FIRST | {"within": "15s"}
    found = two({"recovered": [first]}, (5, 8), (15, 18)).readings("lag", lag((15.5, 19))).end().clause("b1")
    assert (found.value, "not exercised" in found.reason) == ("unknown", True)


def test_what_never_recovers_from_the_second_fault_fails() -> None:
    run = two({"recovered": [BACK]}, (5, 8), (15, 18)).readings("lag", lag((5.5, 9), (15.5, 99))).end()
    assert run.clause("back").value == "fail"


def test_what_the_first_fault_broke_and_nothing_mended_is_not_the_second_s() -> None:
    run = two({"recovered": [SECOND]}, (5, 8), (15, 18)).readings("lag", lag((5.5, 19))).end()
    found = run.clause("b2")
    assert (found.value, "already broken" in found.reason) == ("unknown", True)


def test_a_recovery_that_the_next_fault_cuts_short_is_open() -> None:
    run = two({"recovered": [FIRST]}, (5, 8), (10, 13)).readings("lag", lag((5.5, 9))).end()
    found = run.clause("b1")
    assert found.value == "unknown"
    assert "not observed to hold: the next fault went in" in found.reason


def test_first_and_last_are_by_time_and_not_by_their_place_in_the_file() -> None:
    run = two({"recovered": [BACK], "detected": [SEEN]}, (15, 18), (5, 8), ("late", "early"))
    run.readings("lag", lag((5.5, 9), (15.5, 19))).alerts((SLOW, 7.0, 9.0)).end()
    assert run.clause("seen").value == "pass", "after the early one"
    assert run.clause("back").value == "pass", "after the late one"


def hung(run: Run, from_s: float, to_s: float) -> Run:
    """Let requests of a stretch hang for five seconds, and fail."""
    for k, t in enumerate(times(0.5, 25.5, 0.02)):
        bad = from_s <= t < to_s
        done_s = t + (5 if bad else 0.02)
        run.add(done_s, "answer", id=f"r{k}", at_event=k, due_s=t, sent_s=t, done_s=done_s, ok=not bad)
    return run


@pytest.mark.parametrize(
    ("fault", "a", "stretch", "value"),
    [("first", (5, 12), (5.2, 12), "pass"), ("second", (14, 14.9), (14.1, 14.9), "unknown")],
)
def test_what_hangs_from_one_fault_is_not_the_next_one_s(fault: str, a: Stay, stretch: Stay, value: str) -> None:
    bound = {"id": "b", "probe": "availability", "at_least": 0.99, "over": "2s", "within": "6s", "hold": "500ms"}
    run = hung(two({"recovered": [bound | {"fault": fault}]}, a, (17.5, 20)), *stretch).end()
    assert run.clause("b").value == value, run.clause("b").reason
