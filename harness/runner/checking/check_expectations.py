"""Whether what a scenario expects can be checked: its clauses, and those that a weakness or a sabotage names."""

from __future__ import annotations

import datetime as dt

from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound, Clause, Names, Noticed, Recovered
from harness.model.expectations import CLAUSES, INTEGRITY_CHECKS
from harness.model.guard import LIMIT_IDS, LIMITS
from harness.model.scenario import Scenario
from harness.model.verdict import OWN_CHECKS
from harness.runner.checking.check_notices import check_notice
from harness.runner.checking.decidable import can_be_decided
from harness.runner.checking.lookup import Lookup, Problems
from harness.runner.loading.explain import Place

_RESERVED_IDS = (*INTEGRITY_CHECKS, *LIMIT_IDS, "quiet", *OWN_CHECKS)
"""Ids of checks that every run has; a clause with such an id would be ambiguous in the history."""


def check_expectations(scenario: Scenario, lookup: Lookup) -> Problems:
    """Look up what its clauses name, and whether each can be decided."""
    expect = scenario.expect
    for field in CLAUSES:
        for index, clause in enumerate(getattr(expect, field)):
            yield from _clause(clause, ("expect", field, index), scenario, lookup)
    if expect.quiet is not None and not isinstance(expect.quiet, str):
        for index, name in enumerate(expect.quiet.allow):
            yield from lookup.alert(name, ("expect", "quiet", "except", index))
    if expect.quiet is not None:
        yield from lookup.alerts_are_readable(("expect", "quiet"))
    for name in expect.guard.widened:
        probe = LIMITS[name].probe
        if probe not in lookup.known.answer_probes:
            yield lookup.source.problem(("expect", "guard", name), *lookup.not_measured(probe))
    for index, check_name in enumerate(expect.integrity or ()):
        if check_name not in lookup.known.integrity:
            place = ("expect", "integrity", index)
            message = f"the stack {lookup.known.stack.name!r} has no evidence for {check_name}"
            yield lookup.source.problem(
                place, message, f"it has evidence for: {', '.join(lookup.known.integrity) or 'nothing'}"
            )


def _clause(clause: Clause, place: Place, scenario: Scenario, lookup: Lookup) -> Problems:
    if clause.id in _RESERVED_IDS:
        message = f"the id {clause.id!r} is reserved for a check that every run has"
        yield lookup.source.problem((*place, "id"), message, "choose another id")
    if isinstance(clause, Noticed) and clause.probe in ANSWER_PROBES:
        message = f"the probe {clause.probe!r} is what clients get; what has to notice is a part of the stack"
        remedy = (
            "name a probe of x-harness.probes, such as a readiness endpoint; bound answers in `stays` or `recovered`"
        )
        yield lookup.source.problem((*place, "probe"), message, remedy)
        return
    if isinstance(clause, Recovered):
        yield from _by_itself(clause, place, scenario, lookup)
    if isinstance(clause, Bound):
        wrong = list(lookup.bound(clause, place))
        if not wrong and isinstance(clause, Noticed):
            wrong += check_notice(clause, place, scenario, lookup)
        yield from wrong or can_be_decided(clause, place, scenario, lookup.source, lookup.known)
    for name, field in type(clause).model_fields.items():
        value = getattr(clause, name)
        for mark in field.metadata:
            if isinstance(mark, Names) and value is not None:
                yield from _name_of(mark.what, value, (*place, name), scenario, lookup)


def _by_itself(clause: Recovered, place: Place, scenario: Scenario, lookup: Lookup) -> Problems:
    """Refuse a recovery by itself that the revert comes before: nobody could tell who brought it about."""
    steps = [step for step in scenario.timeline if step.id == clause.fault] if clause.fault else scenario.timeline[-1:]
    for step in steps if clause.since == "injection" else ():
        if clause.within + clause.hold > step.duration:
            message = (
                f"the fault {step.id!r} is taken out after {step.duration:g} s: until then nobody sees whether the "
            )
            message += f"stack recovers by itself within {clause.within:g} s, and is well for {clause.hold:g} s"
            remedy = f"write `for: {clause.within + clause.hold + 1:g}s` or longer, or a shorter `within`"
            yield lookup.source.problem((*place, "within"), message, remedy)


def _name_of(what: str, name: str, place: Place, scenario: Scenario, lookup: Lookup) -> Problems:
    """Look up the name in a field of a clause, by what the field says it names."""
    if what == "alert":
        yield from lookup.alert(name, place)
        return
    known = {
        "fault id": [step.id for step in scenario.timeline],
        "polled probe": tuple(lookup.known.stack.probes),
        "service": lookup.known.of_target("service"),
    }
    yield from lookup.named(what, name, known[what], place)


def check_known_weakness(scenario: Scenario, lookup: Lookup) -> Problems:
    """Look up the clauses that a known weakness lists, and whether its date is still to come."""
    weakness = scenario.known_weakness
    if weakness is None:
        return
    if weakness.until < dt.datetime.now(dt.UTC).date():
        remedy = "remove known_weakness, or agree on another date"
        message = f"{weakness.until} has passed: every run would fail"
        yield lookup.source.problem(("known_weakness", "until"), message, remedy)
    if not weakness.clauses:
        remedy = "list the ids of the clauses that fail: any other that fails is a failure"
        yield lookup.source.problem(("known_weakness", "clauses"), "no clause is listed", remedy)
    for index, clause in enumerate(weakness.clauses):
        valid = [*_clause_ids(scenario, lookup), "quiet", "collateral"]
        yield from lookup.named("clause", clause, valid, ("known_weakness", "clauses", index))


def _clause_ids(scenario: Scenario, lookup: Lookup) -> list[str]:
    expect = scenario.expect
    checked = lookup.known.integrity if expect.integrity is None else expect.integrity
    return [*(clause.id for clause in expect.clauses), *checked, *LIMIT_IDS]


def check_sabotage(scenario: Scenario, lookup: Lookup) -> Problems:
    """Look up the recoveries that can be switched off, and the clauses that must fail without them."""
    recoveries = lookup.known.stack.recoveries
    clauses = _clause_ids(scenario, lookup)
    for name, breaks in scenario.sabotage.items():
        place: Place = ("sabotage", name)
        if name not in recoveries:
            yield from lookup.named("recovery", name, tuple(recoveries), place)
        elif recoveries[name].off is None:
            message = f"the stack does not define how {name!r} is switched off"
            yield lookup.source.problem(place, message, f"add `off` to x-harness.recoveries.{name}")
        if not breaks:
            yield lookup.source.problem(place, "no clause is listed", "list the clauses that must fail without it")
        for index, clause in enumerate(breaks):
            yield from lookup.named("clause", clause, clauses, (*place, index))
