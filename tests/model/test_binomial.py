"""The exact tests of counts, compared with sums of fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.binomial import POWER, answers_needed, critical_count, reached, reached_beside, shows, unseen_rate

RATES = st.sampled_from([0.001, 0.01, 0.02, 0.05, 0.3, 0.5, 0.9, 0.99])
LEVELS = st.sampled_from([0.01, 1e-3, 2.5e-6, 1e-9])


def tail(n: int, rate: float, count: int) -> Fraction:
    """The probability that at least `count` of `n` are bad."""
    bad, all_ = Fraction(rate).limit_denominator(1000).as_integer_ratio()
    ways = sum(math.comb(n, j) * bad**j * (all_ - bad) ** (n - j) for j in range(count, n + 1))
    return Fraction(ways, all_**n)


@given(st.integers(0, 160), RATES, LEVELS)
def test_the_critical_count_is_the_smallest_that_chance_does_not_explain(n: int, rate: float, level: float) -> None:
    critical = critical_count(n, rate, level)
    assert critical == n + 1 or tail(n, rate, critical) <= level
    assert tail(n, rate, critical - 1) > level


@given(st.integers(0, 120), RATES, st.integers(-1, 121))
def test_reached_is_the_upper_tail(n: int, rate: float, count: int) -> None:
    assert reached(n, rate, count) == pytest.approx(float(tail(n, rate, max(0, count))), abs=1e-12)


def test_known_values() -> None:
    # P(X >= 2) of 100 at 1 % is 0.264, so that at 5 % three are still chance, and at 0.1 % six are.
    assert reached(100, 0.01, 2) == pytest.approx(0.26424, abs=1e-5)
    assert (critical_count(100, 0.01, 0.05), critical_count(100, 0.01, 0.001)) == (4, 6)


@given(st.integers(0, 80), st.integers(0, 80), st.data())
def test_beside_others_it_is_the_share_of_the_ways_to_place_what_is_bad(
    n: int, others: int, data: st.DataObject
) -> None:
    count, bad_others = data.draw(st.integers(0, n)), data.draw(st.integers(0, others))
    bad = count + bad_others
    ways = sum(math.comb(n, k) * math.comb(others, bad - k) for k in range(count, min(n, bad) + 1))
    expected = Fraction(ways, math.comb(n + others, bad))
    assert reached_beside(n, count, others, bad_others) == pytest.approx(float(expected), rel=1e-9)


def test_the_lady_tasting_tea() -> None:
    # Fisher's own: of eight cups, four with the milk first, and three of them, or all, found by guessing.
    assert reached_beside(4, 3, 4, 1) == pytest.approx(17 / 70)
    assert reached_beside(4, 4, 4, 0) == pytest.approx(1 / 70)


@pytest.mark.parametrize(("rate", "critical"), [(0.0, 1), (1.0, 11)])
def test_where_nothing_is_allowed_one_is_too_many_and_where_all_is_none(rate: float, critical: int) -> None:
    assert critical_count(10, rate, 0.001) == critical
    assert (reached(10, rate, 1), reached(10, rate, 11)) == (rate, 0.0)


@given(st.integers(0, 2000), RATES, LEVELS)
def test_any_rate_above_the_unseen_one_would_have_shown(n: int, rate: float, level: float) -> None:
    unseen = unseen_rate(n, rate, level)
    assert rate < unseen <= 1
    if unseen < 1:
        assert shows(n, rate, unseen, level)
        assert not shows(n, rate, unseen - 2e-7, level)
    else:
        assert critical_count(n, rate, level) > n


@given(st.integers(1, 400), st.sampled_from([0.001, 0.01, 0.05, 0.1]), LEVELS)
def test_enough_answers_are_no_fewer_than_there_are_and_show_it(n: int, rate: float, level: float) -> None:
    needed = answers_needed(n, rate, 5 * rate, level)
    assert needed >= n
    assert shows(needed, rate, 5 * rate, level)
    # A hundredth fewer is too few.
    assert needed == n or not all(shows(k, rate, 5 * rate, level) for k in range(int(needed / 1.02) - 1, needed))


def test_thousands_of_answers_are_no_trouble() -> None:
    assert critical_count(1_000_000, 0.5, 1e-6) == pytest.approx(500_000 + 4.75 * 500, abs=30)
    assert answers_needed(1, 0.0001, 0.0005, 0.0005) == pytest.approx(33_000, rel=0.1)
    assert POWER == 0.9


@pytest.mark.parametrize("rate", [0.005, 0.01, 0.05, 0.1])
def test_whoever_brings_more_than_are_needed_is_not_told_that_more_are(rate: float) -> None:
    needed = answers_needed(1, rate, 5 * rate, 0.0005)
    assert all(shows(n, rate, 5 * rate, 0.0005) for n in range(needed, 2 * needed))
    assert not shows(needed - 1, rate, 5 * rate, 0.0005)
