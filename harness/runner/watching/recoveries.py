"""A recovery as it goes, moment by moment, so that a run can end when it has held.

Every value beyond its bound breaks it here, be it by chance or not. No verdict rests on that: the judge looks again.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Recovered
from harness.model.series import Point

MARGIN_S = 0.5
"""How much longer than a clause's time it is observed: answers and polls come late."""


@dataclass
class RecoveryTracker:
    """A recovery as it goes: whether its bound broke, and since when it is kept again."""

    clause: Recovered
    broke: bool = False
    good_since_s: float | None = None
    every_s: float = 0.0
    """How often its probe is read: it holds for sure only with a reading after that."""

    def take(self, point: Point) -> None:
        """Take in the state at one moment. Moments come in their order."""
        if point.good is False:
            self.broke, self.good_since_s = True, None
        elif point.good is None:
            self.good_since_s = None
        elif self.broke and self.good_since_s is None:
            self.good_since_s = point.hi_s

    def content(self, now_s: float, start_s: float) -> bool:
        """Whether the bound is kept again and has held, or its time is over."""
        margin_s = MARGIN_S + self.every_s
        held = self.good_since_s is not None and now_s >= self.good_since_s + self.clause.hold + margin_s
        # A window counts from its start, and ends later: the last that is in time must be seen, and hold.
        window_s = self.clause.over if self.clause.probe in ANSWER_PROBES else 0.0
        over = now_s >= start_s + self.clause.within + window_s + self.clause.hold + margin_s
        return held or over
