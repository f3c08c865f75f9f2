"""Polls of the alert sources read as a history: when each label set started and stopped firing, and what that proves.

A firing between two polls appears in the source's own counters; it becomes an episode at an unknown moment between
them. A poll without an answer proves nothing about any alert: the interval around a change grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.journal.records import Journal
from harness.judge.moments import Span
from harness.model.readings import CLOCKS_DIFFER_S, Alert, AlertsSeen, Gap

Poll = tuple[int, AlertsSeen]
NEVER_S = float("-inf")
# The runner polls once more right before it injects, and again right after the injection began.
AT_INJECTION_S = 0.5
MAX_POLL_GAP_S = 1.0
MAX_COUNT_SILENCE_S = 3.0
"""A history is read every second, by requests that may take a second each."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One label set firing, from `start` to `end` (None: still firing when observation ended).

    A start that is not known begins before the run.
    """

    alert: Alert
    start: Span
    end: Span | None
    cites: tuple[int, ...]
    counted: bool = False
    """Known from the source's counters only, whose labels may be fewer than the alert's."""
    source: str = ""
    delivered: bool = False
    """Known from notifications, which may be late: before the first one, nothing proves that it did not fire."""

    def is_of(self, name: str, labels: dict[str, str]) -> bool | None:
        """Whether this is that alert, with at least those labels; None where its source does not count by them."""
        if self.alert.matches(name, labels):
            return True
        known = {k: v for k, v in labels.items() if k in self.alert.labels}
        return None if self.counted and self.alert.matches(name, known) else False

    def covers(self, alert: Alert) -> bool:
        """Whether this may be a firing of exactly that label set."""
        return alert.matches(self.alert.name, self.alert.labels) if self.counted else alert.key == self.alert.key


def answers(poll: AlertsSeen) -> bool:
    """Whether a poll shows which alerts do not fire: a source whose watchdog is gone may have lost others with it."""
    return poll.down is None and poll.awake is not False


def episodes(polls: Sequence[Poll]) -> list[Episode]:
    """Return every episode of every label set, by the moment of the first poll that shows it."""
    found: list[Episode] = []
    for source in sorted({p.source for _, p in polls}):
        answered = [(n, p) for n, p in polls if p.source == source and p.down is None]
        for key in dict.fromkeys(a.key for _, p in answered for a in p.firing):
            found.extend(_seen(key, answered))
        found.extend(_counted(answered))
    return sorted(found, key=lambda e: (e.start.hi, e.alert.key))


def _seen(key: str, polls: Sequence[Poll]) -> list[Episode]:
    found: list[Episode] = []
    start: Span | None = None
    alert = Alert(name=key)
    begun_n = 0
    absent_s: float | None = None
    last: Poll | None = None
    for n, poll in polls:
        there = next((a for a in poll.firing if a.key == key), None)
        told = answers(poll) or (poll.delivered and start is not None)
        if there is None and not told:
            continue  # that the alert is not there says nothing
        if there is not None and start is None:
            alert = there
            # A notification without a start may be a reminder of an alert that has fired for long.
            unknown = poll.delivered and there.started_s is None
            start, begun_n = Span(NEVER_S if unknown or absent_s is None else absent_s, poll.answered_s), n
        elif there is None and start is not None:
            assert last is not None
            end = Span(last[1].asked_s, poll.answered_s)
            found.append(Episode(alert, start, end, (begun_n, n), source=poll.source, delivered=poll.delivered))
            start = None
        if there is None:
            absent_s = poll.asked_s
        last = (n, poll)
    if start is not None:
        source, delivered = polls[-1][1].source, polls[-1][1].delivered
        found.append(Episode(alert, start, None, (begun_n,), source=source, delivered=delivered))
    return found


def _counted(polls: Sequence[Poll]) -> list[Episode]:
    """Return the firings that the source counted and no poll showed, each somewhere between two polls."""
    found: list[Episode] = []
    for alert in {a.key: a for _, p in polls for a, _ in p.fired or ()}.values():
        read, excess = _excess(alert, polls)
        hidden = 0
        for k in range(1, len(excess)):
            # Counters and alerts are two requests of one poll, so one may run ahead of the other: only an excess that
            # the next poll confirms was a firing that no poll showed.
            lasting = min(excess[k : k + 2])
            (n_before, before), (n, poll) = read[k - 1], read[k]
            moment = Span(before.asked_s, poll.answered_s)
            # A notification has the start of the last of several firings.
            start = Span(NEVER_S, moment.hi) if poll.delivered else moment
            one = Episode(alert, start, moment, (n_before, n), True, poll.source, poll.delivered)
            found += [one] * max(0, lasting - hidden)
            hidden = max(hidden, lasting)
    return found


def _excess(alert: Alert, polls: Sequence[Poll]) -> tuple[list[Poll], list[int]]:
    """Return the polls that read the counters, and for each how many more firings were counted than polls showed."""
    read: list[Poll] = []
    excess: list[int] = []
    firing: set[str] = set()
    begun = settled = 0
    for poll in polls:
        now = {a.key for a in poll[1].firing if a.matches(alert.name, alert.labels)}
        begun += len(now - firing)
        firing = now
        if poll[1].fired is None:
            continue
        count = _count(alert, poll[1])
        if not excess:
            excess.append(0)
        else:
            was, more = _count(alert, read[-1][1]), excess[-1]
            if count < was:
                # The counter was reset: what it had not counted by then it never will, and this must not hide a later
                # firing.
                was, more = 0.0, max(more, settled)
            excess.append(more + round(count - was) - begun)
            settled = max(settled, min(excess[-2:]))
        begun = 0
        read.append(poll)
    return read, excess


def _count(alert: Alert, poll: AlertsSeen) -> float:
    return next((count for a, count in poll.fired or () if a.key == alert.key), 0.0)


def uncounted(polls: Sequence[Poll], from_s: float, to_s: float) -> str | None:
    """Return why the count of firings of a source does not reach from one moment to another; None where all do.

    Firings between a moment and the first reading after it cannot be separated from earlier ones, and those after the
    last reading are not in it.
    """
    read: dict[str, list[float]] = {}
    for _, poll in polls:
        if poll.fired is not None:
            read.setdefault(poll.source, []).append(poll.asked_s)
    for source, asked in sorted(read.items()):
        if asked[0] > from_s:
            return f"{source}'s count of firings was first read after the steady state; it may hide an early one"
        if asked[-1] < to_s - MAX_COUNT_SILENCE_S:
            return f"{source}'s count of firings was last read at {asked[-1]:.2f} s; it may lack a later one"
    return None


def refused(polls: Sequence[Poll], from_s: float, to_s: float) -> str | None:
    """Return why a notification in a stretch was not taken; None where all were."""
    found = (p for _, p in polls if p.refused is not None and p.answered_s >= from_s and p.asked_s <= to_s)
    return next((f"a notification was refused by {p.answered_s:.2f} s: {p.refused}" for p in found), None)


def unpolled(
    polls: Sequence[Poll],
    from_s: float,
    to_s: float,
    longest_s: float,
    gaps: Sequence[Gap] = (),
    answered: bool = False,
    declared: Sequence[str] = (),
    counted: bool = False,
) -> list[Span]:
    """Return the stretches, longer than allowed, in which no poll of a source was attempted (or `answered`).

    A gap that the harness recorded counts however short it is, and so does a declared source that was never polled.
    `counted`: not a stretch after which the source's own history tells what fired in it.
    """
    sources = sources_of(polls, declared)
    own_gaps = (g for g in gaps if g.probe in sources and g.from_s < to_s and g.to_s > from_s)
    found = [Span(max(g.from_s, from_s), min(g.to_s, to_s)) for g in own_gaps]
    for source, own in by_source(polls, from_s, to_s, declared) or [("", [])]:
        read = [poll for _, poll in polls if counted and poll.source == source]
        last_s = from_s
        for poll in own:
            if answered and not answers(poll):
                continue
            if poll.asked_s - last_s > longest_s and not _told_later(read, last_s, poll.asked_s):
                found.append(Span(last_s, poll.asked_s))
            last_s = max(last_s, poll.answered_s)
        if to_s - last_s > longest_s and not _told_later(read, last_s, to_s):
            found.append(Span(last_s, to_s))
    return sorted(found, key=lambda s: (s.lo, s.hi))


def _told_later(polls: Sequence[AlertsSeen], from_s: float, to_s: float) -> bool:
    """Whether the history of a source, read before and after a stretch, tells of it: it was not lost in between.

    A notification that never came is in no history, nor what rules would have raised that were not evaluated.
    """
    read = [poll for poll in polls if poll.fired is not None and not poll.delivered and answers(poll)]
    before = next((poll for poll in reversed(read) if poll.asked_s <= from_s), None)
    after = next((poll for poll in read if poll.asked_s >= to_s), None)
    asleep = any(poll.awake is False for poll in polls if from_s <= poll.asked_s <= to_s)
    if before is None or after is None or asleep:
        return False
    kept = all(_count(alert, after) >= count for alert, count in before.fired or ())
    return kept and (after.evaluations or 0.0) >= (before.evaluations or 0.0)


def sources_of(polls: Sequence[Poll], declared: Sequence[str]) -> list[str]:
    """Return every source: those that were polled, and those that the stack declares."""
    return sorted({*declared, *(poll.source for _, poll in polls)})


def by_source(
    polls: Sequence[Poll], from_s: float, to_s: float, declared: Sequence[str] = ()
) -> list[tuple[str, list[AlertsSeen]]]:
    """Return the polls of each source that touch a stretch; a source that has none there is still listed."""
    found: dict[str, list[AlertsSeen]] = {source: [] for source in sources_of(polls, declared)}
    for _, poll in polls:
        if poll.answered_s >= from_s and poll.asked_s <= to_s:
            found[poll.source].append(poll)
    return list(found.items())


def at_injection(polls: Sequence[Poll], injected: Span, declared: Sequence[str]) -> list[Poll] | None:
    """Return each source's last answer right before injection, None where one of them has none."""
    found: dict[str, Poll | None] = dict.fromkeys(sources_of(polls, declared))
    for n, poll in polls:
        if answers(poll) and poll.answered_s <= injected.lo and injected.lo - poll.asked_s <= AT_INJECTION_S:
            found[poll.source] = (n, poll)
    answered = [poll for poll in found.values() if poll is not None]
    return answered if answered and len(answered) == len(found) else None


