"""When something other than the stack may be the cause of what was measured: the machine was busy, or the harness late.

What a stack does badly in such a stretch, or shortly after it, decides nothing: the clause is unknown and names the
machine. What it does well counts all the same. Time that the machine took is not time that the stack took.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from harness.judge.moments import Span
from harness.model.machine import busy_text, lacking, suspended_text, suspension
from harness.model.readings import Gap, MachineSeen
from harness.model.verdict import Cause, Value

JOINED_S = 0.15
"""Stretches with no more than this between them are one."""
BACKLOG_MOST_S = 5.0
"""What piled up in a stretch is worked off in as long again, but no longer than this."""
CONSEQUENCE_S = 10.0
"""Rules look back over a window, and checks of health fail more than once, before an alert fires or a service ends."""
ALONE_S = 1.0
"""For how long a machine must have been busy to cause by itself what a fault should cause."""
MOSTLY_S = 2.0
"""For how long a machine must have been busy in a stretch to be named for all of it."""
ALONE_SHARE = 0.3
"""For which share of the time, at least."""
CONSEQUENCE_LOST_S = 1.0
"""How much of that time must have been lost to be the cause."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A stretch of a run, and what was wrong in it; `why` names the stretch."""

    lo: float
    hi: float
    why: str


class _Index:
    """Disturbances by time: every request of a run is asked of them, so none is to be compared with all of them.

    They may overlap and stand in any order; in order of time, as they usually are, a look-up costs a bisection.
    """

    def __init__(self, found: Sequence[Disturbance], until_s: Callable[[Disturbance], float]) -> None:
        """`until_s` says until when one may be the cause of something."""
        self._found = found
        self._until_s = until_s
        self._latest_s = list(accumulate(map(until_s, found), max))
        self._first_s = list(accumulate((one.lo for one in reversed(found)), min))[::-1]

    def touching(self, from_s: float, to_s: float) -> Iterator[Disturbance]:
        """Yield those that may be the cause of something in a stretch, as they stand."""
        for k in range(bisect_left(self._latest_s, from_s), len(self._found)):
            if self._first_s[k] > to_s:
                return
            if self._found[k].lo <= to_s and self._until_s(self._found[k]) >= from_s:
                yield self._found[k]

    def first(self, from_s: float, to_s: float) -> str | None:
        """Return what was wrong in the first of them."""
        return next((one.why for one in self.touching(from_s, to_s)), None)


@dataclass(frozen=True)
class Disturbances:
    """All disturbances of a run in order, by their cause.

    `busy` are the stretches in which the machine was seen busy, of which one of `machine` may join several.
    """

    machine: tuple[Disturbance, ...] = ()
    harness: tuple[Disturbance, ...] = ()
    busy: tuple[tuple[float, float], ...] = ()
    suspended: tuple[Disturbance, ...] = field(default=(), compare=False)
    """When the run itself was stopped by somebody: it changes no verdict, only what is named."""

    def why(self, from_s: float, to_s: float) -> str | None:
        """Return what may be the cause of something in a stretch, the machine first; None where nothing may."""
        return self.by_machine(from_s, to_s) or self.by_harness(from_s, to_s)

    def by_harness(self, from_s: float, to_s: float) -> str | None:
        """Return how the harness's own trouble may be the cause of something in a stretch."""
        return self._late.first(from_s, to_s)

    def by_machine(self, from_s: float, to_s: float) -> str | None:
        """Return how the machine may be the cause of something in a stretch.

        What it delayed is still being worked off for a while, so it counts for as long again as it was busy.
        """
        return self._backlogged.first(from_s, to_s)

    def lost_s(self, from_s: float, to_s: float) -> float:
        """Return for how much of a stretch the machine was busy, or what it had delayed was still being worked off."""
        spans = ((one.lo, _worked_off_s(one)) for one in self._backlogged.touching(from_s, to_s))
        return sum(max(0.0, min(hi, to_s) - max(lo, from_s)) for lo, hi in joined(spans))

    def behind(self, at: Span) -> str | None:
        """Return how the machine may be the cause of an alert, a restart or an end of a service."""
        # Where nothing was seen for long before, that time is not one in which anything may be the cause.
        from_s = max(at.lo, at.hi - CONSEQUENCE_S) - CONSEQUENCE_S
        if self.busy_s(from_s, at.hi) < CONSEQUENCE_LOST_S:
            return None
        return self._busy.first(from_s, at.hi)

    def machine_alone(self, before: Span, during: Span) -> str | None:
        """Return how the machine alone may have caused something: it was much busier `during` it than `before`.

        None where it was as busy before, or hardly busy.
        """
        busy_s = self.busy_s(during.lo, during.hi)
        if busy_s < ALONE_S or busy_s < ALONE_SHARE * (during.hi - during.lo):
            return None
        return self.busier(before, during)

    def busier(self, before: Span, during: Span) -> str | None:
        """Return how the machine was more than twice as busy `during` something as `before` it; None where not."""
        share, earlier = (self.busy_s(t.lo, t.hi) / max(t.hi - t.lo, 0.1) for t in (during, before))
        return self._busy.first(during.lo, during.hi) if earlier < share / 2 else None

    def stopped(self, from_s: float, to_s: float) -> str | None:
        """Return for how long the run itself was suspended, the longest time in a stretch; None where it was not."""
        found = [one for one in self.suspended if one.lo <= to_s and one.hi >= from_s]
        return max(found, key=lambda one: one.hi - one.lo).why if found else None

    def busy_s(self, from_s: float, to_s: float) -> float:
        """Return for how much of a stretch the machine was busy."""
        return sum(max(0.0, min(hi, to_s) - max(lo, from_s)) for lo, hi in self.busy)

    def mostly(self, from_s: float, to_s: float) -> str | None:
        """Return when the machine was busy for the longest in a stretch, where it was for seconds; None where not."""
        if self.busy_s(from_s, to_s) < MOSTLY_S:
            return None
        return max(self.machine, key=lambda one: min(one.hi, to_s) - max(one.lo, from_s)).why

    def within(self, took: Span, limit_s: float, from_s: float, to_s: float) -> tuple[Value, str | None]:
        """Judge how long something took in a stretch against a deadline.

        What is late only by time in which the machine was busy is unknown, with the reason. A late harness does not
        make a stack late: it makes the interval wider in which something was seen to happen.
        """
        value = took.within(limit_s)
        if value is not Value.FAIL or took.lo - self.busy_s(from_s, to_s) > limit_s:
            return value, None
        return Value.UNKNOWN, self._busy.first(from_s, to_s)

    @cached_property
    def _busy(self) -> _Index:
        return _Index(self.machine, _end)

    @cached_property
    def _backlogged(self) -> _Index:
        return _Index(self.machine, _worked_off_s)

    @cached_property
    def _late(self) -> _Index:
        return _Index(self.harness, _end)


