"""The checker of silence: no alert fires but those that are expected; and what proves that an alert did not fire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from harness.judge.alert_history import (
    MAX_POLL_GAP_S,
    Episode,
    may_precede,
    polled_since,
    refused,
    uncounted,
    unpolled,
)
from harness.judge.evaluations import few_evaluations, unproven
from harness.judge.facts import Facts
from harness.judge.machine import blamed
from harness.judge.moments import Span, but
from harness.model.alert_clauses import AlertCount, QuietResult, Silence
from harness.model.verdict import Cause, ClauseResult, Value, met


def quiet(clause: Silence, facts: Facts) -> ClauseResult:
    """No alert fires but those allowed, and the rules were being evaluated all the while."""
    allowed = clause.allowed
    others = [e for e in facts.episodes if e.alert.name not in allowed]
    loud, doubtful = since_the_gate(others, facts)
    fired = firings(loud)
    names = dict.fromkeys((*facts.journal.plan.stack.alerts, *fired))
    counts = {name: fired.get(name, 0) for name in names if name not in allowed}
    value, reason, cites, cause = _quiet(facts, loud, doubtful)
    doubted = {e.alert.name for e in doubtful}
    alerts = tuple(
        AlertCount(alert=name, fired=n, met=None if n == 0 and name in doubted else n == 0)
        for name, n in counts.items()
    )
    return ClauseResult.of(clause.id, value, reason, QuietResult(alerts=alerts, met=met(value)), cites, cause)


def since_the_gate(found: Sequence[Episode], facts: Facts) -> tuple[list[Episode], list[Episode]]:
    """Return the firings that began between the steady state and the end of observation, and those that may have.

    The doubtful ones may have begun before and gone on, or may have begun only after the end.
    """
    gate = Span(facts.gate_s, facts.gate_s)
    observed = [e for e in found if e.start.lo <= facts.end_s]
    loud = [e for e in observed if e.start.hi > facts.gate_s and not may_precede(e, facts.journal, gate)]
    already = [e for e in observed if e not in loud and (e.end is None or e.end.lo > facts.gate_s)]
    around = [e for e in loud if e.start.hi > facts.end_s]
    return [e for e in loud if e not in around], [*already, *around]


def firings(found: Sequence[Episode]) -> dict[str, int]:
    """Return how often each alert fired: two sources that show the same firing do not make two of it."""
    shown = Counter((e.alert.name, e.source) for e in found)
    return {name: max(n for (own, _), n in shown.items() if own == name) for name in {e.alert.name: 0 for e in found}}


def first_firing(loud: Sequence[Episode], facts: Facts) -> tuple[Episode, str | None]:
    """Return the first firing that is the stack's own, else the first, and how the machine may be its cause."""
    causes = [facts.disturbed.behind(e.start) for e in loud]
    pairs = list(zip(loud, causes, strict=True))
    return next((pair for pair in pairs if pair[1] is None), pairs[0])


def _quiet(
    facts: Facts, loud: Sequence[Episode], doubtful: Sequence[Episode]
) -> tuple[Value, str, Iterable[int], Cause | None]:
    if facts.inconclusive_fault is not None:
        fault = facts.inconclusive_fault
        return Value.UNKNOWN, f"quiet: {fault.inconclusive_reason}", fault.cites, fault.cause
    if loud:
        others = sum(firings(loud).values()) - 1
        more = f" (and {others} more)" if others else ""
        first, busy = first_firing(loud, facts)
        reason = f"{first.alert.key} fired at {first.start.hi:.2f} s, and no clause expects it{more}"
        value = Value.FAIL if busy is None else Value.UNKNOWN
        return value, but(reason, busy), [n for e in loud for n in e.cites], blamed(busy)
    if doubtful:
        first = doubtful[0]
        ended = f"fired before or after observation ended at {facts.end_s:.2f} s"
        when = ended if first.start.hi > facts.end_s else "may already have been firing at the steady state"
        return Value.UNKNOWN, f"quiet: {first.alert.key} {when}", first.cites, None
    unheard = unproven_silence(facts)
    if unheard is not None:
        return Value.UNKNOWN, f"quiet: {unheard}", (), None
    return Value.PASS, "no other alert fired, and the rules were evaluated throughout", (), None


def unproven_silence(facts: Facts) -> str | None:
    """Return why an alert that was not seen to fire since the steady state may have; None where it cannot."""
    polls, gate_s, end_s = facts.polls, facts.gate_s, facts.end_s
    missed = unpolled(polls, gate_s, end_s, MAX_POLL_GAP_S, facts.journal.all_gaps, declared=facts.sources)
    if missed:
        return f"no polls of the alerts from {missed[0].lo:.2f} to {missed[0].hi:.2f} s"
    if not polled_since(polls, end_s, facts.sources):
        return "no poll of the alerts at the end of observation"
    late = uncounted(polls, gate_s, end_s)
    if late is not None:
        return late
    unsure = refused(polls, gate_s, end_s) or unproven(polls, gate_s, end_s, facts.sources)
    if unsure is not None:
        return unsure
    gaps, declared = facts.journal.all_gaps, facts.sources
    silent = unpolled(polls, gate_s, end_s, MAX_POLL_GAP_S, gaps, answered=True, declared=declared, counted=True)
    if silent:
        return f"no poll of the alerts was answered from {silent[0].lo:.2f} to {silent[0].hi:.2f} s"
    return too_seldom(facts)


def too_seldom(facts: Facts) -> str | None:
    """Return why the rules were not evaluated often enough since the fault went in; None where they were."""
    injected = facts.injected if facts.journal.plan.faults_on else None
    since_s = injected.hi if injected is not None else facts.gate_s
    few = few_evaluations(facts.polls, since_s, facts.end_s)
    if few is None:
        return None
    evaluated = "evaluated once" if few[1] else "never evaluated"
    since = "injection" if injected is not None else "the steady state"
    return (
        f"the rules of {few[0]} were {evaluated} since {since}; two evaluations are needed: "
        "observe longer, or evaluate them more often"
    )
