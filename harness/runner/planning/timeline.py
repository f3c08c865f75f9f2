"""Checks whether the faults of a timeline can follow one another as written.

A fault that waits for itself never starts, and two faults at once on the same target would each measure the effect of
the other. Only what is certain before a run is refused: a fault that waits for an alert may start at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from harness.model.errors import ScenarioError, did_you_mean
from harness.model.faultstep import FaultStep
from harness.model.reach import services_named
from harness.model.scenario import Scenario
from harness.runner.loading.explain import Place, Source
from harness.runner.planning.catalogue import Catalogue

STAGES = ("injected", "confirmed", "reverted")


class PlannedSpan(NamedTuple):
    """When a fault is in, as planned: from `root` on, which is the gate ("") or a fault that waits for a trigger."""

    root: str
    start_s: float
    end_s: float


def check_timeline(scenario: Scenario, source: Source, catalogue: Catalogue) -> Iterator[ScenarioError]:
    """Yield the errors in the order of the faults."""
    wrong = [problem for index in range(len(scenario.timeline)) for problem in _event(scenario, index, source)]
    yield from wrong
    if wrong:
        return
    circle = _circle(scenario.timeline)
    if circle:
        index = next(i for i, step in enumerate(scenario.timeline) if step.id == circle[0])
        message = f"the faults wait for one another: {' -> '.join(circle)}"
        yield source.problem(("timeline", index, "after", "event"), message, "begin with a fault that has `at`")
        return
    for index, message, remedy in overlaps(scenario.timeline, catalogue):
        yield source.problem(("timeline", index), message, remedy)


def waits_for(step: FaultStep) -> tuple[str, str] | None:
    """Return the fault and the stage of it that a step waits for."""
    if step.after is None or step.after.event is None:
        return None
    fault, _, stage = step.after.event.rpartition(".")
    return fault, stage


def _event(scenario: Scenario, index: int, source: Source) -> Iterator[ScenarioError]:
    waited = waits_for(scenario.timeline[index])
    if waited is None:
        return
    place: Place = ("timeline", index, "after", "event")
    ids = [step.id for step in scenario.timeline]
    fault, stage = waited
    if fault in ids and stage not in STAGES:
        yield source.problem(place, f"a fault has no stage {stage!r}", did_you_mean(stage, STAGES))
    elif fault not in ids:
        valid = [f"{other}.{s}" for other in ids for s in STAGES]
        event = f"{fault}.{stage}" if fault else stage
        yield source.problem(place, f"there is no event {event!r}", did_you_mean(event, valid))


def _circle(timeline: Sequence[FaultStep]) -> list[str]:
    """Return the ids of a circle, with the first again at its end; nothing where there is none."""
    waits = {step.id: waited[0] for step in timeline if (waited := waits_for(step)) is not None}
    for start in waits:
        trail = [start]
        while trail[-1] in waits:
            following = waits[trail[-1]]
            if following in trail:
                return [*trail[trail.index(following) :], following]
            trail.append(following)
    return []


def overlaps(timeline: Sequence[FaultStep], catalogue: Catalogue) -> Iterator[tuple[int, str, str]]:
    """Yield the faults that act at once on the same target: the later one's index, what is wrong, and the remedy."""
    found = spans(timeline)
    for (i, first), (j, second) in combinations(enumerate(timeline), 2):
        shared = sorted(_acts_on(first, catalogue) & _acts_on(second, catalogue))
        root, start_s, end_s = found[first.id]
        other_root, other_start_s, other_end_s = found[second.id]
        if shared and root == other_root and start_s < other_end_s and other_start_s < end_s:
            late = j if other_start_s >= start_s else i
            other = timeline[i if late == j else j]
            message = f"{timeline[late].id!r} overlaps {other.id!r} in time, and both act on {shared[0]}"
            remedy = f"start it after the other is reverted, with `after: {{event: {other.id}.reverted}}`"
            yield late, message, remedy


def spans(timeline: Sequence[FaultStep]) -> dict[str, PlannedSpan]:
    """Return for each fault when it is in."""
    steps = {step.id: step for step in timeline}

    def span(step: FaultStep) -> PlannedSpan:
        waited = waits_for(step)
        if step.at is not None:
            return PlannedSpan("", step.at, step.at + step.duration)
        if waited is None:
            return PlannedSpan(step.id, 0.0, step.duration)
        other = span(steps[waited[0]])
        begins_s = other.end_s if waited[1] == "reverted" else other.start_s
        return PlannedSpan(other.root, begins_s, begins_s + step.duration)

    return {step.id: span(step) for step in timeline}


def _acts_on(step: FaultStep, catalogue: Catalogue) -> set[str]:
    return touched(step, catalogue) | {f"service {name}" for name in services_named(step)}


def touched(step: FaultStep, catalogue: Catalogue) -> set[str]:
    """Return what a fault acts on at its target, so that a lost node overlaps with a slow link of that node."""
    found = catalogue.things_hit(step)
    return {f"{kind} {name}" for kind, names in found.items() if kind != "node" for name in names}