def _worked_off_s(one: Disturbance) -> float:
    return one.hi + min(one.hi - one.lo, BACKLOG_MOST_S)


UNDISTURBED = Disturbances()


def blamed(busy: str | None) -> Cause | None:
    """Return the cause of a clause that names how the machine may be; None where it names nothing."""
    return None if busy is None else "machine"


def disturbances(machine: Iterable[MachineSeen], late: Sequence[Span]) -> Disturbances:
    """Find the disturbances of a run, by what was seen of the machine, and when the harness was late."""
    seen_machine = list(machine)
    suspended = [
        Disturbance(one.to_s - one.late_s, one.to_s, suspended_text(one))
        for one in seen_machine
        if suspension(one) is not None
    ]
    bad = sorted((one for one in seen_machine if lacking(one) is not None), key=lambda one: one.from_s)
    starts = [one.from_s for one in bad]
    busy = []
    for lo, hi in joined(((one.from_s, one.to_s) for one in bad), JOINED_S):
        why = busy_text(bad[bisect_left(starts, lo) : bisect_left(starts, hi)])
        busy.append(Disturbance(lo, hi, _most_of(suspended, lo, hi) or str(why)))
    own = (
        Disturbance(
            span.lo,
            span.hi,
            _most_of(suspended, span.lo, span.hi) or f"the harness was late at {span.lo:.2f}–{span.hi:.2f} s",
        )
        for span in late
    )
    seen = joined((one.from_s, one.to_s) for one in bad)
    return Disturbances(tuple(busy), tuple(own), tuple(seen), tuple(suspended))


def _most_of(suspended: Iterable[Disturbance], lo: float, hi: float) -> str | None:
    """Return how the run was suspended for most of a stretch; None where it was not."""
    return next((one.why for one in suspended if 2 * (min(one.hi, hi) - max(one.lo, lo)) > hi - lo), None)


def unseen(gaps: Iterable[Gap], to_s: float) -> str | None:
    """Return for how long nobody watched the machine, up to a moment; None where it was watched throughout.

    No verdict changes by that: as on a platform that tells nothing of itself, the harness's own lateness is what is
    left. But whoever reads the verdict must know that a busy machine would not have been named.
    """
    found = sorted((gap for gap in gaps if gap.from_s < to_s), key=lambda gap: gap.from_s)
    if not found:
        return None
    lost_s = sum(hi - lo for lo, hi in joined((gap.from_s, min(gap.to_s, to_s)) for gap in found))
    first = found[0]
    return (
        f"note: the machine was not watched for {lost_s:.1f} s, first at {first.from_s:.1f} s ({first.why}): "
        "had it been busy then, no reason would say so"
    )


def joined(stretches: Iterable[tuple[float, float]], gap_s: float = 0.0) -> list[tuple[float, float]]:
    """Join stretches that overlap, or between which there is no more than a gap. They come in order."""
    found: list[tuple[float, float]] = []
    for lo, hi in stretches:
        if found and lo <= found[-1][1] + gap_s:
            found[-1] = (found[-1][0], max(found[-1][1], hi))
        else:
            found.append((lo, hi))
    return found


def _end(one: Disturbance) -> float:
    return one.hi
