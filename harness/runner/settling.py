"""When to stop observing: every expectation is met and has held, or its time is over.

Observing longer than needed costs time; stopping too early costs a verdict. So each clause says whether it still needs
the run, and the run goes on until none does. Decides nothing that a verdict rests on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.model.alert_clauses import Cleared, Detected
from harness.model.clauses import Bound, Clause, Recovered
from harness.model.plan import Plan
from harness.model.readings import Alert
from harness.model.series import Point
from harness.runner.live import Live

MARGIN_S = 0.5
LEAST_S = 1.0
CONTROL_S = 3.0
"""The least that a control is observed after the moment at which its last fault would have been reverted."""


@dataclass
class RecoveryTracker:
    """A recovery as it goes: whether its bound broke, and since when it is kept again."""

    clause: Recovered
    broke: bool = False
    good_since_s: float | None = None
    every_s: float = 0.0
    """How often its probe is read: it holds for sure only with a reading after that."""

    def tick(self, live: Live, settled_s: float) -> None:
        """Take in the present state."""
        self.take(live.point(self.clause, settled_s))

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
        over = now_s >= start_s + self.clause.within + self.clause.hold + margin_s
        return held or over


class Settling:
    """Follows the expectations of one run from its baseline on. The plan may grow."""

    def __init__(self, plan: Plan, live: Live) -> None:
        self._plan = plan
        self._live = live
        self._recoveries = {c.id: self._tracker(c) for c in plan.scenario.expect.recovered}
        self._last_fired: dict[str, tuple[Alert, float]] = {}
        self._in_control: dict[tuple[str, str], float] = {}

    def _tracker(self, clause: Recovered) -> RecoveryTracker:
        return RecoveryTracker(clause, every_s=self._plan.stack.probe_every_s.get(clause.probe, 0.0))

    def replan(self, plan: Plan) -> None:
        """Go on with a plan that has grown. Its new recoveries are followed from now on."""
        self._plan = plan
        for clause in plan.scenario.expect.recovered:
            self._recoveries.setdefault(clause.id, self._tracker(clause))

    async def follow(self, plan: Plan, settled_s: float) -> None:
        """Go on with a plan that has grown, and catch up on its new recoveries since their faults' injection."""
        for clause in plan.scenario.expect.recovered:
            if clause.id in self._recoveries:
                continue
            tracker = self._tracker(clause)
            since_s = self._live.stages.get((clause.fault or "", "injected"))
            if since_s is not None:
                for point in await asyncio.to_thread(self._live.series, clause, since_s, settled_s, tracker.every_s):
                    tracker.take(point)
            self._recoveries[clause.id] = tracker
        self.replan(plan)

    def began(self, fault: str, at_s: float) -> None:
        """Note when a control would have injected a fault."""
        self._in_control[fault, "injected"] = at_s

    def ended(self, fault: str, at_s: float) -> None:
        """Note when a control would have reverted a fault."""
        self._in_control[fault, "reverted"] = at_s

    def tick(self, now_s: float, settled_s: float) -> None:
        """Take in the present state. Answers count up to `settled_s`, until which all of them are in."""
        for recovery in self._recoveries.values():
            recovery.tick(self._live, settled_s)
        for alert in self._live.all_firing():
            self._last_fired[alert.key] = (alert, now_s)

    def settled(self, now_s: float, last_revert_s: float) -> bool:
        """Whether nothing that is expected needs the run to go on."""
        observe_s = self._plan.scenario.observe
        if now_s < last_revert_s + max(observe_s, LEAST_S):
            return False
        if any(stage == "failed" for _, stage in self._live.stages):
            return True  # nothing can rest on this run any more
        if not self._plan.faults_on:
            return now_s >= last_revert_s + max(observe_s, CONTROL_S)
        return all(self.content(clause, now_s) for clause in self._plan.scenario.expect.clauses)

    def content(self, clause: Clause, now_s: float) -> bool:
        """Whether a clause is met, or its time is over, or has not begun."""
        if isinstance(clause, Recovered):
            return self._recovered(clause, now_s)
        if isinstance(clause, Bound):
            return self._window_seen(clause, now_s)
        if not isinstance(clause, Detected | Cleared):
            return True  # it has no time of its own
        start_s = self._start_s(clause)
        if start_s is None or now_s >= start_s + clause.within + MARGIN_S:
            return True
        if isinstance(clause, Detected):
            return self._fired_since(clause, start_s)
        if self._live.firing(clause.alert, clause.labels):
            return False
        # An alert may still be pending: only one that has fired is known to be quiet again.
        injected_s = self._moment_s(clause.fault or self._plan.scenario.timeline[0].id, "injected")
        return not self._plan.faults_on or self._fired_since(clause, start_s if injected_s is None else injected_s)

    def _window_seen(self, clause: Bound, now_s: float) -> bool:
        """Whether a whole window has followed the injection: without one, what must stay could not be judged."""
        injected_s = self._moment_s(self._plan.scenario.timeline[0].id, "injected")
        return injected_s is None or now_s >= injected_s + clause.over + MARGIN_S

    def _fired_since(self, clause: Detected | Cleared, since_s: float) -> bool:
        return bool(self._live.firing(clause.alert, clause.labels)) or any(
            at_s >= since_s and alert.matches(clause.alert, clause.labels) for alert, at_s in self._last_fired.values()
        )

    def _recovered(self, clause: Recovered, now_s: float) -> bool:
        start_s = self._start_s(clause)
        if start_s is None:
            return True
        if not self._plan.faults_on:  # nothing is to break, so there is no recovery to wait for
            return now_s >= start_s + clause.hold
        tracker = self._recoveries.get(clause.id)
        return tracker is None or tracker.content(now_s, start_s)

    def _start_s(self, clause: Detected | Cleared | Recovered) -> float | None:
        """Return from when a clause counts; None where that moment has not come."""
        timeline = self._plan.scenario.timeline
        if isinstance(clause, Detected):
            return self._moment_s(clause.fault or timeline[0].id, "injected")
        injection = isinstance(clause, Recovered) and clause.since == "injection"
        return self._moment_s(clause.fault or timeline[-1].id, "injected" if injection else "reverted")

    def _moment_s(self, fault: str, stage: str) -> float | None:
        moments = self._live.stages if self._plan.faults_on else self._in_control
        return moments.get((fault, stage))
