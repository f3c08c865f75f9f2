"""Properties that hold whatever the numbers: of the truth, of event time, of chance."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model.eventtime import DAY_S, EventClock
from harness.model.fault import chosen, draw
from harness.probes.workload_file import Truth

EVENTS = st.integers(1_300_000_000, 1_500_000_000)
CLOCKS = st.builds(
    lambda start, speed, night: EventClock(start, 1_700_000_000.0, speed, *((5 * 3600, 23 * 3600) if night else ())),
    EVENTS, st.sampled_from([1.0, 60.0, 3600.0]), st.booleans(),
)  # fmt: skip


@given(st.sets(EVENTS, min_size=1), EVENTS)
def test_truth_is_the_last_step_at_or_before(times: set[int], asked: int) -> None:
    truth = Truth()
    for at in sorted(times):
        truth.add("e", "g", at, {"v": float(at)})
    before = [at for at in times if at <= asked]
    assert truth.as_of("e", "g", asked) == ({"v": float(max(before))} if before else None)
    assert truth.as_of("other", "g", asked) is None


def by_day(clock: EventClock, event: float) -> bool:
    return clock.open_s <= event % DAY_S < clock.close_s


@given(CLOCKS, EVENTS)
def test_the_clock_and_its_inverse(clock: EventClock, event: int) -> None:
    back = clock.event_at(clock.unix_of(event))
    assert abs(clock.active(back) - clock.active(event)) < 0.01 * clock.speed
    if by_day(clock, event):
        assert abs(clock.event_of_active(clock.active(event)) - event) < 1e-3


@given(CLOCKS, EVENTS, EVENTS, EVENTS)
def test_ages_add_up_and_never_run_backwards(clock: EventClock, a: int, b: int, c: int) -> None:
    assert abs(clock.age_s(a, b) + clock.age_s(b, c) - clock.age_s(a, c)) < 1e-6
    if a <= b:
        assert 0 <= clock.age_s(b, a) <= b - a


@given(CLOCKS.filter(lambda clock: clock.open_s > 0), EVENTS)
def test_nights_take_no_time(clock: EventClock, event: int) -> None:
    day = event - event % DAY_S
    assert clock.age_s(day + DAY_S + clock.open_s, day + clock.close_s) == 0
    assert clock.age_s(day + DAY_S + clock.open_s + 60, day + clock.close_s - 60) == 120


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from([0.1, 0.5, 0.9]))
def test_chance_is_uniform_and_knows_no_order(seed: int, share: float) -> None:
    rows = [("f", entity, at) for entity in "abcd" for at in range(500)]
    forwards = {row for row in rows if chosen(share, seed, *row)}
    backwards = {row for row in rows[::-1] if chosen(share, seed, *row)}
    assert forwards == backwards
    assert abs(len(forwards) / len(rows) - share) < 0.07
    assert all(0 <= draw(seed, *row) < 1 for row in rows[:50])
    assert draw(seed, "ab", "c") != draw(seed, "a", "bc")
