"""Seeded choice, and event time that runs fast and skips the night."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.eventtime import EventClock
from harness.model.fault import chosen, draw


def parse_event(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


NIGHT = {"from": "23:00", "to": "05:00"}
SPOKEN = {"start_event": parse_event("2013-06-14T22:00"), "start_unix": 100.0, "speed": 3600.0, "skip": [NIGHT]}


def test_a_choice_depends_on_the_seed_and_on_what_is_decided_alone() -> None:
    assert draw(1, "slow", "JFK", 3600) == draw(1, "slow", "JFK", 3600)
    assert len({draw(1, "a"), draw(2, "a"), draw(1, "b"), draw(1, "a", "b"), draw(1, "ab")}) == 5


@given(st.integers(), st.text())
def test_a_share_of_one_takes_all_and_of_nothing_none(seed: int, what: str) -> None:
    assert 0.0 <= draw(seed, what) < 1.0
    assert chosen(1.0, seed, what)
    assert not chosen(0.0, seed, what)


def test_a_share_is_about_that_share() -> None:
    assert 250 < sum(chosen(0.3, 7, n) for n in range(1000)) < 350


def test_the_night_is_skipped_and_does_not_age_anything() -> None:
    clock = EventClock.from_json(SPOKEN)
    assert clock.event_at(102.0) == parse_event("2013-06-15T06:00")
    assert clock.age_s(parse_event("2013-06-15T06:00"), parse_event("2013-06-14T22:00")) == 7200
    assert clock.age_s(parse_event("2013-06-14T22:00"), parse_event("2013-06-15T06:00")) == -7200
    assert clock.age_s(parse_event("2013-06-15T04:00"), parse_event("2013-06-14T23:30")) == 0


@given(st.floats(0, 1e5))
def test_moments_of_both_clocks_turn_into_one_another(unix: float) -> None:
    clock = EventClock.from_json(SPOKEN)
    assert clock.unix_of(clock.event_at(unix)) == pytest.approx(unix, abs=1e-3)


def test_a_clock_may_skip_nothing() -> None:
    clock = EventClock.from_json({"start_event": 0, "start_unix": 0.0, "speed": 1.0})
    assert clock.event_at(90_000.0) == 90_000.0


@pytest.mark.parametrize("skip", [[NIGHT, NIGHT], [{"from": "05:00", "to": "23:00"}]])
def test_a_clock_of_another_form_is_refused(skip: list[dict[str, str]]) -> None:
    with pytest.raises(ValueError, match="skip"):
        EventClock.from_json(SPOKEN | {"skip": skip})
