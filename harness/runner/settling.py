"""When to stop looking: every expectation is met and has held, or its time is over.

Looking on longer than needed costs time; stopping too early costs a verdict. So each clause says until when it wants
the run to go on, and the run goes on until the last of them is content.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.expectations import Cleared, Detected, Recovered
from harness.model.plan import Plan
from harness.model.series import Point
from harness.runner.live import Live

MARGIN_S = 0.5
LEAST_S = 1.0


@dataclass
class RecoveryTracker:
    """A recovery as it goes: broken yet, and good since when."""

    clause: Recovered
    broke: bool = False
    good_since_s: float | None = None
    every_s: float = 0.0
    """How often its probe is read: it is seen to hold only by a reading after that."""

    def tick(self, live: Live, settled_s: float) -> None:
        """Take in how it stands now."""
        self.take(live.point(self.clause, settled_s))

    def take(self, point: Point) -> None:
        """Take in how it stood at one moment; moments come in their order."""
        if point.good is False:
            self.broke, self.good_since_s = True, None
        elif point.good is None:
            self.good_since_s = None
        elif self.broke and self.good_since_s is None:
            self.good_since_s = point.hi_s

    def content(self, now_s: float, start_s: float) -> bool:
        """Whether it has come back and held, or its time is over."""
        margin_s = MARGIN_S + self.every_s
        held = self.good_since_s is not None and now_s >= self.good_since_s + self.clause.hold + margin_s
        over = now_s >= start_s + self.clause.within + self.clause.hold + margin_s
        return held or over


class Settling:
    """Watches the expectations of one run from its first injection on."""

    def __init__(self, plan: Plan, live: Live) -> None:
        self._plan = plan
        self._live = live
        expect = plan.scenario.expect
        every_s = plan.stack.probe_every_s
        self._recoveries = [
            RecoveryTracker(clause, every_s=every_s.get(clause.probe, 0.0)) for clause in expect.recovered
        ]
        self._seen: set[str] = set()
        self._first, self._last = plan.scenario.timeline[0].id, plan.scenario.timeline[-1].id

    def tick(self, settled_s: float) -> None:
        """Take in how things stand now."""
        for recovery in self._recoveries:
            recovery.tick(self._live, settled_s)
        expect = self._plan.scenario.expect
        alerts: list[Detected | Cleared] = [*expect.detected, *expect.cleared]
        self._seen.update(c.id for c in alerts if self._live.firing(c.alert, c.labels))

    def settled(self, now_s: float, last_revert_s: float) -> bool:
        """Whether nothing that is expected needs the run to go on."""
        if now_s < last_revert_s + max(self._plan.scenario.observe, LEAST_S):
            return False
        if any(stage == "failed" for _, stage in self._live.stages):
            return True  # nothing can rest on this run any more
        if self._plan.twin == "control":
            return now_s >= last_revert_s + max(self._plan.scenario.observe, 3.0)
        expect = self._plan.scenario.expect
        return (
            all(self._detected(clause, now_s) for clause in expect.detected)
            and all(self._cleared(clause, now_s) for clause in expect.cleared)
            and all(r.content(now_s, self._start(r.clause, last_revert_s)) for r in self._recoveries)
        )

    def _start(self, clause: Recovered, last_revert_s: float) -> float:
        stage = "injected" if clause.since == "injection" else "reverted"
        return self._live.stages.get((clause.fault or self._last, stage), last_revert_s)

    def _detected(self, clause: Detected, now_s: float) -> bool:
        injected_s = self._live.stages.get((clause.fault or self._first, "injected"))
        over = injected_s is not None and now_s >= injected_s + clause.within + MARGIN_S
        return injected_s is None or clause.id in self._seen or over

    def _cleared(self, clause: Cleared, now_s: float) -> bool:
        reverted_s = self._live.stages.get((clause.fault or self._last, "reverted"))
        over = reverted_s is not None and now_s >= reverted_s + clause.within + MARGIN_S
        quiet = clause.id in self._seen and not self._live.firing(clause.alert, clause.labels)
        return reverted_s is None or over or quiet
