"""Whether a scenario can run on its stack: every name in it exists there, every bound fits its probe.

A file's own fields were validated when it was loaded. Here everything it refers to is looked up, and all problems are
reported at once, each with file, line, field and the nearest valid name.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.clauses import Bound
from harness.model.errors import ScenarioError
from harness.model.expectations import CLAUSES
from harness.model.guardrails import AbortRule, Limits
from harness.model.scenario import Scenario
from harness.runner.checking.check_expectations import check_expectations, check_known_weakness, check_sabotage
from harness.runner.checking.check_faults import check_fault
from harness.runner.checking.decidable import aborts_always, aborts_never, start_in_data
from harness.runner.checking.guardrails import GivenGuardrails
from harness.runner.checking.lookup import Lookup, Problems
from harness.runner.checking.notes import never_opens
from harness.runner.loading.explain import Place, Source, source_of_stack
from harness.runner.loading.load import Loaded
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.limits import exceeded
from harness.runner.planning.plan import with_steady_state
from harness.runner.planning.timeline import check_timeline


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
    stack = catalogue.stack
    if stack.guardrails.abort_if or stack.steady_state:
        of_stack = _Checker(loaded.scenario, source_of_stack(stack), catalogue)
        found += of_stack.steady(stack.steady_state, ("x-harness", "steady_state"))
        found += of_stack.rules(stack.guardrails.abort_if, ("x-harness", "guardrails", "abort_if"))
    return sorted(found, key=lambda problem: problem.line or 0)


def check_given(given: GivenGuardrails, loaded: Sequence[tuple[Loaded, Catalogue]]) -> list[ScenarioError]:
    """Return all problems of the guardrails of the command line on the stacks of these scenarios."""
    wrong: list[ScenarioError] = []
    for item, catalogue in loaded:
        for rule, source in given.each():
            wrong += _Checker(item.scenario, source, catalogue).rule(rule, (), of_this_run=True)
        wrong += _Checker(item.scenario, item.source, catalogue).beyond_limits(given.limits)
    return list({str(one): one for one in wrong}.values())


class _Checker:
    """Looks up everything that one scenario names."""

    def __init__(self, scenario: Scenario, source: Source, catalogue: Catalogue) -> None:
        self._scenario = scenario
        self._source = source
        self._known = catalogue
        self._lookup = Lookup(source, catalogue)

    def problems(self, *, complete: bool) -> Problems:
        scenario = self._scenario
        yield from start_in_data(scenario, self._source, self._known)
        for index, step in enumerate(scenario.timeline):
            yield from check_fault(step, ("timeline", index), self._lookup)
        # Those of the stack may be among them already, and have their place in its file.
        own = [bound for bound in scenario.steady_state if bound not in self._known.stack.steady_state]
        yield from self.steady(own, ("steady_state",))
        yield from self._namesakes()
        yield from check_expectations(scenario, self._lookup)
        for index, name in enumerate(scenario.may_die):
            yield from self._lookup.named("service", name, self._known.of_target("service"), ("may_die", index))
        yield from check_sabotage(scenario, self._lookup)
        yield from self.rules(scenario.abort_if, ("abort_if",), of_this_run=complete)
        yield from check_known_weakness(scenario, self._lookup)
        wrong = list(check_timeline(scenario, self._source, self._known))
        # A fault that does not exist yet, of a test that is written by hand, hits nothing.
        if not wrong and all(step.fault in self._known.faults for step in scenario.timeline):
            wrong = self.beyond_limits(None, timed=complete)
        yield from wrong

    def steady(self, bounds: Sequence[Bound], place: Place) -> Problems:
        """Look up the bounds of a steady state, and whether each can be seen to hold."""
        yield from self._lookup.bounds(place, bounds)
        yield from never_opens(bounds, place, self._source, self._known)

    def _namesakes(self) -> Problems:
        """Refuse a fault or a clause that is called like a bound of the stack's steady state: ids are keys."""
        taken = {bound.id for bound in self._known.stack.steady_state}
        expect = self._scenario.expect
        named: list[tuple[Place, str]] = [(("timeline", k), step.id) for k, step in enumerate(self._scenario.timeline)]
        named += [(("expect", name, k), one.id) for name in CLAUSES for k, one in enumerate(getattr(expect, name))]
        for place, id_ in named:
            if id_ in taken:
                message = f"the id {id_!r} is that of a bound of the stack's steady state"
                yield self._source.problem((*place, "id"), message, "ids are the keys of history: choose another")

    def beyond_limits(self, given: Limits | None, *, timed: bool = True) -> list[ScenarioError]:
        """Return what the scenario exceeds of its limits, those of the command line included."""
        found = exceeded(self._scenario, self._known, given, timed=timed)
        return [self._source.problem(one.place, one.message, one.remedy) for one in found]

    def rules(self, rules: Sequence[AbortRule], place: Place, *, of_this_run: bool = False) -> Problems:
        """Look up what rules that abort a run name."""
        for index, rule in enumerate(rules):
            yield from self.rule(rule, (*place, index), of_this_run=of_this_run)

    def rule(self, rule: AbortRule, place: Place, *, of_this_run: bool) -> Problems:
        """Look up what one such rule names, and whether it can be followed: by this run, where it is for this one."""
        if rule.bound is not None:
            wrong = list(self._lookup.bound(rule.bound, place))
            whole = with_steady_state(self._scenario, self._known.stack)
            wrong = wrong or list(aborts_always(rule.bound, place, whole, self._source))
            if not wrong and of_this_run:
                wrong += aborts_never(rule.bound, place, self._scenario, self._source, self._known)
            yield from wrong
        elif rule.alert is not None:
            yield from self._lookup.alert(rule.alert, (*place, "alert"))

    def nothing_expected(self) -> Problems:
        """Refuse a scenario that no run could fail."""
        expect = self._scenario.expect
        if not expect.clauses and expect.quiet is None and not expect.integrity:
            message = "nothing is expected: whatever the stack does, a run of this scenario could not fail"
            remedy = "write what is to be detected, to stay, to recover or to hold, such as `stays`"
            yield self._source.problem(("expect",), message, remedy)
