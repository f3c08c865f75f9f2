"""Evaluates a bound over time: at each point it is good, bad, or neither (too few samples, a gap, unchecked answers).

The runner uses it to find out when the steady state is met and when it may stop observing; the judge uses it on the
whole journal.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from harness.model.answers import ANSWER_PROBES, LEFT_OUT, AnswerProbe, Contribution, Measured, opened
from harness.model.clauses import SHARE_MIN_SAMPLES, SHORTEST_OVER_S, Bound
from harness.model.shares import Tally, share_of
from harness.model.units import Unit

if TYPE_CHECKING:
    from harness.model.readings import Answer, Gap, Reading

STEP_S = SHORTEST_OVER_S
MAX_GAP_S = 1.0
UNCHECKED = "answers whose score could not be checked decide it"


@dataclass(frozen=True, slots=True)
class Point:
    """A bound at one moment: `lo_s`..`hi_s` encloses the moment, `cites` are the journal lines it rests on."""

    lo_s: float
    hi_s: float
    good: bool | None
    value: float | None
    cites: tuple[int, ...] = ()
    why: str | None = None
    since_s: float | None = None
    """Where the window begins that it is about; None where it is about no more than the moment."""
    gap: bool = False
    """No measurement was attempted: nothing is known of that time."""
    chance: bool = False
    """The value breaks the bound, but not more than chance explains: it is neither kept nor broken."""
    doubtful: bool = False
    """Chance explains it, but hardly."""
    machine: bool = False
    """It is undecided, and a busy machine may be the cause of what is bad."""
    broken_by_s: float | None = None
    """Of a window that is broken: its answers up to this moment break the bound."""
    broken_from_s: float | None = None
    """Of a window that is broken: its answers from this moment on break the bound."""
    beyond_until_s: float | None = None
    """Of a window that is kept: its last answer that may be beyond the bound: what that allows, or what broke it."""
    unanswered: bool = False
    """It has too few answers because requests got none, and none of its answers is beyond an upper bound, or open.

    Nothing but the stack can be the cause of that.
    """

    @property
    def moment_s(self) -> float:
        """By when it is as it is: a window that ends later may be broken by what lies before."""
        return self.hi_s if self.broken_by_s is None else self.broken_by_s

    @property
    def undecided(self) -> bool:
        """Whether nothing is known of it: it was not measured well enough, or chance hardly explains it."""
        return self.good is None and (self.doubtful or not self.chance)


def min_samples(bound: Bound, probe: AnswerProbe | None) -> int:
    """Return how many samples a window of that bound needs."""
    if bound.min_samples is not None:
        return bound.min_samples
    counted = probe is not None and probe.unit is Unit.COUNT
    return 1 if probe is None or counted else SHARE_MIN_SAMPLES


def longest_gap_s(every_s: float) -> float:
    """Return how long a probe that is read so often may go unread before that is a gap."""
    return max(MAX_GAP_S, every_s + MAX_GAP_S / 2)


def window_point(
    bound: Bound, probe: AnswerProbe, window: Sequence[tuple[int, Answer]], at_s: float, gap: bool = False
) -> Point:
    """Judge one window of (journal line, answer), ending at `at_s`."""
    cites = (window[0][0], window[-1][0]) if window else ()
    return _point(bound, probe.measure([a for _, a in window]), min_samples(bound, probe), cites, at_s, gap)


def _point(
    bound: Bound,
    measured: Measured,
    needed: int,
    cites: tuple[int, ...],
    at_s: float,
    gap: bool,
    doubt: str | None = None,
) -> Point:
    if gap:
        return Point(at_s, at_s, None, measured.hi, cites, "a gap in the workload", at_s - bound.over, True)
    if measured.lo is None or measured.hi is None or measured.samples < needed:
        why = f"{measured.samples} of {needed} samples in the window"
        return Point(at_s, at_s, None, measured.hi, cites, why, at_s - bound.over)
    both = {bound.met_by(measured.lo), bound.met_by(measured.hi)}
    value = bound.worst([measured.lo, measured.hi])
    if len(both) == 2:
        why = doubt or UNCHECKED
        return Point(at_s, at_s, None, value, cites, why, at_s - bound.over)
    return Point(at_s, at_s, both.pop(), value, cites, None, at_s - bound.over)


def _unanswered(
    point: Point,
    bound: Bound,
    measured: Measured,
    needed: int,
    window: Sequence[tuple[Attributed, Contribution]],
) -> Point:
    """Mark a window whose share is missing only answers: there were requests enough, and nothing that came is bad."""
    ratio = ANSWER_PROBES[bound.probe].unit is Unit.RATIO
    if not ratio or bound.at_most is None or not measured.samples < needed <= len(window) or measured.hi:
        return point
    missing = [one for one, contribution in window if contribution is LEFT_OUT]
    lost = next((one for one in missing if one.inconclusive is not None), None)
    if lost is not None:
        return replace(point, why=lost.inconclusive, machine=lost.machine)
    return replace(point, unanswered=True)


def _unchecked(answer: Answer) -> str:
    """Return why an answer that may be right or wrong decides nothing."""
    why = answer.why or answer.error
    return UNCHECKED if why is None else f"{UNCHECKED}: {why}"


class Attributed(NamedTuple):
    """An answer, its journal line, and the moment for which it counts: when it was due, unless the judge says later.

    `inconclusive` says why nothing follows from it: something other than the stack may be the cause of what it shows,
    a busy machine where `machine` is set. Of the time that it was open that may have taken no more than `lost_s`.
    """

    at_s: float
    n: int
    answer: Answer
    inconclusive: str | None = None
    machine: bool = False
    lost_s: float = math.inf


def as_due(answers: Iterable[tuple[int, Answer]]) -> list[Attributed]:
    """Return answers, each for the moment at which it was due."""
    return [Attributed(answer.due_s, n, answer) for n, answer in answers]


def contributions_of(bound: Bound, answers: Sequence[Attributed]) -> list[Contribution]:
    """Return what each answer contributes to a bound; what is bad and inconclusive is open."""
    probe = ANSWER_PROBES[bound.probe]
    contributions = probe.contributions(one.answer for one in answers)
    if all(one.inconclusive is None for one in answers):
        return contributions
    breaching, wall = bound.at_least is None, probe.unit is Unit.WALL

    def least(value: Contribution, lost_s: float) -> float:
        return max(0.0, value - lost_s) if wall and isinstance(value, float) else 0.0

    return [
        value if one.inconclusive is None else opened(value, breaching, least(value, one.lost_s))
        for value, one in zip(contributions, answers, strict=True)
    ]


def tally_of(bound: Bound, answers: Sequence[Attributed], level: float) -> Tally | None:
    """Count answers as a bound on a share does, at its clause's level; None where it is none, or allows nothing."""
    share = share_of(bound)
    return None if share is None else Tally(share, contributions_of(bound, answers), level)


