"""Looks up what a scenario or a guardrail names on a stack, and whether a bound fits its probe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound
from harness.model.errors import ScenarioError, did_you_mean
from harness.model.probe_values import Values, values_of
from harness.model.units import Unit
from harness.runner.checking.decidable import enough_samples
from harness.runner.loading.explain import Place, Source
from harness.runner.planning.catalogue import OF_EXPECTED, OF_FLAGGED, Catalogue

Problems = Iterator[ScenarioError]

_UNIT_REMEDIES = {
    Unit.RATIO: "write a ratio between 0 and 1, such as 0.99",
    Unit.COUNT: "write a number from 0 on, such as 5",
    Unit.WALL: "write a wall-clock duration, such as 250ms",
    Unit.EVENT: "write a duration of event time, such as 90min event",
    Unit.NUMBER: "write a bare number",
}
_READINGS = {
    Unit.RATIO: "a ratio",
    Unit.COUNT: "a count",
    Unit.WALL: "a wall-clock duration",
    Unit.EVENT: "an event-time duration",
    Unit.NUMBER: "a bare number",
}


class Lookup:
    """The names of one stack, looked up for one file. Each problem has its place there, and the nearest valid name."""

    def __init__(self, source: Source, catalogue: Catalogue) -> None:
        self.source = source
        self.known = catalogue

    def named(self, what: str, name: str, valid: Sequence[str], place: Place) -> Problems:
        """Refuse a name that is not among the valid ones."""
        if what == "link" and name in self.known.stack.unused_links:
            yield self.source.problem(place, *self.known.stack.no_link(name))
        elif name not in valid:
            remedy = did_you_mean(name, valid) if valid else f"the stack {self.known.stack.name!r} has none"
            yield self.source.problem(place, f"unknown {what} {name!r}", remedy)

    def alert(self, name: str, place: Place) -> Problems:
        """Refuse an alert that the stack does not declare, or that nobody could see fire."""
        if self.known.stack.alerts:
            yield from self.named("alert", name, tuple(self.known.stack.alerts), place)
        else:
            message = f"unknown alert {name!r}: the stack {self.known.stack.name!r} declares no alerts"
            yield self.source.problem(
                place, message, f"declare it in the stack: x-harness.alerts: {{{name}: {{summary: …}}}}"
            )
        if any(name in source.watchdog for source in self.known.stack.alert_sources):
            message = f"the alert {name!r} is a watchdog, which always fires and never counts"
            yield self.source.problem(place, message, "name another alert, or take it out of `watchdog` in the stack")
        yield from self.alerts_are_readable(place)

    def alerts_are_readable(self, place: Place) -> Problems:
        """Refuse to judge alerts where there is none to read them from."""
        if not self.known.stack.alert_sources:
            message = f"alerts cannot be read: the stack {self.known.stack.name!r} has no alert source"
            yield self.source.problem(place, message, "describe x-harness.alert_sources in the stack")

    def bounds(self, place: Place, bounds: Sequence[Bound]) -> Problems:
        """Look up the probes of bounds in a list."""
        for index, bound in enumerate(bounds):
            yield from self.bound(bound, (*place, index))

    def bound(self, bound: Bound, place: Place) -> Problems:
        """Refuse a bound on what is not measured, on a value that its probe cannot have, or on too few samples."""
        unit = self.known.probe_units.get(bound.probe)
        if unit is None and bound.probe in ANSWER_PROBES:
            yield self.source.problem((*place, "probe"), *self.not_measured(bound.probe))
        elif unit is None:
            yield from self.named("probe", bound.probe, tuple(self.known.probe_units), (*place, "probe"))
        elif bound.equals is not None and bound.probe in ANSWER_PROBES:
            message = f"the probe {bound.probe!r} sums up many answers, and has no one good value"
            yield self.source.problem((*place, "equals"), message, "write at_least or at_most")
        elif not _fits(bound, unit):
            side = bound.side
            message = f"the probe {bound.probe!r} measures {_READINGS[unit]}, and {bound.limit} is not one"
            if unit is Unit.RATIO and bound.limit.unit is Unit.NUMBER:
                message = f"the probe {bound.probe!r} measures a ratio between 0 and 1, and {bound.limit} is outside"
            yield self.source.problem((*place, side), message, _UNIT_REMEDIES[unit])
        elif (values := self._values(bound)) is not None and not values.may_meet(bound):
            message = f"the probe {bound.probe!r} gives {values}: it is never {bound.limit_text}"
            yield self.source.problem((*place, bound.side), message, "write a value that it can have")
        else:
            yield from enough_samples(bound, place, self.source, self.known)

    def _values(self, bound: Bound) -> Values | None:
        spec = self.known.stack.probes.get(bound.probe)
        return None if spec is None else values_of(spec)

    def not_measured(self, probe: str) -> tuple[str, str]:
        """Return why a probe of answers gives nothing on this stack, and the remedy."""
        if self.known.stack.workload is None:
            message = f"the probe {probe!r} measures answers, and the stack has no workload"
            return message, "describe x-harness.workload in the stack"
        if probe in OF_EXPECTED:
            message = f"the probe {probe!r} needs expected answers, and no request has one"
            return message, "write `expect` in every line of the file of requests"
        if probe in OF_FLAGGED:
            message = f"the probe {probe!r} needs the field that marks a fallback answer"
            return message, "give x-harness.workload.flagged in the stack"
        message = f"the probe {probe!r} needs the event times of features, which a file of requests does not have"
        return message, "declare a probe of that age in x-harness.probes"


def _fits(bound: Bound, unit: Unit) -> bool:
    limit = bound.limit
    if unit is Unit.RATIO:
        return limit.unit is Unit.NUMBER and 0 <= limit.value <= 1
    if unit is Unit.COUNT:
        return limit.unit is Unit.NUMBER and limit.value >= 0
    return limit.unit is unit
