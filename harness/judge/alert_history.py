"""Polls of the alert sources read as a history: when each label set started and stopped firing.

A firing that fell between two polls shows in the source's own counters; it becomes an episode of unknown moment
between them. Polls that got no answer say nothing of any alert: the interval around a change simply grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.judge.moments import Span
from harness.model.readings import Alert, AlertsSeen

Poll = tuple[int, AlertsSeen]


@dataclass(frozen=True, slots=True)
class Episode:
    """One label set firing, from `start` to `end` (None: still firing when looking ended)."""

    alert: Alert
    start: Span
    end: Span | None
    cites: tuple[int, ...]
    counted: bool = False
    """Known from the source's counters only."""


def episodes(polls: Sequence[Poll]) -> list[Episode]:
    """Return every episode of every label set, by the moment at which it was first seen."""
    found: list[Episode] = []
    for source in sorted({p.source for _, p in polls}):
        answered = [(n, p) for n, p in polls if p.source == source and p.down is None]
        keys = {a.key: a for _, p in answered for a in p.firing}
        for key, alert in keys.items():
            found.extend(_seen(key, alert, answered))
        found.extend(_counted(answered))
    return sorted(found, key=lambda e: (e.start.hi, e.alert.key))


def _seen(key: str, alert: Alert, polls: Sequence[Poll]) -> list[Episode]:
    found: list[Episode] = []
    start: Span | None = None
    begun_n = 0
    absent_s: float | None = None
    last: Poll | None = None
    for n, poll in polls:
        firing = any(a.key == key for a in poll.firing)
        if firing and start is None:
            lo_s = absent_s if absent_s is not None else float("-inf")
            start, begun_n = Span(lo_s, poll.answered_s), n
        elif not firing and start is not None:
            assert last is not None
            found.append(Episode(alert, start, Span(last[1].asked_s, poll.answered_s), (begun_n, n)))
            start = None
        if not firing:
            absent_s = poll.asked_s
        last = (n, poll)
    if start is not None:
        found.append(Episode(alert, start, None, (begun_n,)))
    return found


def _counted(polls: Sequence[Poll]) -> list[Episode]:
    counted = [(n, p) for n, p in polls if p.fired is not None]
    found: list[Episode] = []
    for alert in {a.key: a for _, p in counted for a, _ in p.fired or ()}.values():
        excess = _excess(alert, counted)
        hidden = 0
        for k in range(1, len(excess)):
            # Counters and alerts are two requests of one poll, so one may run ahead of the other: only an excess that
            # the next poll still shows was a firing that no poll saw.
            lasting = min(excess[k : k + 2])
            (n_before, before), (n, poll) = counted[k - 1], counted[k]
            moment = Span(before.asked_s, poll.answered_s)
            found.extend(Episode(alert, moment, moment, (n_before, n), True) for _ in range(hidden, lasting))
            hidden = max(hidden, lasting)
    return found


def _excess(alert: Alert, polls: Sequence[Poll]) -> list[int]:
    """Return, by poll, how many more firings the counter has counted than polls have seen begin."""
    excess = [0]
    for (_, before), (_, after) in pairwise(polls):
        was, count = _count(alert, before), _count(alert, after)
        rose = count - was if count >= was else count  # a smaller count: the source started anew
        excess.append(excess[-1] + round(rose) - _starts(alert, before, after))
    return excess


def _count(alert: Alert, poll: AlertsSeen) -> float:
    return next((count for a, count in poll.fired or () if a.key == alert.key), 0.0)


def _starts(counter: Alert, before: AlertsSeen, after: AlertsSeen) -> int:
    was = {a.key for a in before.firing}
    return sum(a.matches(counter.name, counter.labels) and a.key not in was for a in after.firing)


def silences(polls: Sequence[Poll], from_s: float, to_s: float, longest_s: float) -> list[Span]:
    """Return the stretches, longer than allowed, in which nothing shows that the rules were being evaluated."""
    found: list[Span] = []
    for source in sorted({p.source for _, p in polls}):
        advanced_s, count = from_s, None
        for _, poll in polls:
            if poll.source != source or poll.evaluations is None or poll.answered_s < from_s or poll.asked_s > to_s:
                continue
            if count is None or poll.evaluations != count:
                # The first sight of the counter proves no pass of its own, but the gate has seen the source alive
                # just before.
                if poll.asked_s - advanced_s > longest_s:
                    found.append(Span(advanced_s, poll.asked_s))
                advanced_s, count = poll.answered_s, poll.evaluations
        if to_s - advanced_s > longest_s:
            found.append(Span(advanced_s, to_s))
    return found if polls else [Span(from_s, to_s)]


def unpolled(polls: Sequence[Poll], from_s: float, to_s: float, longest_s: float) -> list[Span]:
    """Return the stretches, longer than allowed, in which no poll was even attempted."""
    found: list[Span] = []
    for source in sorted({p.source for _, p in polls}) or [""]:
        last_s = from_s
        for _, poll in polls:
            if poll.source != source or poll.answered_s < from_s or poll.asked_s > to_s:
                continue
            if poll.asked_s - last_s > longest_s:
                found.append(Span(last_s, poll.asked_s))
            last_s = max(last_s, poll.answered_s)
        if to_s - last_s > longest_s:
            found.append(Span(last_s, to_s))
    return found
