"""A run as it grows, for decisions while it runs: the gate, triggers, and when to stop observing.

`Live` is its journal so far. `Settling` says when every expectation is met and has held, or its time is over: observing
longer than needed costs time; stopping too early costs a verdict. So each clause says whether it still needs the run,
and the run goes on until none does. No verdict rests on these; the judge reads the whole journal again with the same
bounds.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right, insort
from collections import deque
from operator import itemgetter

from harness.model.alert_clauses import Cleared, Detected
from harness.model.answers import ANSWER_PROBES, looking_at, quantile
from harness.model.clauses import Bound, Clause, Recovered
from harness.model.machine import busy_share, busy_text
from harness.model.plan import Plan
from harness.model.readings import Alert, AlertsSeen, Answer, Body, FaultSeen, Gap, GateSeen, MachineSeen, Reading
from harness.model.series import Point, answer_series, as_due, reading_series, window_point
from harness.model.shares import ANSWERS_WITHIN_S, samples_needed
from harness.runner.guarding import looked_at_s, seen_enough
from harness.runner.recoveries import MARGIN_S, RecoveryTracker

KEPT_S = 30.0
TRIM_EVERY = 512
LOOKS = 30
"""How many looks at the machine say how it is now: those of three seconds."""
MOSTLY = 0.5
_DUE = itemgetter(0)


class Live:
    """The last half minute of a run, or all of it."""

    def __init__(self, *, whole: bool = False) -> None:
        """`whole` keeps every answer and every reading."""
        self._whole = whole
        self._history: dict[str, list[tuple[int, Reading]]] = {}
        self._answers: list[tuple[float, int, Answer]] = []
        self._trim_at = TRIM_EVERY
        self.readings: dict[str, tuple[int, Reading]] = {}
        self._gaps: dict[str, tuple[int, Gap]] = {}
        self.alerts: dict[str, AlertsSeen] = {}
        self._answered: dict[str, AlertsSeen] = {}
        self._last_fired: dict[str, tuple[Alert, float]] = {}
        """Each alert that has fired, and when that was last seen."""
        self._first_beat: dict[str, float] = {}
        self._beating: set[str] = set()
        self.stages: dict[tuple[str, str], float] = {}
        self.hits: set[tuple[str, int, str]] = set()
        self._gate_s: float | None = None
        self._machine: deque[MachineSeen] = deque(maxlen=LOOKS)
        self._looked_at: list[tuple[float, tuple[str, ...]]] = []
        self._same: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._sent_late: list[tuple[float, float]] = []
        self._polled_late: list[tuple[float, float]] = []
        """When each request or poll was due, and how late it went out."""

    def note(self, n: int, _at_s: float, body: Body) -> None:
        """Take in one line of the journal."""
        if isinstance(body, Answer):
            probes = looking_at(body)
            self._looked_at.append((body.due_s, self._same.setdefault(probes, probes)))
            self._sent_late.append((body.due_s, body.sent_s - body.due_s))
            insort(self._answers, (body.due_s, n, body), key=_DUE)
            if not self._whole and len(self._answers) > self._trim_at:
                del self._answers[: bisect_right(self._answers, body.due_s - KEPT_S, key=_DUE)]
                self._trim_at = len(self._answers) + TRIM_EVERY
        elif isinstance(body, Reading):
            self._polled_late.append((body.planned_s, body.asked_s - body.planned_s))
            self.readings[body.probe] = (n, body)
            if self._whole:
                self._history.setdefault(body.probe, []).append((n, body))
        elif isinstance(body, Gap):
            self._gaps[body.probe] = (n, body)
        elif isinstance(body, AlertsSeen):
            self._polled_late.append((body.planned_s, body.asked_s - body.planned_s))
            self.alerts[body.source] = body
            if body.down is None:
                self._answered[body.source] = body
            self._last_fired |= {alert.key: (alert, body.answered_s) for alert in body.firing}
            if body.evaluations is not None:
                first = self._first_beat.setdefault(body.source, body.evaluations)
                if body.evaluations != first:
                    self._beating.add(body.source)
        elif isinstance(body, MachineSeen):
            self._machine.append(body)
        elif isinstance(body, GateSeen):
            self._gate_s = body.at_s
        elif isinstance(body, FaultSeen):
            self.stages.setdefault((body.fault, body.stage), body.hi_s)

    @property
    def gate_s(self) -> float | None:
        """When the steady state was met; None before that."""
        return self._gate_s

    def answered_since(self, since_s: float, most: int, probe: str | None = None) -> int:
        """Return how many answers were due since a moment, those that a probe looks at; no more than so many count."""
        found = 0
        for due_s, probes in reversed(self._looked_at):
            if found >= most or due_s < since_s - KEPT_S:  # answers come nearly in the order in which they were due
                break
            found += due_s >= since_s and (probe is None or probe in probes)
        return found

    def machine_busy(self) -> str | None:
        """Return what the run had to do without of late, if for most of the time; None where it had enough."""
        seen = list(self._machine)
        return busy_text(seen) if busy_share(seen) > MOSTLY else None

    def late_s(self) -> float | None:
        """Return the 99th percentile of the harness's own lateness since the gate, as the judge measures it."""
        if self._gate_s is None:
            return None
        since = [[late for due, late in all_ if due >= self._gate_s] for all_ in (self._sent_late, self._polled_late)]
        return max((quantile(late, 0.99) for late in since if late), default=None)

    def point(self, bound: Bound, settled_s: float) -> Point:
        """Compare the present state with a bound. Answers count up to `settled_s`, until which all of them are in."""
        probe = ANSWER_PROBES.get(bound.probe)
        if probe is not None:
            return window_point(bound, probe, self.answers_between(settled_s - bound.over, settled_s), settled_s)
        found, gap = self.readings.get(bound.probe), self.gap(bound.probe)
        if gap is not None:
            return Point(gap[1].from_s, settled_s, None, None, (gap[0],), gap[1].why, gap=True)
        if found is None:
            return Point(settled_s, settled_s, None, None, (), "not read yet")
        n, reading = found
        good = reading.value is not None and bound.met_by(reading.value)
        return Point(reading.asked_s, reading.answered_s, good, reading.value, (n,), reading.down)

    def gap(self, probe: str) -> tuple[int, Gap] | None:
        """Return since what line nothing is known of a probe; None where its last reading is the present one."""
        found, gap = self.readings.get(probe), self._gaps.get(probe)
        return gap if gap is not None and (found is None or gap[1].to_s > found[1].answered_s) else None

    def answers_between(self, from_s: float, to_s: float) -> list[tuple[int, Answer]]:
        """Return the answers that were due after `from_s`, up to and with `to_s`."""
        first = bisect_right(self._answers, from_s, key=_DUE)
        last = bisect_right(self._answers, to_s, key=_DUE)
        return [(n, answer) for _, n, answer in self._answers[first:last]]

    def series(self, bound: Bound, from_s: float, to_s: float, every_s: float) -> list[Point]:
        """Return how a bound stood over time, as far back as the history goes."""
        if bound.probe in ANSWER_PROBES:
            return answer_series(bound, as_due((n, answer) for _, n, answer in list(self._answers)), from_s, to_s)
        return reading_series(bound, list(self._history.get(bound.probe, ())), from_s, to_s, (), every_s)

    def fired_since(self, name: str, labels: dict[str, str], since_s: float) -> bool:
        """Whether an alert was seen to fire at a moment or later, however shortly."""
        return any(at_s >= since_s and alert.matches(name, labels) for alert, at_s in self._last_fired.values())

    def firing(self, name: str, labels: dict[str, str], pending: bool = False) -> list[Alert]:
        """Return the label sets of an alert that fire now; with `pending`, the pending ones as well.

        A source that does not answer counts with its last answer: no answer does not mean that nothing fires.
        """
        return [
            alert
            for seen in self._answered.values()
            for alert in (*seen.firing, *(seen.pending if pending else ()))
            if alert.matches(name, labels)
        ]

    def beating(self, source: str) -> bool:
        """Whether a source has evaluated its rules since the first poll."""
        return source in self._beating


