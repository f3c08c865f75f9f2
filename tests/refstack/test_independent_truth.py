"""Stack and workload against a truth that shares no definition with them: `independent_truth.py` says how it was made.

A window, a filter or a rounding that is wrong in `refstack.definitions` is wrong in the answers and in what they are
compared with. It differs from this sample.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import independent_truth
import numpy as np
import pytest

from refstack import definitions
from refstack import eventtime as et
from refstack.dataset import CANCELLED, Dataset
from refstack.feature_pipeline import online_fields
from refstack.joining import example
from refstack.replayer import entries
from refstack.schema import DELAY, ENTITIES, FEATURES, GROUPS, WEATHER
from refstack.sourceview import Departed, SourceView
from refstack.workload import requests, truth

DIGEST = "66f31186f2554e36d1a80bdf00004a11880f7f8050dc363ce8c9cb6d798a402f"
MINUTE_S = 60
NOTHING = {"value": 0.0, "event_time": 0}


@cache
def kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(independent_truth.SAMPLE.read_text("utf-8"))
    return found


def expected_delays() -> Iterator[tuple[str, int, float]]:
    """Each airport and moment with the true feature: a mean of whole minutes, to the last bit."""
    for airport, moment, minutes, flights in kept()["delays"]["rows"]:
        yield airport, et.parse(moment), minutes / flights if flights else 0.0


def expected_weather() -> Iterator[tuple[str, int, dict[str, float]]]:
    for airport, moment, observed in kept()["weather"]["rows"]:
        yield airport, et.parse(moment), observed


def days() -> Iterator[tuple[int, int]]:
    for day in independent_truth.DAYS:
        yield et.parse(f"{day}T05:00"), et.parse(f"{day}T22:55")


def computed_delays(data: Dataset) -> dict[tuple[str, int], float]:
    """The feature at every moment of the sample, as the stack's definitions give it from the prepared data."""
    flight = data["departure_flight"]
    origins, delays = data["flight_origin"][flight], data["flight_delay"][flight].astype(np.int64)
    assert CANCELLED not in delays
    found = {}
    for number, airport in enumerate(ENTITIES):
        moments = np.array([at for name, at, _ in expected_delays() if name == airport], dtype=np.int64)
        here = origins == number
        values = definitions.mean_delays(data["departure_at"][here], delays[here], moments)
        found |= {(airport, at): value for at, value in zip(moments.tolist(), values.tolist(), strict=True)}
    return found


def test_the_sample_is_the_one_that_was_made() -> None:
    assert hashlib.sha256(independent_truth.SAMPLE.read_bytes()).hexdigest() == DIGEST
    assert len(list(expected_delays())) == 9 * 3 * 11
    assert len({value for _, _, value in expected_delays()}) > 200, "it is of many values"
    assert any(value == 0.0 for _, _, value in expected_delays())


@pytest.mark.slow
def test_it_is_made_of_the_installed_data_and_of_nothing_else() -> None:
    assert independent_truth.as_text(independent_truth.sample()) == independent_truth.SAMPLE.read_text("utf-8")
    text = (independent_truth.HERE / "independent_truth.py").read_text("utf-8")
    assert not any(line.startswith(("import", "from")) and "refstack" in line for line in text.splitlines())


def test_the_definitions_give_the_true_delays(data: Dataset) -> None:
    assert computed_delays(data) == {(airport, at): value for airport, at, value in expected_delays()}


def test_the_workload_compares_answers_with_the_true_features(data: Dataset) -> None:
    found: dict[tuple[str, str, int], dict[str, float]] = {}
    for begin, end in days():
        found |= {(line["entity"], line["group"], line["at"]): line["values"] for line in truth(data, begin, end)}
    for airport, at, value in expected_delays():
        assert found[airport, DELAY, at] == {DELAY: value}, (airport, et.iso(at))
    for airport, at, observed in expected_weather():
        assert found[airport, WEATHER, at] == observed, (airport, et.iso(at))


def test_the_stack_serves_the_true_features(data: Dataset) -> None:
    delays = {(airport, at): value for airport, at, value in expected_delays()}
    weather = {(airport, at): observed for airport, at, observed in expected_weather()}
    for begin, end in days():
        view = SourceView()
        for active in range(et.active(begin) - 4 * et.HOUR_S, et.active(end) + 1, et.SLOT_S):
            for entry in entries(data, et.event_at(active)):
                view.apply(entry)
            for airport in ENTITIES:
                served(view, airport, delays, weather)
    assert not delays
    assert not weather


def served(view: SourceView, airport: str, delays: dict[tuple[str, int], float], weather: dict[Any, Any]) -> None:
    """Compare what is written online under this watermark, where it is in the sample, and strike it out there."""
    key = (airport, view.watermark)
    current = view.current(airport)
    fields = online_fields(current) if current is not None else {}
    if key in delays:
        assert float(fields[DELAY]) == delays.pop(key), (airport, et.iso(view.watermark))
    if key in weather:
        assert {name: float(fields[name]) for name in GROUPS[WEATHER]} == weather.pop(key)


def test_outcomes_and_labels_are_the_true_ones(data: Dataset) -> None:
    sent = {}
    for day in independent_truth.FLIGHTS_OF:
        begin = et.advance(et.parse(f"{day}T05:00"), -2 * et.HOUR_S)
        sent |= {line["id"]: line for line in requests(data, begin, et.parse(f"{day}T22:59"))}
    late = 0
    for airport, carrier, number, scheduled, left, was_late in kept()["outcomes"]["rows"]:
        line = sent[f"{scheduled[:10]}-{carrier}-{number}-{airport}-{scheduled[11:13]}{scheduled[14:16]}"]
        assert line["outcome"] == (None if was_late is None else int(was_late))
        assert line["outcome_at"] == (None if left is None else et.parse(left))
        if left is None:
            continue
        late += was_late
        delay_min = (et.parse(left) - et.parse(scheduled)) // MINUTE_S
        departed = Departed(line["id"], airport, et.parse(left), delay_min)
        answered = line["body"] | {"version": 1, "features": dict.fromkeys(FEATURES, NOTHING)}
        assert example(answered, departed)["label"] == int(was_late)
    assert late > 20


@pytest.mark.parametrize("window_s", [3600, 7200 - 300, 7200 - 60, 7200 + 1, 7200 + 60, 3 * 3600])
def test_another_window_differs_from_it(data: Dataset, monkeypatch: pytest.MonkeyPatch, window_s: int) -> None:
    monkeypatch.setattr(definitions, "WINDOW_S", window_s)
    assert differences(data) > 0


@pytest.mark.parametrize("change", ["rounded", "whole", "empty", "moment left out"])
def test_another_definition_differs_from_it(data: Dataset, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    right = definitions.mean_delays
    if change == "empty":
        monkeypatch.setattr(definitions, "EMPTY_MIN", 12.6)
    elif change == "moment left out":
        monkeypatch.setattr(definitions, "mean_delays", lambda times, delays, at: right(times, delays, at - 1))
    else:
        digits = {"rounded": 3, "whole": 0}[change]
        monkeypatch.setattr(definitions, "mean_delays", lambda *given: np.round(right(*given), digits))
    assert differences(data) > 0


def differences(data: Dataset) -> int:
    found = computed_delays(data)
    return sum(found[airport, at] != value for airport, at, value in expected_delays())