def answer_series(
    bound: Bound,
    answers: Sequence[Attributed],
    from_s: float,
    to_s: float,
    gaps: Sequence[Gap] = (),
    tally: Tally | None = None,
) -> list[Point]:
    """Judge sliding windows of answers, one each STEP_S, all lying within `from_s`..`to_s`.

    `answers` are in the order of the moments for which they count. With the `tally` of them, a bound on a share is
    broken only by more than chance explains; without it, by every value beyond it.
    """
    probe = ANSWER_PROBES[bound.probe]
    needed = min_samples(bound, probe)
    dues = [a.at_s for a in answers]
    contributions = contributions_of(bound, answers) if tally is None else tally.contributions
    doubts = [
        one.inconclusive or (_unchecked(one.answer) if value is None else None)
        for one, value in zip(answers, contributions, strict=True)
    ]
    doubted = any(doubts)
    beyond: _Beyond | None = None
    points: list[Point] = []
    steps = int((to_s - from_s - bound.over) / STEP_S + 1e-6)
    k, seen = 0, len(dues)
    while k <= steps:
        at_s = from_s + bound.over + k * STEP_S
        # Rounding must not hide an answer between two windows of which one begins where the other ends.
        lo, hi = min(seen, bisect_right(dues, at_s - bound.over)), bisect_right(dues, at_s)
        seen = hi
        gap = any(g.from_s < at_s and g.to_s > at_s - bound.over for g in gaps)
        cites = (answers[lo].n, answers[hi - 1].n) if hi > lo else ()
        first = next((i for i in range(lo, hi) if doubts[i]), None) if doubted else None
        doubt = None if first is None else doubts[first]
        measured = probe.combine(contributions[lo:hi])
        point = _point(bound, measured, needed, cites, at_s, gap, doubt)
        if point.good is None and not gap:
            window = list(zip(answers[lo:hi], contributions[lo:hi], strict=True))
            point = _unanswered(point, bound, measured, needed, window)
        if tally is not None and point.good is False:
            point = _unless_chance(point, tally, lo, hi, steps + 1, doubt)
        if point.good is not None:
            beyond = beyond or _Beyond(bound, contributions, dues)
            point = beyond.dated(point, lo, hi)
        if first is not None and answers[first].machine and point.why is doubt:
            point = replace(point, machine=True)
        points.append(point)
        k += 1
        if lo == hi:
            # Nothing is due for a while: up to where a gap begins or ends, the last of these windows is like the first.
            ahead = [g for g in gaps if g.to_s > at_s - bound.over]
            changes_s = (g.from_s if g.from_s >= at_s else g.to_s + bound.over for g in ahead)
            until_s = min([to_s, *dues[hi : hi + 1], *changes_s])
            k = max(k, int((until_s - from_s - bound.over) / STEP_S) - 1)
    return points


