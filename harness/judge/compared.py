"""A bound compared with a journal: moment by moment, and answer by answer where it is one on a share."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.judge.facts import Facts
from harness.judge.machine import UNDISTURBED
from harness.model.answers import ANSWER_PROBES, SLOW_ANSWERS
from harness.model.clauses import Bound
from harness.model.series import STEP_S, Attributed, Point, answer_series, reading_series, tally_of
from harness.model.shares import Tally, clause_level
from harness.model.units import Unit


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers as a bound on a share counts them, in order, and the moments for which they count."""

    tally: Tally
    at_s: Sequence[float]

    def between(self, from_s: float, to_s: float) -> tuple[int, int]:
        """Return the first of the answers that count from one moment on, and the first from the other on."""
        return bisect_left(self.at_s, from_s), bisect_left(self.at_s, to_s)


@dataclass(frozen=True, slots=True)
class Compared:
    """A bound compared with the journal, from the gate to the end of observation.

    `answered` is None where the bound is not one on a share, or allows nothing; `before` is that with nothing excused.
    """

    points: list[Point]
    answered: Answered | None
    before: Answered | None


def compared(bound: Bound, facts: Facts, *, excused: bool = True) -> Compared:
    """Compare a bound with the journal.

    What is bad where something other than the stack may be the cause decides nothing, unless it is not `excused`. But
    what was broken before the injection was broken, whatever the cause.
    """
    from_s, to_s = facts.gate_s, facts.end_s
    raw, answered = _points(bound, facts, from_s, to_s, excused=False)
    if not excused or facts.disturbed == UNDISTURBED:
        return Compared(raw, answered, answered)
    before, injected = answered, facts.injected
    points, answered = _points(bound, facts, from_s, to_s, excused=True)
    if injected is not None and facts.journal.plan.faults_on:
        pairs = zip(raw, points, strict=True)
        points = [earlier if earlier.moment_s < injected.lo else point for earlier, point in pairs]
    return Compared(points, answered, before)


def points_since(bound: Bound, facts: Facts, from_s: float) -> list[Point]:
    """Return a bound's points to be shown: those judged, from the gate on, and before them those from `from_s` on.

    No verdict rests on the earlier ones. Where the gate was not met, none does on any.
    """
    gate = facts.journal.gate
    if gate is None or not gate[1].met:
        return _points(bound, facts, from_s, facts.end_s, excused=True)[0]
    # Windows are a step apart, those before the gate and those after it.
    start_s = facts.gate_s - max(0, math.floor((facts.gate_s - from_s) / STEP_S)) * STEP_S
    until_s = facts.gate_s + (bound.over - STEP_S if bound.probe in ANSWER_PROBES else 0.0)
    earlier, _ = _points(bound, facts, start_s, min(until_s, facts.end_s), excused=True)
    return [*earlier, *compared(bound, facts).points]


def every_s(bound: Bound, facts: Facts) -> float:
    """Return how often the probe of a bound is read, in seconds; 0 where it is not polled."""
    return facts.journal.plan.stack.probe_every_s.get(bound.probe, 0.0)


def _points(
    bound: Bound, facts: Facts, from_s: float, to_s: float, *, excused: bool
) -> tuple[list[Point], Answered | None]:
    gaps = facts.journal.gaps
    if bound.probe in ANSWER_PROBES:
        answers = _answers(bound, facts, excused=excused)
        tally = tally_of(bound, answers, clause_level(facts.scenario.expect))
        points = answer_series(bound, answers, from_s, to_s, gaps("workload"), tally)
        return points, None if tally is None else Answered(tally, [one.at_s for one in answers])
    points = reading_series(bound, facts.readings(bound.probe), from_s, to_s, gaps(bound.probe), every_s(bound, facts))
    return [_unless_disturbed(point, facts) for point in points] if excused else points, None


def _answers(bound: Bound, facts: Facts, *, excused: bool) -> list[Attributed]:
    """Return the answers, each for the moment for which it counts; nothing excuses one unless that is `excused`.

    A request that had taken longer than the bound allows before the fault went in was slow before the fault.
    """
    found = facts.counted_for(bound.probe)
    limit_s = bound.limit.value if ANSWER_PROBES[bound.probe].unit is Unit.WALL else None
    if bound.probe == SLOW_ANSWERS:
        limit_s = facts.journal.plan.stack.slow_s
    if limit_s is not None:
        found = [one._replace(at_s=one.answer.due_s) if one.at_s - one.answer.due_s > limit_s else one for one in found]
        found.sort(key=lambda one: one.at_s)
    if excused or facts.disturbed == UNDISTURBED:
        return found
    return [one if one.inconclusive is None else one._replace(inconclusive=None, machine=False) for one in found]


def _unless_disturbed(point: Point, facts: Facts) -> Point:
    """Return a bad reading as inconclusive where something other than the stack may be the cause.

    A harness that is late misses an answer; a value that it got is the stack's.
    """
    if point.good is not False:
        return point
    disturbed = facts.disturbed
    busy = disturbed.by_machine(point.lo_s, point.hi_s)
    why = busy or (disturbed.why(point.lo_s, point.hi_s) if point.value is None else None)
    return point if why is None else replace(point, good=None, why=why, machine=busy is not None)
