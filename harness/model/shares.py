"""Bounds on shares: which answers are beyond a bound, and where there were more of them than chance explains.

A quantile is such a share too: `latency_p99` of at most 250 ms allows one answer in a hundred to take longer. That is
the interval of a quantile by order statistics (David and Nagaraja, "Order Statistics", 2003, section 7.1).

One level holds for a whole run. Its guard has a part of it, the clauses on shares have equal parts of the rest, and so
no number of windows makes a false `fail` more likely. Answers are taken to be independent; those of an outage are not,
which only makes it more certain.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from harness.model.answers import ANSWER_PROBES, LEFT_OUT, Contribution, Failed, Open
from harness.model.binomial import answers_needed, critical_count
from harness.model.clauses import Bound
from harness.model.units import Unit

if TYPE_CHECKING:
    from harness.model.expectations import Expect

LEVEL = 0.001
"""The chance that a run whose stack keeps all its bounds on shares is failed by one of them, at most."""
GUARD_PART = 0.2
"""The part of that level for the limits of the guard. It is the small one: the guard need not show that it is kept."""
DOUBT = 50.0
"""How many times that level it takes for a run not to pass: what chance hardly explains is unknown."""
TIMES_WORSE = 5.0
"""How many times the allowed rate must have shown, for a bound to be kept."""
ANSWERS_WITHIN_S = 120.0
"""How long after the injection a run goes on, at most, for more answers to a bound that must stay."""
_DIGITS = 12
_WHOLE, _WINDOWS, _STRETCHES = 0.5, 0.25, 0.25
"""The parts of a clause's level: for the whole run, for its windows, and for stretches of 2, 4, 8, … answers."""


# What a bound makes of an answer: beyond it, within it, None where that is open; LEFT_OUT where it does not look at it.
Mark = bool | str | None


@dataclass(frozen=True, slots=True)
class Share:
    """A bound as one on a share: the rate of answers beyond it that it allows, above 0 and below 1.

    `mark` says which of the answers are beyond the bound, by what each contributes.
    """

    allowed: float
    mark: Callable[[Sequence[Contribution]], Sequence[Mark]]

    @property
    def worse(self) -> float:
        """The rate that must have shown, for the bound to be kept."""
        return min(1.0, TIMES_WORSE * self.allowed)


def share_of(bound: Bound) -> Share | None:
    """Return a bound as one on a share; None for what is none, and for bounds of zero, which one answer breaks."""
    probe = ANSWER_PROBES.get(bound.probe)
    if probe is None or bound.equals is not None:
        return None
    limit, upper = bound.limit.value, bound.at_most is not None
    if probe.quantile is not None:
        rank = probe.quantile
        return Share(round(1 - rank, _DIGITS), partial(_above, limit)) if upper else Share(rank, partial(_below, limit))
    if probe.unit is not Unit.RATIO:
        return None
    allowed = round(limit if upper else 1 - limit, _DIGITS)
    return Share(allowed, _those if upper else _the_others) if 0 < allowed < 1 else None


def _those(contributions: Sequence[Contribution]) -> list[Mark]:
    return cast("list[Mark]", contributions)


def _the_others(contributions: Sequence[Contribution]) -> list[Mark]:
    return [not one if isinstance(one, bool) else cast("Mark", one) for one in contributions]


def _above(limit: float, contributions: Sequence[Contribution]) -> list[Mark]:
    def mark(one: Contribution) -> Mark:
        if not isinstance(one, float):
            return LEFT_OUT
        if isinstance(one, Open):
            return None if one.least <= limit < one else one > limit
        return isinstance(one, Failed) or one > limit

    return list(map(mark, contributions))


def _below(limit: float, contributions: Sequence[Contribution]) -> list[Mark]:
    def mark(one: Contribution) -> Mark:
        if not isinstance(one, float):
            return LEFT_OUT
        return None if isinstance(one, Open) else one < limit and not isinstance(one, Failed)

    return list(map(mark, contributions))


def clause_level(expect: Expect) -> float:
    """Return the part of a run's level that each of its clauses on shares has."""
    return LEVEL * (1 - GUARD_PART) / _on_shares((*expect.stays, *expect.recovered))


def guard_level(limits: Sequence[Bound]) -> float:
    """Return the part of a run's level that each limit of its guard has that is a share."""
    return LEVEL * GUARD_PART / _on_shares(limits)


