"""The guardrails of a run while it goes on: which rule of `abort_if` holds over its window, and how long faults are in.

Rules are looked at from the steady state on. A window counts from the first injection, or before that from the steady
state: what was seen earlier aborts nothing. No answer to a probe keeps no bound, so it counts as crossed; of a gap
nothing is known, so no window with a gap in it aborts anything. No verdict rests on this: the judge reads the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound
from harness.model.guardrails import FAULT_TIME, AbortRule
from harness.model.plan import Plan
from harness.model.readings import Abort, AlertsSeen, Body, FaultSeen, Gap, GateSeen, Reading
from harness.model.units import format_amount, format_seconds
from harness.runner.watching.live import Live

LATE_REVERT_S = 1.0
"""How much longer than `fault_time` each fault may be in: the time of a revert that is on time."""
WORKLOAD = "workload"


@dataclass
class _Streak:
    """The readings in a row that are as a rule must not be; `down` is the answer of the last one that gave none."""

    bound: Bound
    least: int
    """How many readings it takes."""
    from_s: float | None = None
    to_s: float = 0.0
    lines: list[int] = field(default_factory=list)
    count: int = 0
    value: float | None = None
    down: str | None = None

    def note(self, n: int, reading: Reading, since_s: float) -> None:
        crossed = reading.down is not None or (reading.value is not None and self.bound.met_by(reading.value))
        if not crossed or reading.asked_s < since_s:
            self.clear()
            return
        if self.from_s is None:
            self.from_s, self.lines = reading.asked_s, [n]
        self.lines = [self.lines[0], n]
        self.to_s, self.value, self.down = reading.answered_s, reading.value, reading.down
        self.count += 1

    def clear(self) -> None:
        self.from_s, self.lines, self.count = None, [], 0


class Rails:
    """Follows one run, line by line of its journal."""

    def __init__(self, plan: Plan, live: Live) -> None:
        self._rules = plan.abort_if
        self._longest_s = plan.limits.fault_time
        self._every_s = plan.stack.probe_every_s
        self._live = live
        self._streaks = {
            k: _Streak(rule.bound, rule.min_samples or 1)
            for k, rule in enumerate(plan.abort_if)
            if _is_polled(rule) and rule.bound
        }
        self._firing: dict[int, tuple[int, str, float]] = {}
        self._unseen_until_s = 0.0
        self._since_s: float | None = None
        """From when on a window counts; None before the steady state."""
        self._faults: dict[str, float] = {}
        """The faults that are in, and since when."""
        self._injected: set[str] = set()
        self._in_since_s = 0.0
        self._had_s = 0.0

    def note(self, n: int, _at_s: float, body: Body) -> None:
        """Take in one line of the journal."""
        match body:
            case GateSeen(met=True, at_s=at_s):
                self._since_s = at_s
            case Reading() if self._since_s is not None:
                for streak in self._of(body.probe):
                    streak.note(n, body, self._since_s)
            case Gap(probe=probe, to_s=to_s):
                self._unseen_until_s = max(self._unseen_until_s, to_s) if probe == WORKLOAD else self._unseen_until_s
                for streak in self._of(probe):
                    streak.clear()
            case AlertsSeen(down=None) if self._since_s is not None:
                self._note_alerts(n, body)
            case FaultSeen():
                self._note_fault(body)
            case _:
                pass

    def _of(self, probe: str) -> Iterator[_Streak]:
        return (streak for streak in self._streaks.values() if streak.bound.probe == probe)

    def _note_alerts(self, n: int, seen: AlertsSeen) -> None:
        for k, rule in enumerate(self._rules):
            firing = next((a for a in seen.firing if rule.alert and a.matches(rule.alert, rule.labels)), None)
            if firing is not None:
                self._firing.setdefault(k, (n, firing.key, seen.asked_s))

    def _note_fault(self, seen: FaultSeen) -> None:
        if seen.stage in ("injecting", "injected") and seen.fault not in self._faults:
            if not self._injected:
                self._since_s = seen.lo_s
                for streak in self._streaks.values():
                    streak.clear()
            if not self._faults:
                self._in_since_s = seen.lo_s
            self._injected.add(seen.fault)
            self._faults[seen.fault] = seen.lo_s
        elif seen.stage == "reverted" and self._faults.pop(seen.fault, None) is not None and not self._faults:
            self._had_s += seen.hi_s - self._in_since_s

    def crossed(self, now_s: float, settled_s: float) -> Abort | None:
        """Return the first rule that is crossed now. Answers count up to `settled_s`, until which all are in."""
        if self._since_s is None:
            return None
        for k, rule in enumerate(self._rules):
            found = self._by_alert(k, rule) if rule.alert is not None else self._by_probe(k, rule, settled_s)
            if found is not None:
                return found
        return self._by_time(now_s)

    def _by_alert(self, k: int, rule: AbortRule) -> Abort | None:
        firing = self._firing.get(k)
        if firing is None:
            return None
        n, key, at_s = firing
        return Abort(why="alert", rule=rule.text, alert=rule.alert, from_s=at_s, at_s=at_s, measured=key, lines=(n,))

    def _by_probe(self, k: int, rule: AbortRule, settled_s: float) -> Abort | None:
        streak = self._streaks.get(k)
        return self._by_answers(rule, settled_s) if streak is None else self._by_readings(rule, streak)

    def _by_answers(self, rule: AbortRule, settled_s: float) -> Abort | None:
        bound = rule.bound
        assert bound is not None
        assert self._since_s is not None
        from_s = settled_s - bound.over
        if from_s < max(self._since_s, self._unseen_until_s):
            return None
        point = self._live.point(bound, settled_s)
        return _abort(rule, bound, from_s, settled_s, point.value, None, point.cites) if point.good else None

    def _by_readings(self, rule: AbortRule, streak: _Streak) -> Abort | None:
        bound = streak.bound
        if streak.from_s is None or streak.count < streak.least:
            return None
        # A probe that is read seldom has one reading in a window at most.
        whole = self._every_s.get(bound.probe, 0.0) >= bound.over or streak.to_s - streak.from_s >= bound.over
        if not whole:
            return None
        return _abort(rule, bound, streak.from_s, streak.to_s, streak.value, streak.down, tuple(streak.lines))

    def _by_time(self, now_s: float) -> Abort | None:
        had_s = self._had_s + (now_s - self._in_since_s if self._faults else 0.0)
        if self._longest_s is None or not self._faults:
            return None
        if had_s <= self._longest_s + LATE_REVERT_S * len(self._injected):
            return None
        return Abort(
            why="fault_time",
            rule=f"{FAULT_TIME} {format_seconds(self._longest_s)}",
            from_s=self._in_since_s,
            at_s=now_s,
            value=round(had_s, 3),
            measured=f"{', '.join(self._faults)} in for {had_s:.1f} s, and not measured to be gone",
        )


def _is_polled(rule: AbortRule) -> bool:
    return rule.probe is not None and rule.probe not in ANSWER_PROBES


def _abort(
    rule: AbortRule,
    bound: Bound,
    from_s: float,
    to_s: float,
    value: float | None,
    down: str | None,
    lines: tuple[int, ...],
) -> Abort:
    unit_of = ANSWER_PROBES.get(bound.probe)
    measured = f"no answer: {down}" if down is not None else None
    if measured is None and unit_of is not None and value is not None:
        measured = format_amount(value, unit_of.unit)
    return Abort(
        why="probe",
        rule=rule.text,
        probe=bound.probe,
        from_s=from_s,
        at_s=to_s,
        value=value,
        measured=measured or bound.amount(value),
        lines=tuple(dict.fromkeys(lines)),
    )