LEAST_S = 1.0
CONTROL_S = 3.0
"""The least that a control is observed after the moment at which its last fault would have been reverted."""


class Settling:
    """Follows the expectations of one run from its baseline on. The plan may grow."""

    def __init__(self, plan: Plan, live: Live) -> None:
        self._plan = plan
        self._live = live
        self._recoveries = {c.id: self._tracker(c) for c in plan.scenario.expect.recovered}
        self._in_control: dict[tuple[str, str], float] = {}
        self._recent_s = (0.0, 0.0)

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
            return over and all(self._enough(clause, now_s) for clause in self._plan.scenario.expect.stays)
        if not all(self.content(clause, now_s) for clause in self._plan.scenario.expect.clauses):
            return False
        recent = self._live.answers_between(*self._recent_s)
        return seen_enough(self._plan, [a for _, a in recent], self._live.stages, now_s, last_revert_s)

    def content(self, clause: Clause, now_s: float) -> bool:
        """Whether a clause is met, or its time is over, or has not begun."""
        if isinstance(clause, Recovered):
            return self._recovered(clause, now_s)
        if isinstance(clause, Bound):
            return self._window_seen(clause, now_s) and self._enough(clause, now_s)
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

    def _enough(self, clause: Bound, now_s: float) -> bool:
        """Whether there were answers enough for a bound on a share to be kept, or no more are to be waited for."""
        needed = samples_needed(clause, self._plan.scenario.expect)
        first = self._plan.scenario.timeline[0].id
        since_s = self._moment_s(first, "injected") if self._plan.faults_on else self._live.gate_s
        if needed is None or since_s is None or now_s >= since_s + ANSWERS_WITHIN_S:
            return True
        enough = self._live.answered_since(since_s, needed, clause.probe) >= needed
        return enough or not self._live.answered_since(now_s - clause.over - MARGIN_S, 1)

    def _fired_since(self, clause: Detected | Cleared, since_s: float) -> bool:
        firing = self._live.firing(clause.alert, clause.labels)
        return bool(firing) or self._live.fired_since(clause.alert, clause.labels, since_s)

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
