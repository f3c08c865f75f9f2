"""What a stretch of a run shows of a bound on a share: whether it was broken, and whether that would have shown.

A window has few answers, so that one in which the share is beyond the bound proves nothing. The whole stretch, and long
parts of it, have many: they decide what windows leave open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from harness.judge.compared import Answered
from harness.model.binomial import answers_needed, shows, unseen_rate
from harness.model.shares import LEVEL, Count, Share, whole_level
from harness.model.units import Unit, format_amount

BEFORE_LEVEL = 0.01
"""How improbable a count before the injection must be for it to be doubtful that the fault broke the bound."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A stretch in which more answers were beyond a bound than chance explains, or than it hardly explains."""

    from_s: float
    to_s: float
    count: Count

    @property
    def text(self) -> str:
        """The stretch in words."""
        return f"{_of(self.count)} were beyond it at {self.from_s:.2f}–{self.to_s:.2f} s"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a stretch of a run shows of a bound on a share. `level` is the part of the run's that the stretch has."""

    share: Share
    count: Count
    level: float
    excess: Excess | None
    doubtful: Excess | None = None
    """A stretch of which chance hardly explains how many answers were beyond the bound."""

    @property
    def exceeded(self) -> str | None:
        """Why the stretch as a whole does not keep the bound; None where it does."""
        if self.excess is not None:
            return f"{self.excess.text}, more than chance explains"
        if self.doubtful is not None:
            return f"{self.doubtful.text}, which chance hardly explains"
        count, allowed = self.count, self.share.allowed
        worst = Count(count.samples, count.beyond + count.open)
        if worst.rate <= allowed:
            return None
        if count.rate <= allowed:
            return f"{count.open:,} of {count.samples:,} answers are open, and decide it"
        needed = answers_needed(count.samples, allowed, count.rate, self.level) - count.samples
        return f"{_of(count)} were beyond it, which chance explains: {max(1, needed):,} more answers needed"

    @property
    def lacking(self) -> str | None:
        """How many answers are missing to show five times the rate that is allowed; None where there are enough."""
        samples, share = self.count.samples, self.share
        if shows(samples, share.allowed, share.worse, self.level):
            return None
        needed = answers_needed(samples, share.allowed, share.worse, self.level) - samples
        worse = format_amount(share.worse, Unit.RATIO)
        return f"{needed:,} more answers needed: {worse} beyond it would not have shown in {samples:,}"


class Counted(TypedDict, total=False):
    """The fields of a result that are about a share."""

    samples: int
    beyond: int
    level: float
    unseen: float


def measured_of(share: Seen | None) -> Counted:
    """Return the fields of a result that are about a share; none where it is about none."""
    if share is None:
        return {}
    samples = share.count.samples
    unseen = unseen_rate(samples, share.share.allowed, share.level)
    return {"samples": samples, "beyond": share.count.beyond, "level": LEVEL, "unseen": round(unseen, 6)}


def _of(count: Count) -> str:
    return f"{count.beyond:,} of {count.samples:,} answers"


def seen(answered: Answered | None, from_s: float, to_s: float, over_s: float) -> Seen | None:
    """Return what a stretch of a run shows of a bound; None where it is not one on a share, or allows nothing."""
    if answered is None:
        return None
    tally, (first, end) = answered.tally, answered.between(from_s, to_s)
    whole, level = tally.count(first, end), whole_level(tally.level)
    if whole.more_than_chance(tally.share.allowed, level):
        return Seen(tally.share, whole, level, Excess(from_s, to_s, whole))
    if whole.beyond < 2:
        return Seen(tally.share, whole, level, None)
    excess, doubtful = (
        _worst(answered, stretches, (first, end), over_s) for stretches in (tally.stretches, tally.doubtful)
    )
    return Seen(tally.share, whole, level, excess, doubtful)


def _worst(
    answered: Answered, stretches: Sequence[tuple[int, int]], within: tuple[int, int], over_s: float
) -> Excess | None:
    """Return the stretch of at least the length of a window with most answers beyond the bound, if there is one."""
    at_s, (begin, end) = answered.at_s, within
    found = [
        Excess(at_s[first], at_s[last], answered.tally.count(first, last + 1))
        for first, last in stretches
        if begin <= first and last < end and at_s[last] - at_s[first] >= over_s
    ]
    return max(found, key=lambda excess: excess.count.rate, default=None)


def doubt_before(answered: Answered | None, gate_s: float, injected_s: float) -> str | None:
    """Return why a bound on a share may have been broken before injection; None where nothing says so."""
    if answered is None:
        return None
    tally, (first, end) = answered.tally, answered.between(gate_s, injected_s)
    count = tally.count(first, end)
    if not count.more_than_chance(tally.share.allowed, BEFORE_LEVEL):
        return None
    return f"{_of(count)} were beyond it before injection"
