"""What a request, a feature group and a model's inputs are: the names that every service shares.

Ranges are those of the whole year's data with a margin; freshness is in active event seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

ENTITIES = ("EWR", "JFK", "LGA")
DELAY = "dep_delay_2h"
WEATHER = "weather"
GROUPS: Mapping[str, tuple[str, ...]] = {
    DELAY: (DELAY,),
    WEATHER: ("temp", "humid", "wind_speed", "precip", "visib"),
}
FEATURES = tuple(name for names in GROUPS.values() for name in names)
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}
FRESH_S: Mapping[str, int] = {DELAY: 90 * 60, WEATHER: 3 * 3600}

RANGES: Mapping[str, tuple[float, float]] = {
    DELAY: (-45.0, 450.0),
    "temp": (0.0, 115.0),
    "humid": (0.0, 100.5),
    "wind_speed": (0.0, 80.0),
    "precip": (0.0, 3.0),
    "visib": (0.0, 10.5),
}
DEFAULTS: Mapping[str, float] = {
    DELAY: 12.6,
    "temp": 55.3,
    "humid": 62.5,
    "wind_speed": 10.5,
    "precip": 0.0,
    "visib": 9.3,
}

NUMERIC = ("distance", *FEATURES)
CATEGORIES = ("hour", "weekday")
NAMES = ("carrier", "origin")
INPUTS = (*NUMERIC, *CATEGORIES, *NAMES)
LATE_MIN = 15


def stamp_field(group: str) -> str:
    """The field and the column that hold a group's event time."""
    return f"{group}__t"


def in_range(name: str, value: float) -> bool:
    low, high = RANGES[name]
    return low <= value <= high
