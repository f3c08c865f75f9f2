from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refstack import eventtime as et

EVENTS = st.integers(et.parse("2013-01-01T00:00"), et.parse("2013-12-31T23:59"))


@given(EVENTS, st.integers(0, 40 * 86_400))
def test_ages_add_up_and_never_shrink(event: int, later_s: int) -> None:
    assert et.age(event + later_s, event) >= 0
    assert et.age(et.advance(event, later_s), event) == later_s


@given(EVENTS)
def test_an_instant_of_the_night_is_the_five_o_clock_that_follows(event: int) -> None:
    back = et.event_at(et.active(event))
    hour = event // 3600 % 24
    assert back == event if 5 <= hour < 23 else back % 86_400 == et.OPEN_S
    assert 0 <= back - event <= 6 * 3600


@given(st.lists(EVENTS, min_size=1))
def test_arrays_and_numbers_agree(events: list[int]) -> None:
    many = np.array(events, dtype=np.int64)
    assert et.active(many).tolist() == [et.active(event) for event in events]
    assert et.event_at(et.active(many)).tolist() == [et.event_at(et.active(event)) for event in events]


def test_the_clock_skips_the_night() -> None:
    assert et.iso(et.advance(et.parse("2013-06-14T22:30"), 3600)) == "2013-06-15T05:30:00"
    assert et.age(et.parse("2013-06-15T05:30"), et.parse("2013-06-14T22:30")) == 3600
    assert et.event_at(et.active(et.parse("2013-06-14T23:40"))) == et.parse("2013-06-15T05:00")


@given(EVENTS)
def test_hours_have_names_that_read_back(event: int) -> None:
    hour = et.hour_of(event)
    assert et.hour_number(et.hour_name(hour)) == hour
    assert et.hour_of(et.hour_end(hour)) == hour + 1
