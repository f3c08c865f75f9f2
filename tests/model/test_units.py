"""Durations and quantities: what people write is read, what is read is written back, and nothing mixes clocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from harness.model.units import (
    HIGHEST,
    PositiveWallSeconds,
    Quantity,
    Unit,
    WallSeconds,
    format_amount,
    format_seconds,
    parse_wall_s,
)

lengths = st.floats(0, 600_000, allow_nan=False)


@given(lengths)
def test_seconds_read_back_as_they_were_written(seconds: float) -> None:
    assert parse_wall_s(format_seconds(seconds)) == seconds


@given(lengths, st.sampled_from([Unit.WALL, Unit.EVENT]))
def test_durations_read_back_as_they_were_written(seconds: float, unit: Unit) -> None:
    quantity = Quantity(seconds, unit)
    assert Quantity.parse(str(quantity)) == quantity


@given(st.floats(-HIGHEST / 2, HIGHEST / 2, allow_nan=False) | lengths.map(lambda s: f"{s:f}s event"))
def test_quantities_survive_json(raw: object) -> None:
    adapter = TypeAdapter(Quantity)
    quantity = Quantity.parse(raw)
    assert Quantity.parse(quantity) is quantity
    assert adapter.validate_json(adapter.dump_json(quantity)) == quantity


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("800ms", 0.8), (" 5 s ", 5.0), ("2min", 120.0), ("1.5h", 5400.0), ("1d", 86400.0), ("250us", 0.00025)],
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_wall_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7200.0, "2h"), (120.0, "2min"), (5.0, "5s"), (0.25, "250ms"), (0.0, "0s"), (1e-6, "0.000001s")],
)
def test_durations_as_they_are_written(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("5", "with its unit"),
        (5, "with its unit"),
        (True, "with its unit"),
        (None, "with its unit"),
        ("-5s", "has a sign"),
        ("5 s event", "is event time"),
        ("8d", "longer than a week"),
        ("9" * 400 + "s", "longer than a week"),
    ],
)
def test_what_is_no_wall_clock_duration_is_refused(raw: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_wall_s(raw)


@pytest.mark.parametrize(
    "raw", [True, None, "", "fast", "5 events", float("nan"), float("inf"), 1e16, "9" * 400 + "s", [1]]
)
def test_what_is_no_quantity_is_refused(raw: object) -> None:
    with pytest.raises(ValueError):
        Quantity.parse(raw)


def test_a_quantity_says_its_clock() -> None:
    assert Quantity.parse("90min event") == Quantity(5400.0, Unit.EVENT)
    assert Quantity.parse("250ms") == Quantity(0.25, Unit.WALL)
    assert Quantity.parse(3) == Quantity(3.0, Unit.NUMBER)
    assert [str(Quantity.parse(raw)) for raw in ("90min event", "250ms", 3, 0.99)] == [
        "90min event",
        "250ms",
        "3",
        "0.99",
    ]


def test_zero_is_a_duration_but_not_a_positive_one() -> None:
    assert TypeAdapter(WallSeconds).validate_python("0s") == 0.0
    with pytest.raises(ValidationError, match="longer than zero"):
        TypeAdapter(PositiveWallSeconds).validate_python("0s")
    assert TypeAdapter(PositiveWallSeconds).dump_json(0.8) == b'"800ms"'


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.12344, Unit.RATIO, "12.3 %"),
        (0.9949, Unit.RATIO, "99.5 %"),
        (0.995, Unit.RATIO, "99.5 %"),
        (0.99874, Unit.RATIO, "99.87 %"),
        (-0.12344, Unit.RATIO, "-12.3 %"),
        (0.0, Unit.RATIO, "0 %"),
        (1.0, Unit.RATIO, "100 %"),
        (5400.0, Unit.EVENT, "1.5 h event"),
        (5399.0, Unit.EVENT, "90 min event"),
        (120.0, Unit.WALL, "2 min"),
        (119.5, Unit.WALL, "120 s"),
        (119.0, Unit.WALL, "119 s"),
        (-7200.0, Unit.WALL, "-2 h"),
        (1.0, Unit.WALL, "1 s"),
        (0.9994, Unit.WALL, "999 ms"),
        (0.0, Unit.WALL, "0 s"),
        (1234.0, Unit.COUNT, "1,234"),
        (0.12346, Unit.NUMBER, "0.1235"),
        (None, Unit.COUNT, None),
        (float("inf"), Unit.WALL, None),
    ],
)
def test_values_are_written_as_a_reader_needs_them(value: float | None, unit: Unit, text: str | None) -> None:
    assert format_amount(value, unit) == text


def test_the_published_schema_tells_editors_the_forms() -> None:
    schema = TypeAdapter(Quantity).json_schema()
    assert {"type": "number"} in schema["anyOf"]
    assert "examples" in TypeAdapter(WallSeconds).json_schema()


@pytest.mark.parametrize(("raw", "share"), [("99%", 0.99), ("99.5 %", 0.995), ("0%", 0.0), ("100%", 1.0)])
def test_a_share_may_be_written_in_per_cent(raw: str, share: float) -> None:
    assert Quantity.parse(raw) == Quantity(share)


@pytest.mark.parametrize(
    ("raw", "meant"),
    [("6sec", "6s"), ("2 minutes", "2min"), ("3 Hours", "3h"), ("1.5msec", "1.5ms"), ("5m", "5min or 5ms")],
)
def test_a_unit_that_is_spelt_out_is_recognised(raw: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"is not a duration; did you mean {meant}\\?"):
        parse_wall_s(raw)
