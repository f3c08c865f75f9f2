"""Bounds as bounds on shares, and where more answers are beyond them than chance explains."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.answers import ANSWER_PROBES, LEFT_OUT, Contribution, Failed, Open
from harness.model.binomial import critical_count
from harness.model.clauses import Bound
from harness.model.expectations import Expect
from harness.model.guard import Guard, guard_of
from harness.model.shares import LEVEL, Count, Share, Tally, clause_level, guard_level, share_of

FAILING = Share(0.01, lambda contributions: [one if one is LEFT_OUT else one is True for one in contributions])


def bound(**given: Any) -> Bound:
    return Bound.model_validate({"id": "b"} | given)


def share(**given: Any) -> Share:
    found = share_of(bound(**given))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({"probe": "availability", "at_least": 0.99}, 0.01),
        ({"probe": "availability", "at_most": 0.99}, 0.99),
        ({"probe": "slow_answers", "at_most": 0.3}, 0.3),
        ({"probe": "latency_p99", "at_most": "250ms"}, 0.01),
        ({"probe": "latency_p50", "at_most": "250ms"}, 0.5),
        ({"probe": "latency_p99", "at_least": "10ms"}, 0.99),
        ({"probe": "feature_age_p99", "at_most": "90min event"}, 0.01),
        ({"probe": "feature_age_p50", "at_least": "1min event"}, 0.5),
        ({"probe": "feature_age_p50", "at_most": "90min event"}, 0.5),
    ],
)
def test_a_bound_allows_a_share_of_answers_beyond_it(given: dict[str, Any], allowed: float) -> None:
    assert share(**given).allowed == allowed
    assert share(**given).worse == min(1.0, 5 * allowed)


@pytest.mark.parametrize(
    "given",
    [
        {"probe": "availability", "at_least": 1},
        {"probe": "wrong_answers", "at_most": 0},
        {"probe": "availability", "at_least": 0},
        {"probe": "wrong_answers", "at_most": 1},
        {"probe": "failed_requests", "at_most": 3},
        {"probe": "training_lag", "at_most": 5},
    ],
)
def test_bounds_that_allow_nothing_or_all_and_those_on_other_things_are_none(given: dict[str, Any]) -> None:
    assert share_of(bound(**given)) is None


@pytest.mark.parametrize(
    ("given", "contributions", "marks"),
    [
        ({"probe": "slow_answers", "at_most": 0.3}, [True, False, None, LEFT_OUT], [True, False, None, LEFT_OUT]),
        ({"probe": "availability", "at_least": 0.9}, [True, False, None, LEFT_OUT], [False, True, None, LEFT_OUT]),
        (
            {"probe": "latency_p99", "at_most": "250ms"},
            [0.25, 0.26, Failed(0.1), Open(0.3), Open(0.1), LEFT_OUT],
            [False, True, True, None, False, LEFT_OUT],
        ),
        (
            {"probe": "latency_p99", "at_least": "250ms"},
            [0.25, 0.24, Failed(0.1), Open(0.3), LEFT_OUT],
            [False, True, False, None, LEFT_OUT],
        ),
    ],
)
def test_what_an_answer_is_to_a_bound(
    given: dict[str, Any], contributions: list[Contribution], marks: list[object]
) -> None:
    assert list(share(**given).mark(contributions)) == marks


def test_the_clauses_on_shares_have_equal_parts_of_the_level_of_a_run() -> None:
    up = {"id": "up", "probe": "availability", "at_least": 0.99}
    zero = {"id": "none", "probe": "wrong_answers", "at_most": 0}
    lag = {"id": "lag", "probe": "training_lag", "at_most": 5}
    back = {"id": "back", "probe": "latency_p99", "at_most": "250ms", "within": "5s"}
    none, two = ({"stays": [zero, lag]}, {"stays": [up, zero, lag], "recovered": [back]})
    assert clause_level(Expect.model_validate(none)) == pytest.approx(0.8 * LEVEL)
    assert clause_level(Expect.model_validate(two)) == pytest.approx(0.8 * LEVEL / 2)


def test_the_guard_has_a_fifth_of_the_level_of_a_run_and_no_run_has_more_than_one_level() -> None:
    usual = guard_of(Guard(), tuple(ANSWER_PROBES), scores_checked=True)
    widened = Guard.model_validate({"wrong": {"at_most": 0.1, "because": "the features are old for a while"}})
    wider = guard_of(widened, tuple(ANSWER_PROBES), scores_checked=True)
    assert guard_level(usual) == pytest.approx(LEVEL / 5 / 3), "none may be wrong: that limit is no share"
    assert guard_level(wider) == pytest.approx(LEVEL / 5 / 4)
    assert guard_level(()) == pytest.approx(LEVEL / 5)
    up = [{"id": f"up{k}", "probe": "availability", "at_least": 0.99} for k in range(3)]
    expect = Expect.model_validate({"stays": up})
    assert 3 * clause_level(expect) + 3 * guard_level(usual) == pytest.approx(LEVEL)


def tally(*marks: object) -> Tally:
    return Tally(FAILING, list(marks), LEVEL)  # type: ignore[arg-type]


def test_a_count_leaves_out_what_the_bound_does_not_look_at() -> None:
    found = Tally(share(probe="flagged_answers", at_most=0.3), [True, LEFT_OUT, None, False, True], LEVEL)
    assert found.count() == Count(4, 2, 1)
    assert found.count(1, 4) == Count(2, 0, 1)
    assert (Count(4, 2, 1).rate, Count(0, 0).rate) == (0.5, 0.0)


def test_a_short_outage_is_more_than_chance_and_scattered_failures_are_not() -> None:
    good = [False] * 70
    assert tally(*good, *[True] * 5, *good).more_than_chance(0, 145, 200)
    assert not tally(*([*good[:28], True] * 5)).more_than_chance(0, 145, 200)
    # The outage is in no window that ends in the middle of it, or begins there.
    assert not tally(*good, *[True] * 5, *good).more_than_chance(0, 73, 200)
    assert not tally(*good, *[True] * 5, *good).more_than_chance(72, 145, 200)


@pytest.mark.parametrize(("level", "stretches"), [(0.00241, [(1, 2)]), (0.00239, [])])
def test_answers_in_a_row_have_a_quarter_of_the_level_of_a_clause(
    level: float, stretches: list[tuple[int, int]]
) -> None:
    # Half of the quarter is for two in a row, the other half for four. Two of four begin at three places, so that each
    # has a 24th of the level. Both are beyond the bound by chance in one case of 10,000.
    assert Tally(FAILING, [False, True, True, False], level).stretches == stretches


def test_what_a_bound_does_not_look_at_does_not_break_a_stretch() -> None:
    gaps = [LEFT_OUT, True] * 6
    assert tally(*[False] * 100, *gaps).more_than_chance(0, 112, 200)
    assert not tally(*[False] * 100, *[False, False, False, False, False, False, False, True] * 6).more_than_chance(
        0, 148, 200
    )


@given(st.lists(st.sampled_from([True, False, False, False, LEFT_OUT]), max_size=80))
def test_every_row_of_answers_that_is_too_bad_has_a_stretch_inside_it(marks: list[object]) -> None:
    found = set(tally(*marks).stretches)
    looked = [k for k, mark in enumerate(marks) if mark is not LEFT_OUT]
    lengths = [2**k for k in range(1, 8) if 2**k <= len(looked)]
    for length in lengths:
        begins = range(0, len(looked) - length + 1, max(1, length // 4))
        critical = critical_count(length, 0.01, LEVEL / 4 / len(lengths) / len(begins))
        for begin in begins:
            inside = looked[begin : begin + length]
            bad = [k for k in inside if marks[k] is True]
            # Whatever window is too bad, there is a stretch inside it that says so.
            if len(bad) >= critical:
                assert any(bad[0] <= first and last <= bad[-1] for first, last in found)
    for first, last in found:
        assert marks[first] is True
        assert marks[last] is True
