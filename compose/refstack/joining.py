"""Joins what was served with what came of it: each id in exactly one partition, across restarts.

A pair goes to the hour of its outcome, or to the first hour not yet written when it completes too late. After
a restart everything is replayed from the streams; ids in written partitions are known and left out. Pure: the
caller brings entries, knows what is written, and writes what is handed back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from refstack.eventtime import ACTIVE_DAY_S, age, hour_end, hour_of
from refstack.partitions import Row
from refstack.schema import FEATURES, GROUPS, LATE_MIN, stamp_field
from refstack.sourceview import Departed

PATIENCE_S = 2 * 3600
DUE_AFTER_S, DUE_UNTIL_S = 2 * 3600, 6 * 3600
NEVER_S = ACTIVE_DAY_S + 6 * 3600
"""So long after its scheduled departure a flight is taken not to leave any more."""

Served = Mapping[str, Any]
Guard = Callable[[Row], str | None]


@dataclass
class JoinCounts:
    pairs: int = 0
    quarantined: int = 0
    flagged: int = 0
    cancelled: int = 0
    doubled: int = 0


@dataclass(frozen=True)
class Hour:
    """One closed hour, to be written."""

    hour: int
    training: list[Row]
    quarantine: list[Row]


@dataclass
class Joiner:
    guard: Guard | None
    first_hour: int
    committed: set[str] = field(default_factory=set)
    counts: JoinCounts = field(default_factory=JoinCounts)
    _served: dict[str, Served] = field(default_factory=dict)
    _outcomes: dict[str, Departed] = field(default_factory=dict)
    _open: dict[int, list[Row]] = field(default_factory=dict)
    _due: dict[str, int] = field(default_factory=dict)

    def recover(self, written: Iterable[tuple[int, Iterable[str]]]) -> None:
        """Tells which hours exist already, and the ids in them."""
        for hour, ids in written:
            self.committed.update(ids)
            self.first_hour = max(self.first_hour, hour + 1)

    def serve(self, served: Served) -> None:
        """Takes an answer that a server logged. A retried request may have been answered twice."""
        key = str(served["id"])
        if key in self.committed:
            return
        known = self._served.get(key)
        if known is not None:
            self.counts.doubled += 1
            if known["fallback"] is None or served["fallback"] is not None:
                return
        self._served[key] = served
        self._due[key] = int(served["scheduled"])
        if key in self._outcomes:
            self._pair(key)

    def depart(self, departed: Departed) -> None:
        if departed.id in self.committed:
            return
        self._outcomes[departed.id] = departed
        if departed.id in self._served:
            self._pair(departed.id)

    def _pair(self, key: str) -> None:
        served, departed = self._served[key], self._outcomes[key]
        if served["fallback"] is not None:
            return  # kept: an unflagged answer to a retry may still come
        del self._served[key], self._outcomes[key]
        self.committed.add(key)
        hour = max(hour_of(departed.at), self.first_hour)
        self._open.setdefault(hour, []).append(example(served, departed))

    def close(self, watermark: int) -> list[Hour]:
        """The hours that have ended, empty ones too; no pair can be added to them any more."""
        found = []
        while hour_end(self.first_hour) <= watermark:
            found.append(self._close_one(self.first_hour, watermark))
        if found:
            self._forget(watermark)
        return found

    def _close_one(self, hour: int, watermark: int) -> Hour:
        closed = Hour(hour, [], [])
        self.first_hour = hour + 1
        for row in self._open.pop(hour, []):
            ahead_s = max((age(row[stamp_field(group)] or 0, watermark) for group in GROUPS), default=0)
            if 0 < ahead_s <= PATIENCE_S:
                # Its features are newer than what has been read of the source: judge it an hour later.
                self._open.setdefault(self.first_hour, []).append(row)
            elif self.guard is None or (reason := self.guard(row)) is None:
                self.counts.pairs += 1
                closed.training.append(row)
            else:
                self.counts.quarantined += 1
                closed.quarantine.append({**row, "reason": reason})
        return closed

    def _forget(self, watermark: int) -> None:
        """Counts and drops what will not be paired any more."""
        for key, served in list(self._served.items()):
            if age(watermark, int(served["scheduled"])) <= NEVER_S:
                continue
            del self._served[key]
            if self._outcomes.pop(key, None) is None:
                self.counts.cancelled += 1
            else:
                self.counts.flagged += 1
        for key, departed in list(self._outcomes.items()):
            if key not in self._served and age(watermark, departed.at) > NEVER_S:
                del self._outcomes[key]
        for key, scheduled in list(self._due.items()):
            if age(watermark, scheduled) > DUE_UNTIL_S:
                del self._due[key]

    def due(self, watermark: int) -> tuple[int, int]:
        """How many answers were for departures scheduled 2 to 6 h ago, and how many of them have no outcome."""
        due = [key for key, scheduled in self._due.items() if age(watermark, scheduled) >= DUE_AFTER_S]
        return len(due), sum(key not in self.committed and key not in self._outcomes for key in due)

    @property
    def backlog(self) -> int:
        """Answers that wait for their outcome."""
        return len(self._served)


def example(served: Served, departed: Departed) -> Row:
    """One row of a training partition."""
    features = served["features"]
    row: Row = {
        "id": served["id"],
        "label": int(departed.delay_min >= LATE_MIN),
        "matured_at": departed.at,
        "entity": served["origin"],
        "carrier": served["carrier"],
        "distance": float(served["distance"]),
        "hour": int(served["hour"]),
        "weekday": int(served["weekday"]),
        "model_version": int(served["version"]),
    }
    row.update({name: features[name]["value"] for name in FEATURES})
    for group, names in GROUPS.items():
        row[stamp_field(group)] = features[names[0]]["event_time"]
    return row
