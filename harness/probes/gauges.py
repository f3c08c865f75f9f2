"""Polled probes that the stack declares: a number in a JSON answer, or a series on a metrics page."""

from __future__ import annotations

import math
from collections.abc import Callable

import aiohttp

from harness.model.readings import Reading
from harness.model.stack import JsonProbe, MetricProbe, ProbeSpec
from harness.probes.http import NoAnswerError, at_path, get, metrics, read_json
from harness.probes.polling import Clock

AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "max": max,
    "min": min,
    "mean": lambda values: math.fsum(values) / len(values),
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
        record: Callable[[Reading], object],
    ) -> None:
        """`age_of` turns an event time into an age by the stack's event clock, None where it has none."""
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
            page = await get(self._session, self._url)
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
                    down=why,
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
            value = float(at_path(read_json(page), settings.path))
        except (ValueError, TypeError, OverflowError):
            raise NoAnswerError(f"no number at {settings.path!r}") from None
        if not math.isfinite(value):
            raise NoAnswerError(f"{settings.path} is {value}")
        if settings.as_ == "event_age":
            if self._age_of is None:
                raise NoAnswerError("the stack tells no event time to take an age by")
            return self._age_of(value)
        return value
