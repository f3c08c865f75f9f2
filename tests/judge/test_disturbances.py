"""When something other than the stack may be the cause, and which stretch is named for it."""

from __future__ import annotations

import pytest

from harness.judge.machine import Disturbance, Disturbances, joined


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
