"""Alert sources, polled: which alerts fire and are pending, and whether rules are being evaluated.

A watchdog (an alert that always fires) proves that the source works, and is never one of the alerts that fired. What
the source cannot be asked is `down`, which is a reading.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from harness.journal.clock import Clock
from harness.model.alertsources import AlertSource
from harness.model.eventtime import parse_timestamp
from harness.model.readings import CLOCKS_DIFFER_S, Alert, AlertsSeen, Gap
from harness.probes.reader import NoAnswerError, NotAskedError, short_reason


class AlertPoller:
    """One source; subclasses read it."""

    def __init__(self, source: AlertSource, clock: Clock, record: Callable[[AlertsSeen | Gap], object]) -> None:
        self._source = source
        self._clock = clock
        self._record = record
        self._beats = Rounds()
        self._ahead_s = 0.0
        """By how much the clock of the source is ahead of the harness's."""

    async def start(self) -> None:
        """Get ready to be polled. Raises ProbeError."""

    async def close(self) -> None:
        """Release what `start` acquired. Idempotent."""

    async def _look(self) -> dict[str, Any]:
        """Return the fields of an AlertsSeen, watchdogs among the alerts. Raises NoAnswerError."""
        raise NotImplementedError

    async def once(self, planned_s: float) -> None:
        """Poll the source and record its answer."""
        asked_s = self._clock.now_s()
        try:
            seen = self._without_watchdogs(await self._look())
        except NotAskedError as error:
            why, until_s = short_reason(str(error)), self._clock.now_s()
            self._record(Gap(probe=self._source.name, from_s=asked_s, to_s=until_s, why=why))
            return
        except NoAnswerError as error:
            seen = {"down": short_reason(str(error))}
        self._record(
            AlertsSeen(
                source=self._source.name,
                planned_s=planned_s,
                asked_s=asked_s,
                answered_s=self._clock.now_s(),
                **seen,
            )
        )

    def _without_watchdogs(self, seen: dict[str, Any]) -> dict[str, Any]:
        names = self._source.watchdog
        if not names:
            return seen
        firing = {alert.name for alert in seen.get("firing", ())}
        awake = set(names) <= firing
        found = dict(seen) | {"awake": awake}
        for field in ("firing", "pending"):
            found[field] = tuple(alert for alert in seen.get(field, ()) if alert.name not in names)
        if seen.get("fired") is not None:
            found["fired"] = tuple(pair for pair in seen["fired"] if pair[0].name not in names)
        if not awake:
            found["evaluations"] = None  # whatever else it counts: what must always fire does not
        return found

    def _alert(self, labels: Mapping[str, Any], started: Any = None) -> Alert:
        """Return an alert of the source's own labels. Raises KeyError for one without a name."""
        own = {name: str(value) for name, value in labels.items() if name != "alertname"}
        return Alert(name=str(labels["alertname"]), labels=own, started_s=self._on_our_clock(started))

    def _on_our_clock(self, stamp: Any) -> float | None:
        if stamp is None:
            return None
        try:
            return round(parse_timestamp(stamp) - self._ahead_s - self._clock.unix_at_zero_s(), 3)
        except (ValueError, OverflowError):
            return None


class HttpAlertPoller(AlertPoller):
    """A source that is polled over HTTP."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        source: AlertSource,
        url: str,
        clock: Clock,
        record: Callable[[AlertsSeen | Gap], object],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(source, clock, record)
        self._session = session
        self._url = url.rstrip("/")
        self._headers = dict(headers or {})

    def _told_the_time(self, date: str | None) -> None:
        """Take in what a source says the time is, by the `Date` of its answer, which is in whole seconds."""
        try:
            ahead_s = parsedate_to_datetime(str(date)).timestamp() + 0.5 - time.time()
        except (ValueError, TypeError, OverflowError):
            return
        self._ahead_s = ahead_s if abs(ahead_s) > CLOCKS_DIFFER_S else 0.0


class Rounds:
    """Counts rounds: one is over when everything that ever left time stamps has left a newer one since it began.

    A stamp that only differs is none: two servers that stand still may answer by turns. What is gone may be a rule that
    nobody evaluates any more, so that its alert cannot fire.
    """

    def __init__(self) -> None:
        self.count = 0
        self._newest: dict[Hashable, float] = {}
        self._advanced: set[Hashable] = set()
        self._begun = False

    def note(self, stamps: Mapping[Any, Any]) -> int:
        """Take in the stamps as they are now, and return how many rounds are over."""
        marks = {key: _moment(stamp) for key, stamp in stamps.items()}
        self._advanced |= {key for key, mark in marks.items() if mark > self._newest.get(key, -math.inf)}
        self._newest |= {key: max(mark, self._newest.get(key, mark)) for key, mark in marks.items()}
        if not self._begun:
            self._begun, self._advanced = True, set()
        elif marks and set(self._newest) <= self._advanced:
            self.count, self._advanced = self.count + 1, set()
        return self.count


class Heartbeats(Rounds):
    """Counts rounds of series that count evaluations themselves: of each group of rules, for instance.

    A count that falls is that of a source that was restarted: it begins again, and so do the rounds.
    """

    def note(self, stamps: Mapping[Any, Any]) -> int:
        """Take in the counts as they are now, and return how many rounds are over since the source was started."""
        if any(count < self._newest.get(key, count) for key, count in stamps.items()):
            self.count, self._advanced = 0, set()
            self._newest |= stamps
        return super().note(stamps)


def _moment(stamp: Any) -> float:
    """Return a time stamp as a number; the least of all for what is none, such as that of a rule never evaluated."""
    try:
        return -math.inf if stamp is None else parse_timestamp(stamp)
    except (ValueError, TypeError, OverflowError):
        return -math.inf
