"""Whether a scenario can run on its stack: every name in it exists there, every bound fits its probe.

A file's own fields were validated when it was loaded. Here everything it refers to is looked up, and all problems are
reported at once, each with file, line, field and the nearest valid name.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound, Clause, Names
from harness.model.errors import ScenarioError, did_you_mean
from harness.model.expectations import CLAUSES, INTEGRITY_CHECKS
from harness.model.fault import FaultKind
from harness.model.faultstep import FaultStep, Target
from harness.model.guard import LIMIT_IDS, LIMITS
from harness.model.guardrails import AbortRule, Guardrails, Limits
from harness.model.scenario import Scenario
from harness.model.units import Unit
from harness.model.verdict import OWN_CHECKS
from harness.runner.catalogue import OF_EXPECTED, OF_FLAGGED, Catalogue
from harness.runner.decidable import aborts_always, can_be_decided, enough_samples, start_in_data
from harness.runner.explain import Place, Source, problems, read_model
from harness.runner.guardrails import given_on_the_command_line, source_of_stack
from harness.runner.limits import exceeded
from harness.runner.load import Loaded
from harness.runner.misfire import in_common
from harness.runner.never_touch import forbidden
from harness.runner.notes import never_opens
from harness.runner.timeline import check_timeline

Problems = Iterator[ScenarioError]

RESERVED_IDS = (*INTEGRITY_CHECKS, *LIMIT_IDS, "quiet", *OWN_CHECKS)
"""Ids of checks that every run has; a clause with such an id would be ambiguous in the history."""

_UNIT_REMEDIES = {
    Unit.RATIO: "write a ratio between 0 and 1, such as 0.99",
    Unit.COUNT: "write a number from 0 on, such as 5",
    Unit.WALL: "write a wall-clock duration, such as 250ms",
    Unit.EVENT: "write a duration of event time, such as 90min event",
    Unit.NUMBER: "write a bare number",
}


def check_all(loaded: Sequence[tuple[Loaded, Catalogue]]) -> list[ScenarioError]:
    """Return all problems of these scenarios on their stacks; runs of one matrix share their errors."""
    found = {str(problem): problem for item, catalogue in loaded for problem in check(item, catalogue)}
    return list(found.values())


def check(loaded: Loaded, catalogue: Catalogue, *, complete: bool = True) -> list[ScenarioError]:
    """Return all problems of one scenario on its stack, in the order of the file.

    One that is not `complete` may still come to expect something.
    """
    checker = _Checker(loaded.scenario, loaded.source, catalogue)
    found = [*checker.problems(complete=complete), *(checker.nothing_expected() if complete else ())]
    rules = catalogue.stack.guardrails.abort_if
    if rules:
        of_stack = _Checker(loaded.scenario, source_of_stack(catalogue.stack), catalogue)
        found += of_stack.rules(rules, ("x-harness", "guardrails", "abort_if"))
    return sorted(found, key=lambda problem: problem.line or 0)


def check_given(given: Guardrails, loaded: Sequence[tuple[Loaded, Catalogue]]) -> list[ScenarioError]:
    """Return all problems of the guardrails of the command line on the stacks of these scenarios."""
    source = given_on_the_command_line()
    wrong: list[ScenarioError] = []
    for item, catalogue in loaded:
        wrong += _Checker(item.scenario, source, catalogue).rules(given.abort_if, ())
        wrong += _Checker(item.scenario, item.source, catalogue).beyond_limits(given.limits)
    return list({str(one): one for one in wrong}.values())


class _Checker:
    """Looks up everything that one scenario names."""

    def __init__(self, scenario: Scenario, source: Source, catalogue: Catalogue) -> None:
        self._scenario = scenario
        self._source = source
        self._known = catalogue

    def problems(self, *, complete: bool) -> Problems:
        scenario = self._scenario
        yield from start_in_data(scenario, self._source, self._known)
        for index, step in enumerate(scenario.timeline):
            yield from self._step(step, ("timeline", index))
        yield from self._bounds(("steady_state",), scenario.steady_state)
        yield from never_opens(scenario.steady_state, self._source, self._known)
        yield from self._expectations()
        for index, name in enumerate(scenario.may_die):
            yield from self._named("service", name, self._known.of_target("service"), ("may_die", index))
        yield from self._sabotage()
        yield from self.rules(scenario.abort_if, ("abort_if",))
        yield from self._known_weakness()
        wrong = list(check_timeline(scenario, self._source, self._known))
        # A fault that does not exist yet, of a test that is written by hand, hits nothing.
        if not wrong and all(step.fault in self._known.faults for step in scenario.timeline):
            wrong = self.beyond_limits(None, timed=complete)
        yield from wrong

    def beyond_limits(self, given: Limits | None, *, timed: bool = True) -> list[ScenarioError]:
        """Return what the scenario exceeds of its limits, those of the command line included."""
        found = exceeded(self._scenario, self._known, given, timed=timed)
        return [self._source.problem(one.place, one.message, one.remedy) for one in found]

    def rules(self, rules: Sequence[AbortRule], place: Place) -> Problems:
        """Look up what rules that abort a run name."""
        for index, rule in enumerate(rules):
            if rule.bound is not None:
                wrong = list(self._bound(rule.bound, (*place, index)))
                yield from wrong or aborts_always(rule.bound, (*place, index), self._scenario, self._source)
            elif rule.alert is not None:
                yield from self._alert(rule.alert, (*place, index, "alert"))

    def nothing_expected(self) -> Problems:
        """Refuse a scenario that no run could fail."""
        expect = self._scenario.expect
        if not expect.clauses and expect.quiet is None and not expect.integrity:
            message = "nothing is expected: whatever the stack does, a run of this scenario could not fail"
            remedy = "write what is to be detected, to stay, to recover or to hold, such as `stays`"
            yield self._source.problem(("expect",), message, remedy)

    def _named(self, what: str, name: str, valid: Sequence[str], place: Place) -> Problems:
        if name not in valid:
            remedy = did_you_mean(name, valid) if valid else f"the stack {self._known.stack.name!r} has none"
            yield self._source.problem(place, f"unknown {what} {name!r}", remedy)

    def _step(self, step: FaultStep, place: Place) -> Problems:
        if step.after is not None and step.after.alert is not None:
            yield from self._alert(step.after.alert, (*place, "after", "alert"))
        if step.after is not None and step.after.probe is not None:
            yield from self._bound(step.after.probe, (*place, "after", "probe"))
        if step.fault not in self._known.faults:
            remedy = did_you_mean(step.fault, self._known.faults)
            yield self._source.problem((*place, "fault"), f"unknown fault {step.fault!r}", remedy)
            return
        try:
            kind = self._known.faults[step.fault]
        except ScenarioError as error:
            yield self._source.problem((*place, "fault"), error.message, error.remedy)
            return
        wrong = [*self._target(step, kind, (*place, "target")), *self._parameters(step, kind, (*place, "with"))]
        yield from wrong or self._forbidden(step, (*place, "target"))
        if step.misfire is not None:
            yield from self._misfire(step, step.aimed_at(step.misfire), kind, (*place, "misfire"))

    def _misfire(self, step: FaultStep, aimed: FaultStep, kind: FaultKind, place: Place) -> Problems:
        wrong = [*self._target(aimed, kind, (*place, "target")), *self._parameters(aimed, kind, (*place, "with"))]
        yield from wrong or self._forbidden(aimed, (*place, "target"))
        shared = in_common(step, aimed, self._known) if not wrong else None
        if shared is not None:
            message = f"the fault matters here too: both targets have {shared} in common"
            yield self._source.problem((*place, "target"), message, "name a target that nothing judged depends on")

    def _forbidden(self, step: FaultStep, place: Place) -> Problems:
        """Refuse a fault that touches what the stack says must never be touched."""
        found = forbidden(step, self._known)
        if found is not None:
            remedy = f"aim it at something else; {self._known.stack.file} lists it in x-harness.never_touch"
            yield self._source.problem(place, found, remedy)

    def _target(self, step: FaultStep, kind: FaultKind, place: Place) -> Problems:
        given = step.target.kind
        if given not in kind.targets:
            message = f"{step.fault} does not act on a {given}"
            yield self._source.problem((*place, given), message, f"it acts on: {', '.join(kind.targets)}")
            return
        valid = self._known.of_target(given)
        value = getattr(step.target, given)
        if not isinstance(value, tuple):
            yield from self._named(given, value, valid, (*place, given))
            if given == "service" and value in valid and "link" in kind.targets and not self._known.links_of(step):
                message = f"{step.fault} acts on the links that lead to {value!r}, and none does"
                yield self._source.problem((*place, given), message, f"links: {', '.join(self._known.links)}")
            return
        if not value:
            yield self._source.problem((*place, given), "this is empty", "at least one is needed here")
        for index, name in enumerate(value):
            yield from self._named(given.removesuffix("s"), name, valid, (*place, given, index))
            if name in value[:index]:
                yield self._source.problem((*place, given, index), f"{name!r} is listed twice")

    def _parameters(self, step: FaultStep, kind: FaultKind, place: Place) -> Problems:
        try:
            read_model(kind.parameters, step.parameters)
        except ValidationError as error:
            yield from problems(error, kind.parameters, step.parameters, self._source, place)
            return
        # A parameter that is called like a kind of target names one.
        for name in kind.parameters.model_fields:
            value = step.parameters.get(name)
            if name in Target.model_fields and isinstance(value, str):
                yield from self._named(name, value, self._known.of_target(name), (*place, name))

    def _alert(self, name: str, place: Place) -> Problems:
        if self._known.stack.alerts:
            yield from self._named("alert", name, tuple(self._known.stack.alerts), place)
        else:
            message = f"unknown alert {name!r}: the stack {self._known.stack.name!r} declares no alerts"
            yield self._source.problem(
                place, message, f"declare it in the stack: x-harness.alerts: {{{name}: {{summary: …}}}}"
            )
        if any(name in source.watchdog for source in self._known.stack.alert_sources):
            message = f"the alert {name!r} is a watchdog, which always fires and never counts"
            yield self._source.problem(place, message, "name another alert, or take it out of `watchdog` in the stack")
        yield from self._alerts_are_readable(place)

    def _alerts_are_readable(self, place: Place) -> Problems:
        if not self._known.stack.alert_sources:
            message = f"alerts cannot be read: the stack {self._known.stack.name!r} has no alert source"
            yield self._source.problem(place, message, "describe x-harness.alert_sources in the stack")

    def _bounds(self, place: Place, bounds: Sequence[Bound]) -> Problems:
        for index, bound in enumerate(bounds):
            yield from self._bound(bound, (*place, index))

    def _bound(self, bound: Bound, place: Place) -> Problems:
        unit = self._known.probe_units.get(bound.probe)
        if unit is None and bound.probe in ANSWER_PROBES:
            yield self._source.problem((*place, "probe"), *self._not_measured(bound.probe))
        elif unit is None:
            yield from self._named("probe", bound.probe, tuple(self._known.probe_units), (*place, "probe"))
        elif not _fits(bound, unit):
            side = "at_least" if bound.at_least is not None else "at_most"
            message = f"the probe {bound.probe!r} measures {_READINGS[unit]}, and {bound.limit} is not one"
            if unit is Unit.RATIO and bound.limit.unit is Unit.NUMBER:
                message = f"the probe {bound.probe!r} measures a ratio between 0 and 1, and {bound.limit} is outside"
            yield self._source.problem((*place, side), message, _UNIT_REMEDIES[unit])
        else:
            yield from enough_samples(bound, place, self._source, self._known)

    def _not_measured(self, probe: str) -> tuple[str, str]:
        """Return why a probe of answers gives nothing on this stack, and the remedy."""
        if self._known.stack.workload is None:
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

    def _expectations(self) -> Problems:
        expect = self._scenario.expect
        for field in CLAUSES:
            for index, clause in enumerate(getattr(expect, field)):
                yield from self._clause(clause, ("expect", field, index))
        if expect.quiet is not None and not isinstance(expect.quiet, str):
            for index, name in enumerate(expect.quiet.allow):
                yield from self._alert(name, ("expect", "quiet", "except", index))
        if expect.quiet is not None:
            yield from self._alerts_are_readable(("expect", "quiet"))
        for name in expect.guard.widened:
            probe = LIMITS[name].probe
            if probe not in self._known.answer_probes:
                yield self._source.problem(("expect", "guard", name), *self._not_measured(probe))
        for index, check_name in enumerate(expect.integrity or ()):
            if check_name not in self._known.integrity:
                place = ("expect", "integrity", index)
                message = f"the stack {self._known.stack.name!r} has no evidence for {check_name}"
                yield self._source.problem(
                    place, message, f"it has evidence for: {', '.join(self._known.integrity) or 'nothing'}"
                )

    def _clause(self, clause: Clause, place: Place) -> Problems:
        if clause.id in RESERVED_IDS:
            message = f"the id {clause.id!r} is reserved for a check that every run has"
            yield self._source.problem((*place, "id"), message, "choose another id")
        if isinstance(clause, Bound):
            wrong = list(self._bound(clause, place))
            yield from wrong or can_be_decided(clause, place, self._scenario, self._source, self._known)
        for name, field in type(clause).model_fields.items():
            value = getattr(clause, name)
            for mark in field.metadata:
                if isinstance(mark, Names) and value is not None:
                    yield from self._name_of(mark.what, value, (*place, name))

    def _name_of(self, what: str, name: str, place: Place) -> Problems:
        """Look up the name in a field of a clause, by what the field says it names."""
        if what == "alert":
            yield from self._alert(name, place)
            return
        known = {
            "fault id": [step.id for step in self._scenario.timeline],
            "polled probe": tuple(self._known.stack.probes),
            "service": self._known.of_target("service"),
        }
        yield from self._named(what, name, known[what], place)

    def _known_weakness(self) -> Problems:
        weakness = self._scenario.known_weakness
        if weakness is None:
            return
        if weakness.until < dt.datetime.now(dt.UTC).date():
            remedy = "remove known_weakness, or agree on another date"
            message = f"{weakness.until} has passed: every run would fail"
            yield self._source.problem(("known_weakness", "until"), message, remedy)
        if not weakness.clauses:
            remedy = "list the ids of the clauses that fail: any other that fails is a failure"
            yield self._source.problem(("known_weakness", "clauses"), "no clause is listed", remedy)
        for index, clause in enumerate(weakness.clauses):
            valid = [*self._clause_ids(), "quiet", "collateral"]
            yield from self._named("clause", clause, valid, ("known_weakness", "clauses", index))

    def _clause_ids(self) -> list[str]:
        expect = self._scenario.expect
        checked = self._known.integrity if expect.integrity is None else expect.integrity
        return [*(clause.id for clause in expect.clauses), *checked, *LIMIT_IDS]

    def _sabotage(self) -> Problems:
        recoveries = self._known.stack.recoveries
        clauses = self._clause_ids()
        for name, breaks in self._scenario.sabotage.items():
            place: Place = ("sabotage", name)
            if name not in recoveries:
                yield from self._named("recovery", name, tuple(recoveries), place)
            elif recoveries[name].off is None:
                message = f"the stack does not define how {name!r} is switched off"
                yield self._source.problem(place, message, f"add `off` to x-harness.recoveries.{name}")
            if not breaks:
                yield self._source.problem(place, "no clause is listed", "list the clauses that must fail without it")
            for index, clause in enumerate(breaks):
                yield from self._named("clause", clause, clauses, (*place, index))


_READINGS = {
    Unit.RATIO: "a ratio",
    Unit.COUNT: "a count",
    Unit.WALL: "a wall-clock duration",
    Unit.EVENT: "an event-time duration",
    Unit.NUMBER: "a bare number",
}


def _fits(bound: Bound, unit: Unit) -> bool:
    limit = bound.limit
    if unit is Unit.RATIO:
        return limit.unit is Unit.NUMBER and 0 <= limit.value <= 1
    if unit is Unit.COUNT:
        return limit.unit is Unit.NUMBER and limit.value >= 0
    return limit.unit is unit
