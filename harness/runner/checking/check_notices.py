"""Notices that no run could show: the probe cannot leave its bound, or the scenario itself demands that it does not.

Only what is certain is refused. Bounds on one polled probe are all judged by the same readings, so of two that exclude
each other at least one is broken at any moment.
"""

from __future__ import annotations

from harness.model.clauses import Bound, Noticed
from harness.model.probe_values import values_of
from harness.model.scenario import Scenario
from harness.runner.checking.lookup import Lookup, Problems
from harness.runner.loading.explain import Place

REMEDY = "give the limit that the probe keeps while all is well, such as `at_least: 1` of one that is 1 or 0"

NO_ANSWER = "no answer is no notice: take a probe with a number for each state, such as a readiness page"


def check_notice(clause: Noticed, place: Place, scenario: Scenario, lookup: Lookup) -> Problems:
    """Refuse a notice that no stack could give, or that would fail another clause of its scenario."""
    spec = lookup.known.stack.probes.get(clause.probe)
    values = values_of(spec) if spec is not None else None
    if values is not None and not values.may_leave(clause):
        message = f"the probe {clause.probe!r} gives {values}: it can never leave the bound {clause.limit_text}"
        remedy = REMEDY if values.lo < values.hi else NO_ANSWER
        yield lookup.source.problem((*place, clause.side), message, remedy)
        return
    for steady in (*scenario.steady_state, *lookup.known.stack.steady_state):
        if steady.probe == clause.probe and _exclude(steady, clause):
            message = (
                f"the steady state {steady.id!r} demands {steady.text}, and a notice begins with {clause.limit_text}: "
            )
            message += "the gate would never open"
            remedy = f"write what must hold until the fault goes in, such as `{steady.side}: {steady.limit}`"
            yield lookup.source.problem((*place, clause.side), message, remedy)
            return
    for stays in scenario.expect.stays:
        if stays.probe == clause.probe and _within(stays, clause):
            message = f"the clause {stays.id!r} of `stays` fails where the probe leaves {clause.limit_text}: "
            message += "no run could pass"
            remedy = "expect the one or the other; that the probe is well again afterwards is for `recovered`"
            yield lookup.source.problem((*place, "probe"), message, remedy)
            return


def _range(bound: Bound) -> tuple[float, float]:
    """Return the lowest and the highest value that keep a bound."""
    limit = bound.limit.value
    lo = float("-inf") if bound.at_most is not None else limit
    hi = float("inf") if bound.at_least is not None else limit
    return lo, hi


def _exclude(one: Bound, other: Bound) -> bool:
    """Whether no value keeps both."""
    (lo, hi), (other_lo, other_hi) = _range(one), _range(other)
    return lo > other_hi or other_lo > hi


def _within(one: Bound, other: Bound) -> bool:
    """Whether every value that keeps the one keeps the other, so that whatever leaves the other breaks the one."""
    (lo, hi), (other_lo, other_hi) = _range(one), _range(other)
    return other_lo <= lo and hi <= other_hi
