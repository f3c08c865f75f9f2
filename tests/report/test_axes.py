"""Scales, ticks and curves: round numbers, no peak lost, no slope made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.drawing import Scale, log_ticks, stepped, thinned, ticks

places = st.floats(0, 700)


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 100, 4, [0, 50, 100]),
        (1.1, 34.5, 12, [5, 10, 15, 20, 25, 30]),
        (0.93, 1.007, 4, [0.94, 0.96, 0.98, 1.0]),
        (-3, 3, 3, [-2, 0, 2]),
        (5, 5, 3, [5]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, most: int, expected: list[float]) -> None:
    assert ticks(low, high, most) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_lie_inside_and_are_evenly_spaced(low: float, length: float, most: int) -> None:
    found = ticks(low, low + length, most)
    assert 1 <= len(found) <= most
    assert all(low - 1e-6 * length <= t <= low + length * (1 + 1e-6) for t in found)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.02, 60, [0.1, 1, 10]), (0.001, 1e4, [0.001, 1, 1000]), (0.13, 7, [1, 2, 5])],
)
def test_log_ticks_are_powers_of_ten_where_there_are_enough(low: float, high: float, expected: list[float]) -> None:
    assert log_ticks(low, high, 3) == pytest.approx(expected)


def test_a_scale_keeps_values_beyond_it_at_its_end() -> None:
    linear, log = Scale(0, 10, 100, 0), Scale(0.01, 100, 0, 400, log=True)
    assert [linear(v) for v in (-5, 0, 2.5, 10, 99)] == [100, 100, 75, 0, 0]
    assert [log(v) for v in (0.01, 1, 100, -1)] == pytest.approx([0, 200, 400, 0])


@given(st.lists(st.tuples(places, places), min_size=1, max_size=400))
def test_a_thinned_curve_keeps_its_ends_and_every_peak_of_a_column(points: list[tuple[float, float]]) -> None:
    points.sort(key=lambda p: p[0])
    found = thinned(points)
    assert (found[0], found[-1]) == (points[0], points[-1])
    assert set(found) <= set(points)
    for column in {int(x) for x, _ in points}:
        inside = [y for x, y in points if int(x) == column]
        # An inner point of a level stretch is on the line between its ends.
        assert {max(inside), min(inside)} <= {y for _, y in found}


def test_a_thinned_curve_has_at_most_four_points_a_column() -> None:
    assert len(thinned([(k / 100, (k * 37) % 101) for k in range(10_000)])) <= 4 * 100


def test_a_value_is_held_until_the_next_sample_where_samples_are_far_apart() -> None:
    assert stepped([(0, 1), (50, 2), (51, 3), (90, 3)]) == [(0, 1), (50, 1), (50, 2), (51, 3), (90, 3)]
