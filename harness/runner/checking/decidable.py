"""Whether what a scenario expects can be decided at all: enough answers and readings, a limit that can break, data.

Only what is certain before a run is refused: of a workload that is made, only the most requests a second are known, and
of a stack that declares no event times, nothing of its data.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound, Noticed, Recovered
from harness.model.errors import ScenarioError
from harness.model.expectations import Expect
from harness.model.probe_values import cannot_break, values_of
from harness.model.scenario import Scenario
from harness.model.series import min_samples
from harness.model.shares import ANSWERS_WITHIN_S, samples_needed
from harness.model.units import Unit, format_seconds
from harness.runner.loading.explain import Place, Source
from harness.runner.planning.catalogue import Catalogue

Problems = Iterator[ScenarioError]
_LONGER_S = 10.0
"""How much longer than its clauses and faults need a run goes on, at most."""


def start_in_data(scenario: Scenario, source: Source, known: Catalogue) -> Problems:
    """Refuse a start for which the stack has no data."""
    events, start = known.stack.events, scenario.start_at
    if events is None or start is None or events.include(start):
        return
    message = f"the stack {known.stack.name!r} has no data for a run that starts at {start}"
    yield source.problem(("start_at",), message, f"write a moment from {events.first} to {events.last}")


def enough_samples(bound: Bound, place: Place, source: Source, known: Catalogue) -> Problems:
    """Refuse a bound that would always be unknown: too few samples for its window."""
    if bound.probe in known.stack.probes:
        yield from _enough_readings(bound, place, source, known)
    probe = ANSWER_PROBES.get(bound.probe)
    there = known.most_answers(bound.over) if probe is not None else None
    if probe is None or there is None:
        return
    needed = min_samples(bound, probe)
    if there < needed:
        message = f"{_pace(known)}, a window of {bound.over:g} s holds {there:.3g} answers, and {needed} are needed: "
        message += "the bound would always be unknown"
        remedy = f"write min_samples: {max(1, int(there * 0.8))}, a longer `over`, or send more"
        remedy += "" if _at_a_rate(known) else " (`rate`, for lines without times: `harness record --rate`)"
        yield source.problem((*place, "over"), message, remedy)


def _enough_readings(bound: Bound, place: Place, source: Source, known: Catalogue) -> Problems:
    every_s = known.stack.probes[bound.probe].every_s
    most = max(1, int(bound.over / every_s + 1e-9))
    if min_samples(bound, None) > most:
        message = f"the probe {bound.probe!r} is read every {every_s:g} s, so that {bound.over:g} s hold {most} of it"
        yield source.problem((*place, "min_samples"), message, "write fewer, or a longer `over`")
    if isinstance(bound, Recovered | Noticed) and bound.within <= every_s:
        what = "a recovery" if isinstance(bound, Recovered) else "that it leaves its bound"
        message = f"the probe {bound.probe!r} is read every {every_s:g} s: "
        message += f"{what} within {bound.within:g} s cannot be observed"
        remedy = "allow more time, or give the probe a shorter `every` in the stack"
        yield source.problem((*place, "within"), message, remedy)


def can_be_decided(bound: Bound, place: Place, scenario: Scenario, source: Source, known: Catalogue) -> Problems:
    """Refuse a clause that no stack could fail, and one that could never be kept: no run is long enough for it."""
    probe, side = ANSWER_PROBES.get(bound.probe), bound.side
    polled = known.stack.probes.get(bound.probe)
    if polled is not None and cannot_break(polled, bound):
        message = f"the probe {bound.probe!r} gives {values_of(polled)}: it is always {bound.limit_text}, and the "
        message += "clause cannot fail"
        yield source.problem((*place, side), message, "write a limit that one of its values breaks")
    if probe is None:
        return
    if _cannot_fail(bound, probe.unit):
        message = f"whatever the stack does, {bound.probe} is {bound.limit_text}: the clause cannot fail"
        yield source.problem((*place, side), message, "write a limit that bad answers break")
        return
    most = _most_after_injection(scenario, known)
    if most == 0:
        message = "the file of requests is over before the injection: no answer would tell anything of this bound"
        yield source.problem((*place, "probe"), message, "give the workload `repeat: true`, or inject sooner")
        return
    needed = None if isinstance(bound, Recovered) else samples_needed(bound, scenario.expect)
    if most is not None and needed is not None and most < needed:
        message = f"{needed:,} answers after the injection are needed to show five times what the bound allows, and "
        message += f"{_pace(known)} there are {most:,} at most: the bound would never be kept"
        remedy = "allow more, observe longer (`observe`), or send more"
        yield source.problem((*place, side), message, remedy)


def _at_a_rate(known: Catalogue) -> bool:
    return known.stack.workload is not None and known.stack.workload.most_per_s is not None


def _pace(known: Catalogue) -> str:
    """Return how often requests are sent, as the start of a sentence."""
    spec = known.stack.workload
    if spec is not None and spec.most_per_s is not None:
        return f"at {spec.most_per_s:g} requests a second"
    return "at the times of its lines"


def _most_after_injection(scenario: Scenario, known: Catalogue) -> int | None:
    """Return how many requests are due from the first injection to the end of a run, at most; None if not known."""
    spec, longest_s = known.stack.workload, _longest_s(scenario)
    most = known.most_answers(longest_s)
    if spec is None or most is None:
        return None
    if known.requests is None or spec.repeat:
        return int(most)
    # The sending begins before the steady state, from which the times of faults count.
    first_s = min((step.at or 0.0 for step in scenario.timeline), default=0.0)
    return min(int(most), known.requests.left_after(first_s, spec.rate))


def aborts_always(bound: Bound, place: Place, scenario: Scenario, source: Source) -> Problems:
    """Refuse a rule that holds whatever the stack does, or that holds in the steady state: it would abort every run."""
    side = bound.side
    probe = ANSWER_PROBES.get(bound.probe)
    if probe is not None and _cannot_fail(bound, probe.unit):
        message = f"whatever the stack does, {bound.probe} is {bound.limit_text}: every run would be aborted"
        yield source.problem((*place, side), message, "write what must not go on, such as `at_most: 0.5`")
        return
    for steady in scenario.steady_state:
        other = getattr(steady, side)
        if steady.probe == bound.probe and other is not None and bound.met_by(other.value):
            message = f"the steady state {steady.id!r} demands {steady.text}: every run would be aborted"
            yield source.problem((*place, side), message, "write what must not go on, not what must hold")
            return


def aborts_never(bound: Bound, place: Place, scenario: Scenario, source: Source, known: Catalogue) -> Problems:
    """Refuse a rule that no run of the scenario can cross: nobody is protected by it, and somebody relies on it.

    Not for the rules of a stack, which are for longer runs as well.
    """
    longest_s = _longest_s(scenario)
    polled = known.stack.probes.get(bound.probe)
    # One reading is a whole window of a probe that is read more seldom than that.
    if bound.over > longest_s and (polled is None or polled.every_s < bound.over):
        message = f"no run of this scenario goes on for {format_seconds(bound.over)} after its injection, but for "
        message += f"{longest_s:.0f} s at most: the rule could never abort it"
        yield source.problem((*place, "over"), message, "write a shorter window, such as `over: 3s`")
        return
    if polled is not None and cannot_break(polled, bound):
        message = f"the probe {bound.probe!r} is always {bound.limit_text}: the rule could never abort a run"
        yield source.problem((*place, bound.side), message, "write a limit that one of its values breaks")
    probe = ANSWER_PROBES.get(bound.probe)
    if probe is not None and probe.unit is Unit.WALL and bound.at_most is not None and bound.at_most.value <= 0:
        message = f"{bound.probe} is never {bound.limit_text}: the rule could never abort a run"
        yield source.problem((*place, "at_most"), message, "write a longer time, or `at_least`")


def _cannot_fail(bound: Bound, unit: Unit) -> bool:
    if bound.at_least is not None:
        return bound.at_least.value <= 0
    return unit is Unit.RATIO and bound.limit.value >= 1


def _longest_s(scenario: Scenario) -> float:
    """Return how long a run goes on after its first injection, at most."""
    faults_s = sum(
        step.duration + (step.at if step.at is not None else step.after.timeout if step.after is not None else 0.0)
        for step in scenario.timeline
    )
    return max(ANSWERS_WITHIN_S, faults_s + max(scenario.observe, _longest_deadline_s(scenario.expect)) + _LONGER_S)


def _longest_deadline_s(expect: Expect) -> float:
    deadlines = [clause.within for clause in expect.detected]
    deadlines += [clause.within for clause in expect.noticed]
    deadlines += [clause.within for clause in expect.cleared]
    deadlines += [clause.within + clause.over + clause.hold for clause in expect.recovered]
    deadlines += [bound.over for bound in expect.stays]
    return max(deadlines, default=0.0)
