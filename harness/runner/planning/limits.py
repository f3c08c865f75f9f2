"""What a plan exceeds of its limits: faults at once, the share of a service's replicas, the time with a fault in.

A fault that waits for an alert or a probe may go in at any time, so it counts as being in at once with every fault that
it does not follow. Replicas are the containers of one service, and services whose names differ in a number at their end
only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.model.faultstep import FaultStep
from harness.model.guardrails import Limits, strictest
from harness.model.reach import whole_services
from harness.model.replicas import how_many
from harness.model.scenario import Scenario
from harness.model.units import format_seconds
from harness.runner.loading.explain import Place
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.never_touch import touched_by
from harness.runner.planning.timeline import PlannedSpan, spans

_NUMBER = re.compile(r"[-_.]?\d+$")
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A limit that a plan exceeds: where in the scenario, what is wrong, and what would be right."""

    place: Place
    message: str
    remedy: str


class Given:
    """The limits of one run, with where each of them is from."""

    def __init__(self, scenario: Scenario, catalogue: Catalogue, more: Limits | None = None) -> None:
        """`more` are the limits of the command line."""
        stack = catalogue.stack
        self._sources = {
            f"{stack.file} (x-harness.guardrails.limits)": stack.guardrails.limits,
            "the scenario (limits)": scenario.limits,
            "--limit": more or Limits(),
        }
        self.limits = strictest(self._sources.values())

    def remedy(self, name: str, what: str) -> str:
        """Return what to do: the plan is to be changed, or the limit where the strictest one is."""
        value = getattr(self.limits, name)
        where = next(source for source, limits in self._sources.items() if getattr(limits, name) == value)
        shown = format_seconds(value) if name == "fault_time" else f"{value:g}"
        return f"{what}; {name} is {shown} in {where}"


def exceeded(
    scenario: Scenario, catalogue: Catalogue, more: Limits | None = None, *, timed: bool = True
) -> Iterator[Exceeded]:
    """Yield what the timeline exceeds. Unless it is `timed`, nobody knows how long its faults are to be in."""
    given = Given(scenario, catalogue, more)
    if given.limits.faults_at_once is not None:
        yield from _at_once(scenario.timeline, given)
    if given.limits.fault_time is not None and timed:
        yield from _time(scenario.timeline, given)
    for index, step in enumerate(scenario.timeline):
        for place, aimed in _aims(step):
            found = beyond_share(aimed, catalogue, given.limits.share_of_replicas)
            if found is not None:
                yield Exceeded(
                    ("timeline", index, *place), found, given.remedy("share_of_replicas", "hit fewer of them")
                )


def _aims(step: FaultStep) -> Iterator[tuple[Place, FaultStep]]:
    yield ("target",), step
    if step.misfire is not None:
        yield ("misfire", "target"), step.aimed_at(step.misfire)


def _at_once(timeline: Sequence[FaultStep], given: Given) -> Iterator[Exceeded]:
    """Yield the first fault that goes in, or may go in, while too many are in."""
    most = given.limits.faults_at_once
    assert most is not None
    by_root = _by_root(timeline)
    busiest = {root: max(_in_at(span.start_s, group) for span in group) for root, group in by_root.items()}
    together = [
        (index, _in_at(span.start_s, by_root[span.root]) + sum(n for root, n in busiest.items() if root != span.root))
        for index, span in enumerate(spans(timeline).values())
    ]
    late = next((pair for pair in together if pair[1] > most), None)
    if late is not None:
        index, number = late
        others = len(by_root) > 1
        message = f"{timeline[index].id!r} {'may be' if others else 'is'} one of {number} faults that are in at once"
        remedy = given.remedy("faults_at_once", "let it follow another, with `after: {event: ID.reverted}`")
        yield Exceeded(("timeline", index), message, remedy)


def _by_root(timeline: Sequence[FaultStep]) -> Mapping[str, list[PlannedSpan]]:
    found: dict[str, list[PlannedSpan]] = {}
    for span in spans(timeline).values():
        found.setdefault(span.root, []).append(span)
    return found


def _in_at(at_s: float, group: Sequence[PlannedSpan]) -> int:
    return sum(span.start_s <= at_s < span.end_s for span in group)


def _time(timeline: Sequence[FaultStep], given: Given) -> Iterator[Exceeded]:
    most_s = given.limits.fault_time
    assert most_s is not None
    planned_s = sum(_union_s(group) for group in _by_root(timeline).values())
    if planned_s > most_s + _SLACK:
        index = len(timeline) - 1
        message = f"faults are in for {format_seconds(round(planned_s, 6))}, all in all"
        yield Exceeded(("timeline", index, "for"), message, given.remedy("fault_time", "shorten them"))


def _union_s(group: Sequence[PlannedSpan]) -> float:
    total_s, until_s = 0.0, float("-inf")
    for span in sorted(group, key=lambda one: one.start_s):
        total_s += max(0.0, span.end_s - max(span.start_s, until_s))
        until_s = max(until_s, span.end_s)
    return total_s


def _replicas_hit(step: FaultStep, total: int) -> int:
    """Return how many replicas of a service of so many a fault hits."""
    if step.target.share is not None:
        return how_many(step.target.share, total)
    return 1 if step.target.replica is not None else total


def beyond_share(step: FaultStep, catalogue: Catalogue, share: float | None) -> str | None:
    """Return of which service a fault hits too many replicas; None where it does not."""
    if share is None:
        return None
    hit = {name for kind, name in touched_by(step, catalogue) if kind == "service"}
    hit = hit or set(whole_services(step.target, catalogue.stack.nodes))  # what commands reach, nobody knows
    for name in catalogue.stack.services:
        total = catalogue.stack.services[name].replicas
        number = _replicas_hit(step, total) if name in hit else 0
        if total > 1 and number > share * total + _SLACK:
            return f"{step.id!r} hits {number} of the {total} replicas of {name!r}"
    families: dict[str, list[str]] = {}
    for name in catalogue.stack.services:
        families.setdefault(_NUMBER.sub("", name), []).append(name)
    for family, replicas in families.items():
        found = [name for name in replicas if name in hit]
        if len(replicas) > 1 and len(found) > share * len(replicas) + _SLACK:
            return f"{step.id!r} hits {len(found)} of the {len(replicas)} replicas of {family!r}: {', '.join(found)}"
    return None
