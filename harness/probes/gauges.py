"""Polled probes that the stack declares: a number in a JSON answer, or a series on a metrics page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from harness.journal.clock import Clock
from harness.model.eventtime import parse_timestamp
from harness.model.httpprobes import JsonProbe, MetricProbe
from harness.model.probekinds import ProbeSpec
from harness.model.readings import Gap, Reading
from harness.model.secrets import hide
from harness.probes.http import at_path, get, metrics
from harness.probes.reader import NoAnswerError, NotAskedError, age_of, short_reason
from harness.probes.strict_json import read_json


def _sum(values: list[float]) -> float:
    try:
        return math.fsum(values)
    except (ValueError, OverflowError):  # infinities of both signs, or a sum that is too large
        return math.nan


def _whole(pick: Callable[[list[float]], float]) -> Callable[[list[float]], float]:
    """Let no value hide one that is no number: which of them `max` returns depends on their order."""
    return lambda values: math.nan if any(map(math.isnan, values)) else pick(values)


AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "sum": _sum,
    "max": _whole(max),
    "min": _whole(min),
    "mean": lambda values: _sum(values) / len(values),
}


class Gauges:
    """Every declared probe on one page: fetched once, one reading each."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        probes: dict[str, ProbeSpec],
        clock: Clock,
        age_of: Callable[[float], float] | None,
        record: Callable[[Reading | Gap], object],
        headers: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
    ) -> None:
        """`age_of` turns an event time into an age by the stack's event clock, None where it has none."""
        self._headers = dict(headers or {})
        self._deadline_s = deadline_s
        self._session = session
        self._url = url
        self._probes = probes
        self._clock = clock
        self._age_of = age_of
        self._record = record

    async def once(self, planned_s: float) -> None:
        """Fetch the page and record one reading for each probe on it."""
        asked_s = self._clock.now_s()
        page, down = b"", None
        try:
            limit = () if self._deadline_s is None else (self._deadline_s,)
            page = await get(self._session, self._url, *limit, headers=self._headers)
        except NotAskedError as error:
            not_asked, until_s = short_reason(str(error)), self._clock.now_s()
            for name in self._probes:
                self._record(Gap(probe=name, from_s=asked_s, to_s=until_s, why=not_asked))
            return
        except NoAnswerError as error:
            down = str(error)
        answered_s = self._clock.now_s()
        for name, spec in self._probes.items():
            value, why = None, down
            if down is None:
                try:
                    value = self._value(spec, page)
                except NoAnswerError as error:
                    why = str(error)
            self._record(
                Reading(
                    probe=name,
                    planned_s=planned_s,
                    asked_s=asked_s,
                    answered_s=answered_s,
                    value=value,
                    down=hide(why) if why is not None else None,
                )
            )

    def _value(self, spec: ProbeSpec, page: bytes) -> float:
        settings = spec.settings
        if isinstance(settings, JsonProbe):
            return self._json(settings, page)
        assert isinstance(settings, MetricProbe)
        found = [
            value
            for _, labels, value in metrics(page, frozenset({settings.name}))
            if settings.labels.items() <= labels.items()
        ]
        if not found:
            raise NoAnswerError(f"no series {settings.name} with these labels")
        value = AGGREGATES[settings.agg](found)
        if not math.isfinite(value):
            raise NoAnswerError(f"{settings.name} is {value}")
        return value

    def _json(self, settings: JsonProbe, page: bytes) -> float:
        try:
            found = at_path(read_json(page), settings.path)
        except ValueError:
            raise NoAnswerError(f"no number at {settings.path!r}") from None
        return number_at(found, settings.path, settings.as_, self._age_of)


def number_at(found: Any, path: str, how: str, event_age: Callable[[float], float] | None) -> float:
    """Return a value as a number, or a timestamp as an age. Raises NoAnswerError."""
    try:
        value = float(found) if how == "number" else parse_timestamp(found)
    except (ValueError, TypeError, OverflowError):
        raise NoAnswerError(f"no {'number' if how == 'number' else 'time stamp'} at {path!r}") from None
    if not math.isfinite(value):
        raise NoAnswerError(f"{path} is {value}")
    return value if how == "number" else age_of(value, how, event_age)
