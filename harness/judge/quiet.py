"""Checkers of alerts that nothing expects: all quiet otherwise, and not flapping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.judge.alert_history import (
    MAX_POLL_GAP_S,
    MAX_RULE_SILENCE_S,
    Episode,
    few_evaluations,
    may_precede,
    silences,
    unpolled,
    without_base,
)
from harness.judge.facts import Facts
from harness.judge.moments import Span
from harness.model.alert_clauses import AlertCount, Flaps, FlapsResult, QuietResult, Silence
from harness.model.verdict import ClauseResult, Value, met


def quiet(clause: Silence, facts: Facts) -> ClauseResult:
    """No alert fires but those allowed, and the rules were being evaluated all the while."""
    allowed = clause.allowed
    others = [e for e in facts.episodes if e.alert.name not in allowed and e.start.lo <= facts.end_s]
    gate = Span(facts.gate_s, facts.gate_s)
    loud = [e for e in others if e.start.hi > facts.gate_s and not may_precede(e, facts.journal, gate)]
    already = [e for e in others if e not in loud and (e.end is None or e.end.lo > facts.gate_s)]
    names = dict.fromkeys((*facts.journal.plan.stack.alerts, *(e.alert.name for e in loud)))
    counts = {name: sum(e.alert.name == name for e in loud) for name in names if name not in allowed}
    value, reason, cites = _quiet(facts, loud, already)
    alerts = tuple(AlertCount(alert=name, fired=n, met=n == 0) for name, n in counts.items())
    return ClauseResult.of(clause.id, value, reason, QuietResult(alerts=alerts, met=met(value)), cites)


def _quiet(facts: Facts, loud: Sequence[Episode], already: Sequence[Episode]) -> tuple[Value, str, Iterable[int]]:
    if facts.inconclusive_fault is not None:
        fault = facts.inconclusive_fault
        return Value.UNKNOWN, f"quiet: {fault.inconclusive_reason}", fault.cites
    if loud:
        more = f" (and {len(loud) - 1} more)" if len(loud) > 1 else ""
        reason = f"{loud[0].alert.key} fired at {loud[0].start.hi:.2f} s, and no clause expects it{more}"
        return Value.FAIL, reason, [n for e in loud for n in e.cites]
    if already:
        reason = f"quiet: {already[0].alert.key} may already have been firing at the steady state"
        return Value.UNKNOWN, reason, already[0].cites
    polls, gate_s, end_s = facts.polls, facts.gate_s, facts.end_s
    missed = unpolled(polls, gate_s, end_s, MAX_POLL_GAP_S, facts.journal.all_gaps, declared=facts.sources)
    if missed:
        return Value.UNKNOWN, f"quiet: no polls of the alerts from {missed[0].lo:.2f} to {missed[0].hi:.2f} s", ()
    late = without_base(polls, gate_s)
    if late is not None:
        reason = f"quiet: {late}'s count of firings was first read after the steady state; it may hide an early one"
        return Value.UNKNOWN, reason, ()
    silent = silences(polls, gate_s, end_s, MAX_RULE_SILENCE_S, facts.sources)
    if silent:
        reason = f"quiet: no sign that the rules were evaluated from {silent[0].lo:.2f} to {silent[0].hi:.2f} s"
        return Value.UNKNOWN, reason, ()
    injected = facts.injected if facts.journal.plan.faults_on else None
    few = few_evaluations(polls, injected.hi if injected is not None else gate_s, end_s, MAX_RULE_SILENCE_S)
    if few is not None:
        evaluated = "evaluated once" if few[1] else "never evaluated"
        since = "injection" if injected is not None else "the steady state"
        reason = f"quiet: the rules of {few[0]} were {evaluated} since {since}; two evaluations are needed: "
        return Value.UNKNOWN, reason + "observe longer, or evaluate them more often", ()
    return Value.PASS, "no other alert fired, and the rules were evaluated throughout", ()


def flaps(clause: Flaps, facts: Facts) -> ClauseResult:
    """An alert starts firing no more often than the bound."""
    during = [e for e in facts.episodes if e.start.hi > facts.gate_s and e.start.lo <= facts.end_s]
    starts = [e for e in during if e.is_of(clause.alert, clause.labels) is not False]
    gate = Span(facts.gate_s, facts.gate_s)
    sure = _most_starts([e for e in starts if not may_precede(e, facts.journal, gate)])[0]
    value, reason = _flaps(clause, facts, sure, _most_starts(starts)[1])
    measured = FlapsResult(alert=clause.alert, starts=sure, at_most=clause.at_most, met=met(value))
    return ClauseResult.of(clause.id, value, reason, measured, (n for e in starts for n in e.cites))


def _flaps(clause: Flaps, facts: Facts, sure: int, most: int) -> tuple[Value, str]:
    """Compare the least and the greatest number of starts with the bound."""
    name, limit = clause.alert, f"(at most {clause.at_most})"
    if facts.inconclusive_fault is not None:
        return Value.UNKNOWN, f"{name}: {facts.inconclusive_fault.inconclusive_reason}"
    if sure > clause.at_most:
        return Value.FAIL, f"{name} started firing {sure} times {limit}"
    if most > clause.at_most:
        return Value.UNKNOWN, f"{name} started firing {sure} to {most} times {limit}"
    polls, gaps = facts.polls, facts.journal.all_gaps
    missed = unpolled(polls, facts.gate_s, facts.end_s, MAX_POLL_GAP_S, gaps, answered=True, declared=facts.sources)
    if missed:
        return Value.UNKNOWN, f"{name}: no poll was answered from {missed[0].lo:.2f} to {missed[0].hi:.2f} s"
    late = without_base(polls, facts.gate_s)
    if late is not None:
        reason = f"{name}: {late}'s count of firings was first read after the steady state; it may hide an early one"
        return Value.UNKNOWN, reason
    return Value.PASS, f"{name} started firing {most} times {limit}"


def _most_starts(starts: Sequence[Episode]) -> tuple[int, int]:
    """Return how often one label set started at least and at most: a counter may count several of them together.

    Each label set is an alert of its own: two replicas that fire once each do not flap.
    """
    seen = {e.alert.key: e.alert for e in starts if not e.counted}
    hidden = [e for e in starts if e.counted]
    sure, most = 0, 0
    for alert in {e.alert.key: e.alert for e in starts}.values():
        own = sum(e.alert.key == alert.key for e in starts)
        shared = [e for e in hidden if e.alert.key != alert.key and e.covers(alert)]
        # Where a counter covers only one label set that ever fired in a poll, it counts that one.
        alone = [e for e in shared if sum(e.covers(other) for other in seen.values()) == 1]
        sure, most = max(sure, own + len(alone)), max(most, own + len(shared))
    return sure, most
