"""What a server decides about the features it has read: use them, or fall back, and how it flags that.

Pure: the caller brings what it read and the time. Every answer that does not rest on fresh, plausible, stored
values carries a flag: `last_good`, `default`, `stale` or `quarantined`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from refstack.eventtime import active, age, event_at
from refstack.schema import DEFAULTS, DELAY, ENTITIES, FEATURES, FRESH_S, GROUP_OF, GROUPS, in_range, stamp_field

KEPT = 96
WATERMARKS = 64


@dataclass(frozen=True)
class Snapshot:
    values: dict[str, float]
    stamps: dict[str, int]


@dataclass(frozen=True)
class Chosen:
    values: Mapping[str, float | None]
    stamps: Mapping[str, int | None]
    fallback: str | None


class WatermarkClock:
    """The event time as far as known: each watermark carried on by our own clock, and the furthest of them taken.

    A watermark is a lower bound of the event time; how late it was read varies. Of the last few, the one with the
    smallest delay is the best estimate, so neither a late watermark nor those of a backlog being caught up set the
    clock back, which would call old features fresh. Only so many are remembered, so that one that ran ahead of its
    source is forgotten.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._watermark = 0
        self._starts: deque[float] = deque(maxlen=WATERMARKS)

    def see(self, watermark: int, now_s: float) -> None:
        if watermark > self._watermark:
            self._watermark = watermark
            self._starts.append(active(watermark) - now_s * self._speed)

    def now(self, now_s: float) -> int:
        if not self._starts:
            return 0
        return max(self._watermark, event_at(int(max(self._starts) + now_s * self._speed)))


def parse(fields: Mapping[str, str]) -> tuple[Snapshot | None, str | None]:
    """The stored features, or what is wrong with them: `missing` or `range`."""
    try:
        values = {name: float(fields[name]) for name in FEATURES}
        stamps = {group: int(fields[stamp_field(group)]) for group in GROUPS}
    except (KeyError, ValueError):
        return None, "missing"
    if not all(math.isfinite(value) for value in values.values()):
        return None, "missing"
    if not all(in_range(name, value) for name, value in values.items()):
        return None, "range"
    return Snapshot(values, stamps), None


class Chooser:
    """Remembers the last good snapshots of each entity and chooses what to answer with."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[Snapshot]] = {entity: deque(maxlen=KEPT) for entity in ENTITIES}

    def choose(self, entity: str, read: Snapshot | None, good_until: int | None, now_event: int) -> Chosen:
        """``good_until``: set while the entity is in quarantine; stamps up to it were verified."""
        kept = self._kept.get(entity)
        if kept is None:
            return self._default()
        if good_until is not None:
            last = next((snap for snap in reversed(kept) if snap.stamps[DELAY] <= good_until), None)
            return Chosen(last.values, last.stamps, "quarantined") if last else self._default()
        if read is None:
            return Chosen(kept[-1].values, kept[-1].stamps, "last_good") if kept else self._default()
        if not kept or kept[-1].stamps[DELAY] < read.stamps[DELAY]:
            kept.append(read)
        stale = any(age(now_event, read.stamps[group]) > fresh_s for group, fresh_s in FRESH_S.items())
        return Chosen(read.values, read.stamps, "stale" if stale else None)

    @staticmethod
    def _default() -> Chosen:
        return Chosen(dict(DEFAULTS), dict.fromkeys(GROUPS), "default")


def described(chosen: Chosen) -> dict[str, dict[str, float | int | None]]:
    """The answer's `features`: each value with the event time that it carries."""
    return {name: {"value": chosen.values[name], "event_time": chosen.stamps[GROUP_OF[name]]} for name in FEATURES}
