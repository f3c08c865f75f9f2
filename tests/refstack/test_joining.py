"""Exactly once: whatever the order, the retries and the restarts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from refstack import eventtime as et
from refstack.joining import NEVER_S, Hour, Joiner, example
from refstack.schema import FEATURES
from refstack.sourceview import Departed

START = et.parse("2013-06-14T20:00")
FIRST = et.hour_of(START)


def slot_of(event: int) -> int:
    """Return the watermark under which an event is published: the first grid instant not before it."""
    return et.event_at(-(-et.active(event) // et.SLOT_S) * et.SLOT_S)


def served(key: str, at: int, scheduled: int, fallback: str | None = None) -> dict:
    return {
        "id": key,
        "scheduled": scheduled,
        "version": 1,
        "fallback": fallback,
        "origin": "JFK",
        "carrier": "UA",
        "distance": 500.0,
        "hour": 20,
        "weekday": 4,
        "features": {name: {"value": 1.0, "event_time": at} for name in FEATURES},
    }


@dataclass
class Disk:
    hours: dict[int, Hour] = field(default_factory=dict)

    def write(self, closed: list[Hour]) -> None:
        for hour in closed:
            assert hour.hour not in self.hours
            self.hours[hour.hour] = hour

    def ids(self) -> Counter[str]:
        rows = [row for hour in self.hours.values() for row in (*hour.training, *hour.quarantine)]
        return Counter(row["id"] for row in rows)


FLIGHTS = st.lists(
    st.tuples(
        st.integers(0, 5 * 3600),  # asked so long after the start
        st.one_of(st.none(), st.integers(-40, 300)),  # delay in minutes
        st.sampled_from([None, None, None, "stale"]),
        st.booleans(),  # answered twice, by two servers
        st.booleans(),  # the answer is read only after the outcome
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(FLIGHTS, st.lists(st.integers(0, 150), max_size=4), st.integers(0, 2))
def test_every_matured_unflagged_answer_is_in_exactly_one_hour(
    flights: list[tuple[int, int | None, str | None, bool, bool]], kills: list[int], unwritten: int
) -> None:
    log: list[tuple[int, int, object]] = []
    wanted = set()
    for number, (asked_s, delay, fallback, twice, late) in enumerate(flights):
        key, at = f"f{number}", et.advance(START, asked_s)
        scheduled = et.advance(at, 3600)
        left = None if delay is None else scheduled + 60 * delay
        read = et.advance(slot_of(left), 600) if late and left else at
        log.append((et.active(slot_of(read)), 0, served(key, at, scheduled, fallback)))
        if twice:
            log.append((et.active(slot_of(read)), 0, served(key, at, scheduled, None)))
        if left is not None:
            log.append((et.active(slot_of(left)), 1, Departed(key, "JFK", left, delay or 0)))
            if fallback is None or twice:
                wanted.add(key)
    slots = range(et.active(START), et.active(START) + 16 * 3600, et.SLOT_S)
    disk, joiner = Disk(), Joiner(None, FIRST)
    for step, slot in enumerate(slots):
        if step in kills:
            # Killed: the newest hours may not have reached the store; everything is replayed from the streams.
            for hour in sorted(disk.hours)[len(disk.hours) - unwritten :]:
                del disk.hours[hour]
            joiner = Joiner(None, FIRST)
            joiner.recover((hour, [row["id"] for row in closed.training]) for hour, closed in disk.hours.items())
            for past in range(et.active(START), slot, et.SLOT_S):
                disk.write(advance(joiner, log, past))
        disk.write(advance(joiner, log, slot))
    found = disk.ids()
    assert set(found) == wanted
    assert not [key for key, count in found.items() if count > 1]


def advance(joiner: Joiner, log: list[tuple[int, int, object]], slot: int) -> list[Hour]:
    now = [item for item in log if item[0] == slot]
    for _, kind, entry in sorted(now, key=lambda item: item[1]):
        if kind == 0:
            joiner.serve(entry)  # type: ignore[arg-type]
        else:
            joiner.depart(entry)  # type: ignore[arg-type]
    return joiner.close(et.event_at(slot))


def test_a_pair_goes_to_the_hour_of_its_outcome_and_a_late_one_to_the_open_hour() -> None:
    joiner = Joiner(None, FIRST)
    at = et.advance(START, 1800)
    joiner.serve(served("a", at, at))
    joiner.depart(Departed("a", "JFK", at, 20))
    joiner.depart(Departed("b", "JFK", at, 0))
    closed = joiner.close(et.hour_end(FIRST))
    assert [(hour.hour, [row["id"] for row in hour.training]) for hour in closed] == [(FIRST, ["a"])]
    joiner.serve(served("b", at, at))
    closed = joiner.close(et.hour_end(FIRST + 2))
    assert [[row["id"] for row in hour.training] for hour in closed] == [["b"], []]


def test_what_the_guard_refuses_is_kept_out_with_its_reason() -> None:
    joiner = Joiner(lambda row: "wrong" if row["id"] == "bad" else None, FIRST)
    for key in ("bad", "good"):
        joiner.serve(served(key, START, START))
        joiner.depart(Departed(key, "JFK", START, 0))
    (hour,) = joiner.close(et.hour_end(FIRST))
    assert [row["id"] for row in hour.training] == ["good"]
    assert [(row["id"], row["reason"]) for row in hour.quarantine] == [("bad", "wrong")]
    assert (joiner.counts.pairs, joiner.counts.quarantined) == (1, 1)


def test_features_newer_than_the_source_seen_wait_for_it() -> None:
    joiner = Joiner(lambda _: None, FIRST)
    ahead = et.advance(et.hour_end(FIRST), 900)
    joiner.serve(served("a", ahead, START))
    joiner.depart(Departed("a", "JFK", START, 0))
    assert joiner.close(et.hour_end(FIRST))[0].training == []
    assert [row["id"] for row in joiner.close(et.hour_end(FIRST + 1))[0].training] == ["a"]


def test_flagged_and_cancelled_are_counted_and_forgotten() -> None:
    joiner = Joiner(None, FIRST)
    joiner.serve(served("flagged", START, START, "stale"))
    joiner.serve(served("cancelled", START, START))
    joiner.depart(Departed("flagged", "JFK", START, 0))
    closed = joiner.close(et.advance(START, NEVER_S + 7200))
    assert not any(hour.training for hour in closed)
    assert (joiner.counts.flagged, joiner.counts.cancelled, joiner.backlog) == (1, 1, 0)


def test_due_answers_without_outcome_are_seen() -> None:
    joiner = Joiner(None, FIRST)
    for number in range(10):
        joiner.serve(served(f"f{number}", START, START))
    for number in range(4):
        joiner.depart(Departed(f"f{number}", "JFK", START, 0))
    assert joiner.due(et.advance(START, 3 * 3600)) == (10, 6)
    assert joiner.due(et.advance(START, 3600)) == (0, 0)


def test_the_label_is_late_from_fifteen_minutes_on() -> None:
    answer = served("a", START, START)
    assert [example(answer, Departed("a", "JFK", START, delay))["label"] for delay in (14, 15)] == [0, 1]
