"""The published departures and weather, and the features computed from them.

Pipeline, label joiner and monitor each keep their own view, fed from the event stream; so a guard's
recomputation shares the definition with the pipeline but none of its state.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from refstack.definitions import WINDOW_S, Departures
from refstack.schema import DELAY, ENTITIES, GROUPS, WEATHER

KEEP_S = 3 * 86_400
RTOL = 1e-6
Values = dict[str, float]


@dataclass(frozen=True)
class Departed:
    id: str
    origin: str
    at: int
    delay_min: int


def departure_entry(departed: Departed) -> dict[str, str]:
    return {
        "kind": "departure",
        "id": departed.id,
        "origin": departed.origin,
        "at": str(departed.at),
        "delay": str(departed.delay_min),
    }


def weather_entry(origin: str, at: int, values: Mapping[str, float]) -> dict[str, str]:
    return {"kind": "weather", "origin": origin, "at": str(at), "values": json.dumps(values)}


def watermark_entry(at: int) -> dict[str, str]:
    return {"kind": "watermark", "at": str(at)}


class SourceView:
    def __init__(self) -> None:
        self.watermark = 0
        self._since: int | None = None
        self._departures = {entity: Departures() for entity in ENTITIES}
        self._weather: dict[str, dict[int, Values]] = {entity: {} for entity in ENTITIES}
        self._latest: dict[str, int] = {}

    def apply(self, entry: Mapping[str, str]) -> Departed | None:
        """Takes one entry of the event stream; gives back the departure, if it is one."""
        kind, at = entry["kind"], int(entry["at"])
        if kind == "departure":
            departed = Departed(entry["id"], entry["origin"], at, int(entry["delay"]))
            self._departures[departed.origin].add(at, departed.delay_min)
            return departed
        if kind == "weather":
            self._weather[entry["origin"]][at] = json.loads(entry["values"])
            self._latest[entry["origin"]] = at
        elif kind == "watermark":
            self.watermark = at
            if self._since is None:
                self._since = at
            self._forget(at - KEEP_S)
        return None

    def _forget(self, before: int) -> None:
        for departures in self._departures.values():
            departures.forget(before)
        for observed in self._weather.values():
            while observed and (first := next(iter(observed))) < before:
                del observed[first]

    def complete(self, at: int) -> bool:
        """Whether everything that the features as of this moment depend on has been published."""
        return self._since is not None and self._since + WINDOW_S <= at <= self.watermark

    def truth(self, entity: str, group: str, stamp: int) -> Values | None:
        """The group's values as of a stamp, or None where this view cannot know."""
        if entity not in self._departures:
            return None
        if group == WEATHER:
            return self._weather[entity].get(stamp)
        return {DELAY: self._departures[entity].mean_delay(stamp)} if self.complete(stamp) else None

    def current(self, entity: str) -> dict[str, tuple[int, Values]] | None:
        """All groups of an entity as of the watermark, each with its stamp."""
        delay, observed = self.truth(entity, DELAY, self.watermark), self._latest.get(entity)
        if delay is None or observed is None:
            return None
        return {DELAY: (self.watermark, delay), WEATHER: (observed, self._weather[entity][observed])}


def agrees(group: str, found: Mapping[str, float | None], true: Mapping[str, float]) -> bool:
    for name in GROUPS[group]:
        value = found.get(name)
        if value is None or not math.isclose(value, true[name], rel_tol=RTOL, abs_tol=RTOL):
            return False
    return True
