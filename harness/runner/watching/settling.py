"""When a run has shown enough: every expectation is met and has held, or its time is over.

Observing longer than needed costs time; stopping too early costs a verdict. So each clause says whether it still needs
the run, and the run goes on until none does. No verdict rests on that: the judge reads the whole journal again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from harness.model.alert_clauses import Cleared, Detected
from harness.model.clauses import Bound, Clause, Noticed, Recovered
from harness.model.plan import Plan
from harness.model.shares import ANSWERS_WITHIN_S, samples_needed
from harness.runner.watching.guarding import looked_at_s, seen_enough
from harness.runner.watching.live import Live
from harness.runner.watching.recoveries import MARGIN_S, RecoveryTracker

LEAST_S = 1.0
CONTROL_S = 3.0
"""The least that a control is observed after the moment at which its last fault would have been reverted."""


class Settling:
    """Follows the expectations of one run from its baseline on. The plan may grow."""

    def __init__(self, plan: Plan, live: Live) -> None:
        self._plan = plan
        self._live = live
        self._recoveries = {c.id: self._tracker(c) for c in plan.scenario.expect.recovered}
        self._left: set[str] = set()
        """The clauses whose probe was seen to have left its bound."""
        self._in_control: dict[tuple[str, str], float] = {}
        self._recent_s = (0.0, 0.0)

    def _tracker(self, clause: Recovered) -> RecoveryTracker:
        return RecoveryTracker(clause, every_s=self._every_s(clause))

    def _every_s(self, bound: Bound) -> float:
        return self._plan.stack.probe_every_s.get(bound.probe, 0.0)

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

    @property
    def moments(self) -> Mapping[tuple[str, str], float]:
        """When each fault reached a stage; in a control, when it would have."""
        return self._live.stages if self._plan.faults_on else self._in_control

    def began(self, fault: str, at_s: float) -> None:
        """Note when a control would have injected a fault."""
        self._in_control[fault, "injected"] = at_s

    def ended(self, fault: str, at_s: float) -> None:
        """Note when a control would have reverted a fault."""
        self._in_control[fault, "reverted"] = at_s

    def tick(self, settled_s: float) -> None:
        """Take in the present state. Answers count up to `settled_s`, until which all of them are in."""
        for recovery in self._recoveries.values():
            recovery.take(self._live.point(recovery.clause, settled_s))
        self._recent_s = (settled_s - looked_at_s(self._plan), settled_s)

    def settled(self, now_s: float, last_revert_s: float) -> bool:
        """Whether nothing that is expected needs the run to go on."""
        observe_s = self._plan.scenario.observe
        if now_s < last_revert_s + max(observe_s, LEAST_S):
            return False
        if any(stage == "failed" for _, stage in self._live.stages):
            return True  # nothing can rest on this run any more
        if not self._plan.faults_on:
            over = now_s >= last_revert_s + max(observe_s, CONTROL_S)
            expect = self._plan.scenario.expect
            timed: tuple[Detected | Noticed, ...] = (*expect.detected, *expect.noticed)
            seen = all(self._time_over(clause, now_s) for clause in timed)
            return over and seen and all(self._enough(clause, now_s) for clause in expect.stays)
        if not all(self.content(clause, now_s) for clause in self._plan.scenario.expect.clauses):
            return False
        recent = self._live.answers_between(*self._recent_s)
        return seen_enough(self._plan, [a for _, a in recent], self._live.stages, now_s, last_revert_s)

    def content(self, clause: Clause, now_s: float) -> bool:
        """Whether a clause is met, or its time is over, or has not begun."""
        if isinstance(clause, Recovered):
            return self._recovered(clause, now_s)
        if isinstance(clause, Noticed):
            return self._noticed(clause, now_s)
        if isinstance(clause, Bound):
            return self._window_seen(clause, now_s) and self._enough(clause, now_s)
        if not isinstance(clause, Detected | Cleared):
            return True  # it has no time of its own
        start_s = self._start_s(clause)
        if start_s is None:
            return True
        if isinstance(clause, Cleared) and self._to_be_evaluated(clause, now_s):
            return False
        if now_s >= start_s + clause.within + MARGIN_S:
            return True
        if isinstance(clause, Detected):
            return self._fired_since(clause, start_s)
        if self._live.firing(clause.alert, clause.labels):
            return False
        # An alert may still be pending: only one that has fired is known to be quiet again.
        injected_s = self._moment_s(clause.fault or self._plan.scenario.timeline[0].id, "injected")
        return not self._plan.faults_on or self._fired_since(clause, start_s if injected_s is None else injected_s)

    def _to_be_evaluated(self, clause: Cleared, now_s: float) -> bool:
        """Whether an alert that is over is still to be looked at by its rules: without that, it has not cleared."""
        if not self._plan.faults_on or self._live.firing(clause.alert, clause.labels):
            return False
        return self._live.may_fire_again(clause.alert, clause.labels, now_s, MARGIN_S)

    def _window_seen(self, clause: Bound, now_s: float) -> bool:
        """Whether a whole window has followed the injection: without one, what must stay could not be judged."""
        injected_s = self._moment_s(self._plan.scenario.timeline[0].id, "injected")
        return injected_s is None or now_s >= injected_s + clause.over + MARGIN_S

    def _enough(self, clause: Bound, now_s: float) -> bool:
        """Whether there were answers enough for a bound on a share to be kept, or no more are to be waited for."""
        needed = samples_needed(clause, self._plan.scenario.expect)
        first = self._plan.scenario.timeline[0].id
        since_s = self._moment_s(first, "injected") if self._plan.faults_on else self._live.gate_s
        if needed is None or since_s is None or now_s >= since_s + ANSWERS_WITHIN_S:
            return True
        enough = self._live.answered_since(since_s, needed, clause.probe) >= needed
        return enough or not self._live.answered_since(now_s - clause.over - MARGIN_S, 1)

    def _time_over(self, clause: Detected | Noticed, now_s: float) -> bool:
        """Whether a control went on for as long as an alert or a probe has time in the run: else it proves nothing."""
        start_s = self._start_s(clause)
        return start_s is None or now_s >= start_s + clause.within + CONTROL_S

    def _fired_since(self, clause: Detected | Cleared, since_s: float) -> bool:
        firing = self._live.firing(clause.alert, clause.labels)
        return bool(firing) or self._live.fired_since(clause.alert, clause.labels, since_s)

    def _noticed(self, clause: Noticed, now_s: float) -> bool:
        """Whether a probe has said that its bound is left since the injection, or its time is over.

        No answer does not say so, for the judge either: the run goes on for one that does.
        """
        start_s = self._start_s(clause)
        if start_s is None or now_s >= start_s + clause.within + MARGIN_S + self._every_s(clause):
            return True
        if not self._plan.faults_on:
            return False
        seen = self._live.point(clause, now_s)
        if seen.good is False and seen.value is not None and seen.lo_s >= start_s:
            self._left.add(clause.id)
        return clause.id in self._left

    def _recovered(self, clause: Recovered, now_s: float) -> bool:
        start_s = self._start_s(clause)
        if start_s is None:
            return True
        if not self._plan.faults_on:  # nothing is to break, so there is no recovery to wait for
            return now_s >= start_s + clause.hold
        tracker = self._recoveries.get(clause.id)
        return tracker is None or tracker.content(now_s, start_s)

    def _start_s(self, clause: Detected | Noticed | Cleared | Recovered) -> float | None:
        """Return from when a clause counts; None where that moment has not come."""
        timeline = self._plan.scenario.timeline
        if isinstance(clause, Detected | Noticed):
            return self._moment_s(clause.fault or timeline[0].id, "injected")
        injection = isinstance(clause, Recovered) and clause.since == "injection"
        return self._moment_s(clause.fault or timeline[-1].id, "injected" if injection else "reverted")

    def _moment_s(self, fault: str, stage: str) -> float | None:
        return self.moments.get((fault, stage))