def may_precede(episode: Episode, journal: Journal, injected: Span) -> bool:
    """Whether a firing may have begun before the fault: no poll since its injection began shows it absent."""
    lo_s = episode.start.lo
    gaps = [g for g in journal.gaps(episode.source) if g.from_s < injected.lo and g.to_s > lo_s]
    return lo_s < injected.lo or _stamped_before(episode, injected.lo) or bool(gaps)


def _stamped_before(episode: Episode, at_s: float) -> bool:
    """Whether the source's own stamp leaves it open that a firing began before a moment.

    A poll that shows an alert absent is a proof, and only a stamp that is certain to be earlier speaks against it: the
    alert reached the source late. Without such a proof, because a notification may come late, the stamp must be
    certain to be later. One that lies ahead of its own notification is of a clock that is too far off.
    """
    stamped_s = episode.alert.started_s
    if stamped_s is None:
        return False
    if not episode.delivered:
        return stamped_s < at_s - CLOCKS_DIFFER_S
    return stamped_s < at_s + CLOCKS_DIFFER_S or stamped_s > episode.start.hi + CLOCKS_DIFFER_S


def polled_since(polls: Sequence[Poll], at_s: float, declared: Sequence[str]) -> bool:
    """Whether every source was polled, with or without an answer, at that moment or later."""
    sources = set(sources_of(polls, declared))
    return bool(sources) and sources == {p.source for _, p in polls if p.asked_s >= at_s}