class _Beyond:
    """The answers beyond a bound, for the moments by which a window is broken or kept."""

    def __init__(self, bound: Bound, contributions: Sequence[Contribution], dues: Sequence[float]) -> None:
        share, probe = share_of(bound), ANSWER_PROBES[bound.probe]
        breaching = bound.at_least is None
        marks = share.mark(contributions) if share is not None else contributions
        worse = True if share is not None else breaching
        self._certain = [i for i, mark in enumerate(marks) if mark is worse]
        self._possible = [i for i, mark in enumerate(marks) if mark is worse or mark is None]
        self._dues = dues
        # A share is broken by all of them together: a part may be what the bound allows.
        counted = probe.unit is Unit.COUNT
        self._needed = None if share is not None else int(bound.limit.value) + 1 if counted else 1

    def dated(self, point: Point, lo: int, hi: int) -> Point:
        """Return the window of the answers `lo`..`hi` with the moments of those that matter."""
        found = self._possible if point.good else self._certain
        first, last = bisect_left(found, lo), bisect_left(found, hi) - 1
        if last < first:
            return point
        if point.good:
            return replace(point, beyond_until_s=self._dues[found[last]])
        more = last - first if self._needed is None else min(last - first, self._needed - 1)
        return replace(point, broken_by_s=self._dues[found[first + more]], broken_from_s=self._dues[found[last - more]])


def _unless_chance(point: Point, tally: Tally, lo: int, hi: int, windows: int, doubt: str | None) -> Point:
    """Return a broken window as neither kept nor broken where chance may have broken it, or answers that are open."""
    if tally.more_than_chance(lo, hi, windows):
        return point
    count = tally.count(lo, hi)
    if count.open:
        return replace(point, good=None, why=doubt or UNCHECKED)
    doubtful = tally.hardly_chance(lo, hi, windows)
    why = f"{count.beyond} of {count.samples} answers: chance {'hardly ' if doubtful else ''}explains it"
    return replace(point, good=None, why=why, chance=True, doubtful=doubtful)


def too_few(bound: Bound, asked: Sequence[float], at_s: float) -> str | None:
    """Return why a reading of a probe at a moment says too little for a bound; None where enough were made by then.

    `asked` is when the probe was read, in order.
    """
    needed = min_samples(bound, None)
    there = bisect_right(asked, at_s) - bisect_right(asked, at_s - bound.over) if needed > 1 else needed
    return None if there >= needed else f"{there} of {needed} samples"


def reading_series(
    bound: Bound,
    readings: Sequence[tuple[int, Reading]],
    from_s: float,
    to_s: float,
    gaps: Sequence[Gap] = (),
    every_s: float = 0.0,
) -> list[Point]:
    """Judge polled readings one by one. No answer breaches the bound; a stretch without an attempt is neither.

    `readings` are (journal line, reading) in the order in which they were sent, `every_s` is how often they are.
    """
    longest_s = longest_gap_s(every_s)
    inside = [(n, r) for n, r in readings if r.asked_s >= from_s and r.answered_s <= to_s]
    asked = [r.asked_s for _, r in readings]
    points: list[Point] = []
    last_s, first = from_s, True
    for n, r in inside:
        # The attempt counts from its end: a probe that hung until its deadline was being attempted all the while.
        if r.asked_s - last_s > longest_s:
            points.append(Point(last_s, r.asked_s, None, None, (n,), "no attempt to read the probe", gap=True))
        last_s, first = r.answered_s, False
        few = too_few(bound, asked, r.asked_s)
        if few is not None:
            points.append(Point(r.asked_s, r.answered_s, None, r.value, (n,), few))
            continue
        good = r.value is not None and bound.met_by(r.value)
        if good and r.answered_s - r.asked_s > longest_s:
            # It was good at one moment of that time. Whether it was at the others, nothing tells.
            why = f"a reading of the probe took {r.answered_s - r.asked_s:.1f} s"
            points.append(Point(r.asked_s, r.answered_s, None, r.value, (n,), why, gap=True))
            continue
        points.append(Point(r.asked_s, r.answered_s, good, r.value, (n,), r.down))
    if to_s - last_s > longest_s or (first and to_s > from_s):
        points.append(Point(last_s, to_s, None, None, (), "no attempt to read the probe", gap=True))
    points.extend(
        Point(g.from_s, g.to_s, None, None, (), g.why, gap=True) for g in gaps if g.from_s < to_s and g.to_s > from_s
    )
    return sorted(points, key=lambda p: (p.hi_s, p.lo_s))
