"""Sliding windows: measuring them one after the other gives what measuring each by itself gives."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound
from harness.model.readings import Answer, Gap, Reading
from harness.model.series import Point, answer_series, as_due, reading_series, window_point


def random_answers(count: int) -> list[tuple[int, Answer]]:
    chance = random.Random(5)
    answers = [
        Answer(
            id=str(k),
            at_event=k,
            due_s=k / 50,
            sent_s=k / 50,
            done_s=k / 50 + chance.choice([0.01, 0.4, 90.0]) * chance.random(),
            ok=chance.random() < 0.8,
            slow=chance.random() < 0.2,
            flagged=chance.choice([None, None, "stale"]),
            stale=chance.random() < 0.2,
            wrong=chance.choice([None, False, False, True]),
            ages=chance.choice([{}, {"a": 100 * chance.random(), "b": 3.0}]),
        )
        for k in range(count)
    ]
    return list(enumerate(answers, start=1))


@pytest.mark.parametrize("probe", sorted(ANSWER_PROBES))
def test_a_series_is_its_windows_measured_one_by_one(probe: str) -> None:
    answers = random_answers(400)
    value = "2 h event" if probe.startswith("feature_age") else "2s" if probe.startswith("latency") else 1
    bound = Bound.model_validate({"id": "x", "probe": probe, "at_most": value, "over": "1s", "min_samples": 10})
    points = answer_series(bound, as_due(answers), 0.0, 8.0)
    assert len(points) == 71
    for point in points:
        window = [(n, a) for n, a in answers if point.hi_s - bound.over < a.due_s <= point.hi_s]
        assert undated(point) == window_point(bound, ANSWER_PROBES[probe], window, point.hi_s)


def undated(point: Point) -> Point:
    """Return a point without the moments of its answers: a window that is measured by itself has none."""
    return replace(point, broken_by_s=None, broken_from_s=None, beyond_until_s=None)


def like(point: Point) -> Point:
    """Return a point without its moment."""
    return replace(point, lo_s=0.0, hi_s=0.0, since_s=None)


@pytest.mark.parametrize(
    ("gaps", "at_most"),
    # Up to two more for each moment at which a gap begins or ends.
    [([], 2), ([(0.5, 0.6)], 2), ([(4.2, 4.5)], 7), ([(1.5, 2.5), (6.5, 7.0)], 4)],
)
def test_of_windows_in_which_nothing_is_due_the_first_and_the_last_are_measured_that_are_alike(
    gaps: list[tuple[float, float]], at_most: int
) -> None:
    # Nothing is due after 2 s and before 6 s: the windows that end from 3 s on, and before 6 s, are empty.
    answers = [(n, answer) for n, answer in random_answers(401) if not 2.0 < answer.due_s < 6.0]
    bound = Bound.model_validate({"id": "x", "probe": "availability", "at_least": 0, "over": "1s", "min_samples": 10})
    unread = [Gap(probe="workload", from_s=from_s, to_s=to_s, why="busy") for from_s, to_s in gaps]
    every = {}
    for at_s in (1.0 + k * 0.1 for k in range(71)):
        window = [(n, a) for n, a in answers if at_s - 1.0 < a.due_s <= at_s]
        gap = any(from_s < at_s and to_s > at_s - 1.0 for from_s, to_s in gaps)
        every[at_s] = window_point(bound, ANSWER_PROBES["availability"], window, at_s, gap)
    points = answer_series(bound, as_due(answers), 0.0, 8.0, unread)
    points = [undated(point) for point in points]
    assert points == [every[point.hi_s] for point in points]
    assert (points[0].hi_s, points[-1].hi_s) == (1.0, 8.0)
    for before, after in pairwise(points):
        left_out = [point for at_s, point in every.items() if before.hi_s < at_s < after.hi_s]
        assert all(like(before) == like(point) == like(after) for point in left_out)
    assert sum(not point.cites for point in points) <= at_most


def test_a_window_that_is_open_says_the_first_reason_for_it() -> None:
    answers = as_due((n, answer.model_copy(update={"ok": n < 10})) for n, answer in random_answers(50))
    busy = [one._replace(inconclusive=f"busy {one.n}", machine=True) if one.n >= 10 else one for one in answers]
    bound = Bound.model_validate({"id": "x", "probe": "availability", "at_least": 1, "over": "1s", "min_samples": 10})
    [point] = answer_series(bound, busy, -0.01, 0.99)
    assert (point.good, point.why, point.machine) == (None, "busy 10", True)


@pytest.mark.parametrize("needed", [1, 60])
def test_a_window_knows_where_it_begins_whether_or_not_it_could_be_judged(needed: int) -> None:
    bound = Bound.model_validate(
        {"id": "x", "probe": "availability", "at_least": 0, "over": "1s", "min_samples": needed}
    )
    points = answer_series(bound, as_due(random_answers(400)), 0.0, 8.0)
    assert {point.good for point in points} == ({True} if needed == 1 else {None})
    assert all(point.since_s == point.hi_s - 1.0 for point in points)


@pytest.mark.parametrize(("every_s", "judged"), [(0.9, True), (1.2, False)])
def test_a_probe_may_go_unread_for_a_second_where_nothing_else_is_said(every_s: float, judged: bool) -> None:
    asked = [every_s * k for k in range(1, 6)]
    readings = [
        (k, Reading(probe="lag", planned_s=at_s, asked_s=at_s, answered_s=at_s, value=1.0))
        for k, at_s in enumerate(asked, start=1)
    ]
    bound = Bound.model_validate({"id": "x", "probe": "lag", "at_most": 5})
    points = reading_series(bound, readings, asked[0] - 0.1, asked[-1] + 0.1)
    assert all(point.good for point in points) is judged
    assert any(point.gap for point in points) is not judged
