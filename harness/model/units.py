"""Durations and quantities as people write them: `800ms`, `5s`, `90min event`.

Wall-clock durations and event-time durations are different things and never mix: a bound on an event-time reading must
say `event`, and a bare duration there is invalid input. Every duration is kept in seconds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from harness.model.wording import written

SECONDS_PER_UNIT = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)(\s+event)?\s*$")
_PERCENT = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*%\s*")
_SPELT_OUT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)(\s+event)?\s*")
_NAMES = {
    "ms": ("msec", "msecs", "millis", "millisecond", "milliseconds"),
    "s": ("sec", "secs", "second", "seconds"),
    "min": ("m", "mins", "minute", "minutes"),
    "h": ("hr", "hrs", "hour", "hours"),
    "d": ("day", "days"),
}
_PATTERN = r"^\s*\d+(\.\d+)?\s*(us|ms|s|min|h|d)\s*$"
_QUANTITY_PATTERN = r"^\s*\d+(\.\d+)?\s*(%|(us|ms|s|min|h|d)(\s+event)?)\s*$"
LONGEST_S = 7 * 86400.0
HIGHEST = 1e15
_SCHEMA = WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["800ms", "5s"]})


class Unit(StrEnum):
    """What a probe's number is."""

    RATIO = "ratio"
    COUNT = "count"
    WALL = "wall"  # seconds by the wall clock
    EVENT = "event"  # seconds of event time
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A bound as written: a bare number, a wall-clock duration or an event-time duration (both in seconds)."""

    value: float
    unit: Unit = Unit.NUMBER

    @classmethod
    def parse(cls, raw: object) -> Quantity:
        """Read `0.99`, `99%`, `250ms` or `90min event`. Raises ValueError with what would be right."""
        if isinstance(raw, Quantity):
            return raw
        if isinstance(raw, bool):
            raise ValueError("a number, or a duration such as 250ms or 90min event, is needed here")
        if isinstance(raw, int | float):
            if not abs(raw) < HIGHEST:
                raise ValueError(f"a number below {HIGHEST:g} is needed here")
            return cls(float(raw))
        match = _DURATION.match(raw) if isinstance(raw, str) else None
        if match is None:
            _refuse_sign(raw)
            share = _PERCENT.fullmatch(raw) if isinstance(raw, str) else None
            if share is not None:
                return cls(float(Decimal(share[1]).scaleb(-2)))
            what = "is neither a number nor a duration"
            raise ValueError(f"{written(raw)} {what}; {_meant(raw) or 'write one such as 0.99, 250ms or 90min event'}")
        seconds = float(match[1]) * SECONDS_PER_UNIT[match[2]]
        if not math.isfinite(seconds):
            raise ValueError("the number is too large")
        return cls(seconds, Unit.EVENT if match[3] else Unit.WALL)

    def __str__(self) -> str:
        if self.unit is Unit.EVENT:
            return f"{format_seconds(self.value)} event"
        if self.unit is Unit.WALL:
            return format_seconds(self.value)
        return repr(self.value).removesuffix(".0")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda q: q.value if q.unit is Unit.NUMBER else str(q)
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": _QUANTITY_PATTERN}],
            "description": "a number, a share (99%), a wall-clock duration (250ms), or an event-time one (90min event)",
        }


def _refuse_sign(raw: object) -> None:
    if isinstance(raw, str) and raw.lstrip()[:1] in ("-", "+") and _DURATION.match(raw.lstrip()[1:]):
        raise ValueError(f"{raw!r} has a sign; write a duration without one, such as {raw.lstrip()[1:].strip()}")


def _meant(raw: object) -> str:
    """Return a question after the duration that was meant, where a unit is written as in English."""
    match = _SPELT_OUT.fullmatch(raw) if isinstance(raw, str) else None
    unit = next((unit for unit, names in _NAMES.items() if match and match[2].lower() in names), None)
    if match is None or unit is None:
        return ""
    # An `m` is a minute to some and a slip in `ms` to others.
    meant = (unit, "ms") if match[2] == "m" else (unit,)
    return f"did you mean {' or '.join(f'{match[1]}{one}{match[3] or str()}' for one in meant)}?"


def parse_wall_s(raw: object) -> float:
    """Read a wall-clock duration into seconds. Raises ValueError with what would be right."""
    match = _DURATION.match(raw) if isinstance(raw, str) else None
    if match is None:
        _refuse_sign(raw)
        how = _meant(raw) or "write one with its unit, such as 800ms, 5s or 2min"
        raise ValueError(f"{written(raw)} is not a duration; {how}")
    if match[3]:
        raise ValueError(f"{raw!r} is event time; a wall-clock duration is needed here, such as 5s")
    seconds = float(match[1]) * SECONDS_PER_UNIT[match[2]]
    if seconds > LONGEST_S:
        raise ValueError(f"{raw!r} is longer than a week; no run waits for that")
    return seconds


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("a duration longer than zero is needed here")
    return seconds


def times_text(number: int) -> str:
    """Return how often, in words: `once`, `2 times`."""
    return "once" if number == 1 else f"{number} times"


def format_seconds(seconds: float) -> str:
    """Write seconds with a unit that reads back to the same value."""
    for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        count = round(seconds / size)
        if count and count * size == seconds:
            return f"{count}{unit}"
    if seconds == 0:
        return "0s"
    return f"{Decimal(repr(float(seconds))):f}s"


def format_amount(value: float | None, unit: Unit) -> str | None:
    """Write a probe's value with its unit, as a reader needs it: rounded. None where there is no such number."""
    if value is None or not math.isfinite(value):
        return None
    if unit is Unit.RATIO:
        return f"{value * 100:.3g} %" if abs(value) < 0.995 else f"{value * 100:.4g} %"
    if unit is Unit.EVENT:
        return f"{_rounded(value)} event"
    if unit is Unit.WALL:
        return _rounded(value)
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def _rounded(value_s: float) -> str:
    size = abs(value_s)
    if size >= 5400:
        return f"{value_s / 3600:.3g} h"
    if size >= 120:
        return f"{value_s / 60:.3g} min"
    return f"{value_s:.3g} s" if size >= 1 or size == 0 else f"{value_s * 1e3:.3g} ms"


# Written back as text, so that what goes into a journal reads as what was in the file and nothing reads as a bare
# number.
_WRITTEN = PlainSerializer(format_seconds, return_type=str)
WallSeconds = Annotated[float, BeforeValidator(parse_wall_s), _WRITTEN, _SCHEMA]
PositiveWallSeconds = Annotated[float, BeforeValidator(lambda raw: _positive(parse_wall_s(raw))), _WRITTEN, _SCHEMA]
