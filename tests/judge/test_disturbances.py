"""When something other than the stack may be the cause, and which stretch is named for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.judge.machine import BACKLOG_MOST_S, Disturbance, Disturbances, joined
from harness.judge.moments import Span


def busy(*stretches: tuple[float, float]) -> Disturbances:
    busy = tuple(Disturbance(lo, hi, f"busy at {lo:g}–{hi:g} s") for lo, hi in stretches)
    return Disturbances(busy, busy=tuple(stretches))


@pytest.mark.parametrize(
    ("stretches", "found"),
    [
        ([(0.0, 5.0), (1.0, 2.0)], [(0.0, 5.0)]),
        ([(0.0, 5.0), (1.0, 6.0)], [(0.0, 6.0)]),
        ([(0.0, 5.0), (5.0, 6.0)], [(0.0, 6.0)]),
        ([(0.0, 5.0), (5.5, 6.0)], [(0.0, 5.0), (5.5, 6.0)]),
    ],
)
def test_stretches_that_overlap_or_touch_are_one(
    stretches: list[tuple[float, float]], found: list[tuple[float, float]]
) -> None:
    assert joined(stretches) == found


@pytest.mark.parametrize(
    ("stretch", "at_s", "named"),
    [
        ((10.0, 12.0), 14.0, True),
        ((10.0, 12.0), 14.1, False),
        ((10.0, 15.0), 20.0, True),
        ((2.0, 15.0), 20.0, True),
        ((2.0, 15.0), 20.1, False),
        ((10.0, 12.0), 10.0, True),
        ((10.0, 12.0), 9.9, False),
    ],
)
def test_what_piled_up_is_worked_off_for_as_long_again_and_for_five_seconds_at_most(
    stretch: tuple[float, float], at_s: float, named: bool
) -> None:
    assert (busy(stretch).by_machine(at_s, at_s) is not None) is named


@pytest.mark.parametrize(
    ("stretches", "named"),
    [
        (((11.0, 12.0), (14.0, 17.0)), "busy at 14–17 s"),
        (((11.0, 14.0), (16.0, 17.0)), "busy at 11–14 s"),
        # Long before it, and of that time for a moment only.
        (((1.0, 11.0), (14.0, 16.0)), "busy at 14–16 s"),
        (((11.0, 13.0), (19.0, 40.0)), "busy at 11–13 s"),
        (((11.0, 12.9),), None),
        (((2.0, 11.0), (19.5, 40.0)), None),
    ],
)
def test_a_machine_that_was_busy_for_seconds_is_named_for_the_longest_of_them_within_that_time(
    stretches: tuple[tuple[float, float], ...], named: str | None
) -> None:
    assert busy(*stretches).mostly(10.0, 20.0) == named


MOMENT = st.integers(0, 60).map(lambda k: k / 4)
STRETCH = st.tuples(MOMENT, st.one_of(MOMENT, st.just(math.inf))).map(sorted)


def stretches(of: Sequence[Sequence[float]], name: str) -> tuple[Disturbance, ...]:
    return tuple(Disturbance(lo, hi, f"{name} {k}") for k, (lo, hi) in enumerate(of))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(MOMENT, MOMENT).map(sorted)), st.lists(STRETCH), MOMENT, MOMENT)
def test_what_is_looked_up_is_what_a_look_at_every_stretch_finds(
    machine: list[list[float]], harness: list[list[float]], from_s: float, to_s: float
) -> None:
    # That of a proxy that died stands last, wherever it begins, and has no end.
    busy = joined(sorted(map(tuple, machine)))
    found = Disturbances(stretches(busy, "busy"), stretches(harness, "late"), tuple(busy))

    def first(seen: Sequence[Disturbance], more_s: float = 0.0) -> str | None:
        reach = ((one, one.hi + min(one.hi - one.lo, more_s)) for one in seen)
        return next((one.why for one, until_s in reach if one.lo <= to_s and until_s >= from_s), None)

    by_machine = first(found.machine, BACKLOG_MOST_S)
    busy_s = sum(max(0.0, min(one.hi, to_s) - max(one.lo, from_s)) for one in found.machine)
    assert found.by_machine(from_s, to_s) == by_machine
    assert found.why(from_s, to_s) == (by_machine or first(found.harness))
    assert found.busy_s(from_s, to_s) == busy_s
    assert found.within(Span(9.0, 9.0), 8.0, from_s, to_s)[1] == (first(found.machine) if busy_s >= 1.0 else None)


def test_a_request_is_not_compared_with_every_stretch() -> None:
    seen = 0

    class Counting(tuple[Disturbance, ...]):
        def __getitem__(self, k: object) -> Disturbance:  # type: ignore[override]
            nonlocal seen
            seen += 1
            return super().__getitem__(k)  # type: ignore[index, no-any-return]

    found = Disturbances(Counting(busy(*((k, k + 0.5) for k in map(float, range(0, 4000, 20)))).machine))
    for at_s in range(0, 4000, 4):
        found.why(at_s, at_s + 1.0)
    assert 0 < seen < 10_000
