"""The live feature: one by one, many at once, through the stream, and by the plain words of its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refstack import eventtime as et
from refstack.dataset import Dataset
from refstack.definitions import EMPTY_MIN, WINDOW_S, Departures, mean_delays
from refstack.replayer import entries
from refstack.schema import DELAY, ENTITIES, GROUPS
from refstack.sourceview import SourceView, agrees
from refstack.workload import truth

DEPARTURES = st.lists(st.tuples(st.integers(0, 50_000), st.integers(-40, 400)), max_size=60).map(sorted)


@given(DEPARTURES, st.lists(st.integers(0, 60_000), min_size=1))
def test_both_forms_are_the_definition(departures: list[tuple[int, int]], moments: list[int]) -> None:
    one = Departures()
    for at, delay in departures:
        one.add(at, delay)
    times = np.array([at for at, _ in departures], dtype=np.int64)
    delays = np.array([delay for _, delay in departures], dtype=np.int64)
    many = mean_delays(times, delays, np.array(moments, dtype=np.int64))
    for moment, found in zip(moments, many.tolist(), strict=True):
        inside = [delay for at, delay in departures if moment - WINDOW_S < at <= moment]
        expected = sum(inside) / len(inside) if inside else EMPTY_MIN
        assert one.mean_delay(moment) == pytest.approx(expected)
        assert found == pytest.approx(expected)


def test_forgetting_changes_no_later_value() -> None:
    kept, other = Departures(), Departures()
    for at in range(0, 90_000, 60):
        kept.add(at, at % 97)
        other.add(at, at % 97)
    kept.forget(80_000)
    assert [kept.mean_delay(at) for at in range(80_000, 90_000, 300)] == [
        other.mean_delay(at) for at in range(80_000, 90_000, 300)
    ]


def test_departures_must_come_in_order() -> None:
    departures = Departures()
    departures.add(100, 5)
    with pytest.raises(ValueError, match="comes after"):
        departures.add(99, 5)


def replayed(data: Dataset, start: int, end: int) -> SourceView:
    view = SourceView()
    for active in range(et.active(start), et.active(end) + 1, et.SLOT_S):
        for entry in entries(data, et.event_at(active)):
            view.apply(entry)
    return view


@pytest.mark.parametrize("start", ["2013-06-14T18:00", "2013-02-08T14:00", "2013-11-02T20:00"])
def test_what_is_published_gives_the_workloads_truth_across_the_night(data: Dataset, start: str) -> None:
    begin = et.parse(start)
    end = et.advance(begin, 10 * 3600)
    view = replayed(data, et.advance(begin, -4 * 3600), end)
    checked = dict.fromkeys(GROUPS, 0)
    for line in truth(data, begin, end):
        found = view.truth(line["entity"], line["group"], line["at"])
        if line["at"] >= begin:
            assert found is not None
            assert agrees(line["group"], found, line["values"])
            checked[line["group"]] += 1
    assert checked[DELAY] == (10 * 12 + 1) * len(ENTITIES)
    assert checked["weather"] >= 10 * len(ENTITIES)


def test_a_view_knows_what_it_cannot_know(data: Dataset) -> None:
    begin = et.parse("2013-06-14T10:00")
    view = replayed(data, begin, et.advance(begin, 3 * 3600))
    assert view.truth("JFK", DELAY, begin + WINDOW_S - 300) is None
    assert view.truth("JFK", DELAY, begin + WINDOW_S) is not None
    assert view.truth("JFK", DELAY, view.watermark + 300) is None
    assert view.truth("XXX", DELAY, view.watermark) is None
