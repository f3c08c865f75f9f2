"""The monitor's state of the stack, which watchers fill and rules read.

Every field is replaced as a whole by the one thread that owns it, so that a rule never sees half an update.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from refstack.eventtime import advance
from refstack.schema import ENTITIES

Samples = dict[str, float]
HISTORY_S = 2.5


def parse_metrics(text: str) -> Samples:
    """Sample lines of the text exposition, by name and labels as written."""
    samples: Samples = {}
    for line in text.splitlines():
        if line and line[0] != "#":
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    return samples


def total(samples: Samples, name: str) -> float:
    """The sum over all label sets of a metric."""
    return sum(value for key, value in samples.items() if key == name or key.startswith(name + "{"))


@dataclass
class ScrapeTarget:
    """One scraped service."""

    name: str
    samples: Samples = field(default_factory=dict)
    seen_s: float | None = None
    failed_since_s: float | None = None
    storage: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=64))

    def good(self, samples: Samples, now_s: float) -> None:
        self.samples, self.seen_s, self.failed_since_s = samples, now_s, None
        seconds = total(samples, "object_store_request_seconds_sum")
        count = total(samples, "object_store_request_seconds_count")
        self.storage.append((now_s, seconds, count))

    def bad(self, now_s: float) -> None:
        if self.failed_since_s is None:
            self.failed_since_s = now_s

    def storage_mean_s(self, now_s: float, over_s: float = 2.0) -> tuple[float, int]:
        """Mean latency of the requests that ended within the window, and how many they were."""
        window = [item for item in list(self.storage) if now_s - item[0] <= over_s]
        if len(window) < 2 or window[-1][2] < window[0][2]:
            return 0.0, 0
        count = int(window[-1][2] - window[0][2])
        return ((window[-1][1] - window[0][1]) / count if count else 0.0), count


@dataclass
class ReplayClock:
    start_event: int = 0
    start_unix: float = 0.0
    speed: float = 0.0

    def now(self) -> int | None:
        if not self.speed:
            return None
        return advance(self.start_event, int((time.time() - self.start_unix) * self.speed))


@dataclass
class World:
    targets: dict[str, ScrapeTarget]
    began_s: float
    clock: ReplayClock = field(default_factory=ReplayClock)
    stamps: dict[str, dict[str, int]] = field(default_factory=dict)
    """Newest stamp read, by group and entity."""
    complete: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(ENTITIES, False))
    ever_complete: bool = False
    out_of_range: frozenset[str] = frozenset()
    skewed: frozenset[tuple[str, str]] = frozenset()
    """(group, entity) whose online values disagree with the source events."""
    offline_skewed: frozenset[str] = frozenset()
    corrupt_partitions: frozenset[str] = frozenset()
    canaries: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=8))