def _on_shares(bounds: Sequence[Bound]) -> int:
    """Return how many parts a level has: one for each bound on a share, and one where there is none."""
    return max(1, sum(share_of(bound) is not None for bound in bounds))


def whole_level(level: float) -> float:
    """Return the part of a clause's level that the whole run has."""
    return level * _WHOLE


def samples_needed(bound: Bound, expect: Expect) -> int | None:
    """Return about how many answers a bound that must stay needs; None where it is not one on a share."""
    share = share_of(bound)
    if share is None:
        return None
    return answers_needed(1, share.allowed, share.worse, whole_level(clause_level(expect)))


@dataclass(frozen=True, slots=True)
class Count:
    """A stretch of answers: how many a bound looks at, how many are beyond it, and of how many that is open."""

    samples: int
    beyond: int
    open: int = 0

    @property
    def rate(self) -> float:
        """The share of answers beyond the bound; 0 where there are none."""
        return self.beyond / self.samples if self.samples else 0.0

    def more_than_chance(self, allowed: float, level: float) -> bool:
        """Whether more are beyond it than chance explains."""
        return self.beyond >= critical_count(self.samples, allowed, level)


class Tally:
    """The answers of a run, in order, as one bound on a share counts them."""

    def __init__(self, share: Share, contributions: Sequence[Contribution], level: float) -> None:
        """`level` is that of the clause."""
        self.share, self.contributions, self.level = share, contributions, level
        self._marks = share.mark(contributions)

    def count(self, first: int = 0, end: int | None = None) -> Count:
        """Count the answers from `first` up to and without `end`."""
        inside = self._marks[first:end]
        return Count(len(inside) - inside.count(LEFT_OUT), inside.count(True), inside.count(None))

    @cached_property
    def stretches(self) -> list[tuple[int, int]]:
        """The first and the last answer of each stretch in which more are beyond the bound than chance explains."""
        return list(_stretches(self._marks, self.share.allowed, self.level * _STRETCHES))

    @cached_property
    def doubtful(self) -> list[tuple[int, int]]:
        """The same for stretches in which chance hardly explains it."""
        return list(_stretches(self._marks, self.share.allowed, self.level * _STRETCHES * DOUBT))

    @cached_property
    def _latest(self) -> list[int]:
        return _latest(self.stretches, len(self._marks))

    @cached_property
    def _latest_doubtful(self) -> list[int]:
        return _latest(self.doubtful, len(self._marks))

    def more_than_chance(self, first: int, end: int, windows: int) -> bool:
        """Whether one of so many windows, or a stretch inside it, has more beyond the bound than chance explains."""
        return self._latest[end] >= first or self._many(first, end, self.level / windows)

    def hardly_chance(self, first: int, end: int, windows: int) -> bool:
        """Whether one of so many windows, or a stretch inside it, has so many that chance hardly explains it."""
        return self._latest_doubtful[end] >= first or self._many(first, end, self.level * DOUBT / windows)

    def _many(self, first: int, end: int, level: float) -> bool:
        return self.count(first, end).more_than_chance(self.share.allowed, level * _WINDOWS)


def _latest(stretches: Sequence[tuple[int, int]], answers: int) -> list[int]:
    """Return for each end where the last of the stretches begins that lie before it; -1 where none does."""
    latest = [-1] * (answers + 1)
    for first, last in stretches:
        latest[last + 1] = max(latest[last + 1], first)
    return list(accumulate(latest, max))


def _stretches(marks: Sequence[Mark], allowed: float, level: float) -> Iterator[tuple[int, int]]:
    """Yield where, of 2, 4, 8, … answers in a row, more are beyond the bound than chance explains, short ones first.

    They begin every quarter of their length: any other shares most of its answers with one of these, and the fewer they
    are, the less each must show. Of each, the first and the last answer beyond the bound are given.
    """
    looked = [index for index, mark in enumerate(marks) if mark is not LEFT_OUT]
    beyond = [rank for rank, index in enumerate(looked) if marks[index] is True]
    lengths = [2**k for k in range(1, len(looked).bit_length())] if len(beyond) > 1 else []
    for length in lengths:
        step = max(1, length // 4)
        begins = range(0, len(looked) - length + 1, step)
        critical = critical_count(length, allowed, level / len(lengths) / len(begins))
        if critical > min(length, len(beyond)):
            continue
        for begin in begins:
            first, end = bisect_left(beyond, begin), bisect_left(beyond, begin + length)
            if end - first >= critical:
                yield looked[beyond[first]], looked[beyond[end - 1]]
