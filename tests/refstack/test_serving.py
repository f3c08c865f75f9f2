"""Which features a server answers with, and what it says about them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refstack import eventtime as et
from refstack.feature_pipeline import online_fields, skip_backlog
from refstack.schema import DEFAULTS, DELAY, FEATURES, FRESH_S, GROUPS, WEATHER
from refstack.serving import WATERMARKS, Chooser, Snapshot, WatermarkClock, described, parse

NOON = et.parse("2013-06-14T12:00")
VALUES = dict(DEFAULTS)


def snapshot(at: int, delay: float = 5.0) -> Snapshot:
    return Snapshot({**VALUES, DELAY: delay}, dict.fromkeys(GROUPS, at))


def test_fresh_features_are_used_without_a_flag() -> None:
    chosen = Chooser().choose("JFK", snapshot(NOON), None, NOON + 300)
    assert chosen.fallback is None
    assert described(chosen)[DELAY] == {"value": 5.0, "event_time": NOON}


def test_freshness_does_not_count_the_night() -> None:
    evening = et.parse("2013-06-14T22:30")
    chooser = Chooser()
    assert chooser.choose("JFK", snapshot(evening), None, et.parse("2013-06-15T05:30")).fallback is None
    assert chooser.choose("JFK", snapshot(evening), None, et.parse("2013-06-15T06:05")).fallback == "stale"


@given(st.integers(0, 6 * 3600))
def test_an_answer_is_stale_exactly_when_a_group_is_older_than_declared(age_s: int) -> None:
    chosen = Chooser().choose("JFK", snapshot(NOON), None, et.advance(NOON, age_s))
    assert (chosen.fallback == "stale") == (age_s > min(FRESH_S.values()))


def test_without_features_the_last_good_ones_are_given_or_the_default() -> None:
    chooser = Chooser()
    assert chooser.choose("JFK", None, None, NOON).fallback == "default"
    assert chooser.choose("XXX", snapshot(NOON), None, NOON).fallback == "default"
    chooser.choose("JFK", snapshot(NOON, 7.0), None, NOON)
    chosen = chooser.choose("JFK", None, None, NOON + 300)
    assert (chosen.fallback, chosen.values[DELAY], chosen.stamps[DELAY]) == ("last_good", 7.0, NOON)


def test_quarantine_keeps_to_what_was_verified() -> None:
    chooser = Chooser()
    chooser.choose("JFK", snapshot(NOON, 7.0), None, NOON)
    chooser.choose("JFK", snapshot(NOON + 300, 420.0), None, NOON + 300)
    chosen = chooser.choose("JFK", snapshot(NOON + 600, 420.0), NOON + 299, NOON + 600)
    assert (chosen.fallback, chosen.values[DELAY]) == ("quarantined", 7.0)
    assert chooser.choose("JFK", snapshot(NOON + 600), NOON - 1, NOON + 600).fallback == "default"


def test_what_the_pipeline_writes_is_what_a_server_reads() -> None:
    current = {DELAY: (NOON, {DELAY: 12.345678901234567}), WEATHER: (NOON - 900, dict.fromkeys(GROUPS[WEATHER], 1.25))}
    read, problem = parse(online_fields(current))
    assert problem is None
    assert read is not None
    assert read.values[DELAY] == 12.345678901234567
    assert read.stamps == {DELAY: NOON, WEATHER: NOON - 900}


def test_missing_and_impossible_fields_are_distinguished() -> None:
    fields = {name: str(VALUES[name]) for name in FEATURES} | {f"{group}__t": str(NOON) for group in GROUPS}
    assert parse(fields)[1] is None
    assert parse({})[1] == "missing"
    assert parse({**fields, "temp": "nan"})[1] == "missing"
    assert parse({**fields, "temp": "warm"})[1] == "missing"
    assert parse({**fields, DELAY: "720"})[1] == "range"


def test_a_watermark_that_stops_is_carried_on_by_the_servers_own_clock() -> None:
    clock = WatermarkClock(3600.0)
    assert clock.now(5.0) == 0
    clock.see(NOON, 10.0)
    assert clock.now(9.9) == NOON
    assert clock.now(10.5) == NOON + 1800
    assert clock.now(12.0) == NOON + 7200
    clock.see(NOON - 600, 12.0)
    assert clock.now(12.0) == NOON + 7200
    clock.see(NOON + 7500, 12.1)
    assert clock.now(12.1) == NOON + 7560
    clock.see(NOON + 9000, 12.2)
    assert clock.now(12.2) == NOON + 9000


def test_a_backlog_that_is_caught_up_does_not_set_the_clock_back() -> None:
    clock = WatermarkClock(3600.0)
    clock.see(NOON, 10.0)
    for slot in range(1, 20):
        clock.see(NOON + 300 * slot, 17.0)
        assert clock.now(17.0) == NOON + 7 * 3600


@given(st.lists(st.floats(0, 0.3), min_size=1, max_size=WATERMARKS), st.floats(0, 20))
def test_the_clock_is_as_late_as_the_watermark_that_came_the_soonest(late: list[float], silent_s: float) -> None:
    clock = WatermarkClock(3600.0)
    for slot, late_s in enumerate(late):
        clock.see(NOON + 300 * slot, 300 * slot / 3600 + late_s)
    now_s = 300 * len(late) / 3600 + 0.3 + silent_s
    lag_s = et.age(et.advance(NOON, int(now_s * 3600)), clock.now(now_s)) / 3600
    assert min(late) - 0.001 <= lag_s <= min(late) + 0.001


def test_a_watermark_that_ran_ahead_of_its_source_is_forgotten() -> None:
    clock = WatermarkClock(3600.0)
    clock.see(NOON + 3600, 10.0)
    for slot in range(WATERMARKS):
        clock.see(NOON + 3900 + 300 * slot, 11.2 + slot / 12)
    now_s = 11.2 + (WATERMARKS - 1) / 12
    assert clock.now(now_s) == NOON + 3900 + 300 * (WATERMARKS - 1)


def test_a_backlog_is_skipped_only_where_that_is_configured() -> None:
    backlog = [(f"{NOON + 300 * slot}-0", {"kind": "watermark", "at": str(NOON + 300 * slot)}) for slot in range(20)]
    assert skip_backlog(backlog, 0) == backlog
    assert skip_backlog(backlog[:5], 1800) == backlog[:5]
    assert skip_backlog(backlog, 1800) == backlog[-1:]
    assert skip_backlog([], 1800) == []
