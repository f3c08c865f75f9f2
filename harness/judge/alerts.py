"""The checker of `cleared`: an alert that a fault raised is quiet again, in time after the fault is gone."""

from __future__ import annotations

import math
from collections.abc import Iterable

from harness.judge.alert_history import (
    MAX_POLL_GAP_S,
    may_precede,
    polled_since,
    refused,
    unpolled,
)
from harness.judge.evaluations import unproven
from harness.judge.facts import Facts
from harness.judge.machine import blamed
from harness.judge.moments import Span, but, span_text
from harness.model.alert_clauses import Cleared, ClearedResult
from harness.model.verdict import Cause, ClauseResult, Value, met


def cleared(clause: Cleared, facts: Facts) -> ClauseResult:
    """An alert that fired is quiet again, in time after the fault's revert, and stays so while observed."""
    fault = facts.faults[clause.fault] if clause.fault else facts.last
    name = clause.alert_text
    if fault.inconclusive_reason is not None or fault.injected is None or fault.reverted is None:
        reason = f"{name}: {fault.inconclusive_reason or 'the fault was never measured to be gone'}"
        return _clearing(clause, Value.UNKNOWN, reason, fault.cites, cause=fault.cause)
    injected = fault.injected
    later = [e for e in facts.episodes if e.start.hi > injected.lo and e.start.lo <= facts.end_s]
    fired = [e for e in later if e.is_of(clause.alert, clause.labels) and e.start.hi <= facts.end_s]
    again = [e for e in later if e.is_of(clause.alert, clause.labels) and e not in fired]
    if not fired:
        return _clearing(clause, Value.UNKNOWN, f"not exercised: {name} never fired", fault.cites)
    cites = [n for e in fired for n in e.cites]
    if all(may_precede(e, facts.journal, injected) for e in fired):
        reason = f"not exercised: {name} may have fired only before injection"
        return _clearing(clause, Value.UNKNOWN, reason, cites)
    if any(e.counted for e in fired):
        # What only a counter shows may have begun inside of a firing that polls show, and ends with that.
        shown = [e for e in facts.episodes if not e.counted and e.is_of(clause.alert, clause.labels)]
        fired += [e for e in shown if e not in fired and (e.end is None or e.end.hi > injected.lo)]
        cites = [n for e in fired for n in e.cites]
    limit_s = fault.reverted.lo + clause.within
    late_ones = [e for e in fired if e.end is None or e.end.hi > limit_s]
    if late_ones and all(may_precede(e, facts.journal, injected) for e in late_ones):
        reason = f"{name} cleared late, but may have been firing before injection"
        return _clearing(clause, Value.UNKNOWN, reason, cites)
    still = [e for e in fired if e.end is None or e.end.lo >= facts.end_s]
    deadline_s = fault.reverted.hi + clause.within
    if still:
        late = facts.end_s >= deadline_s and polled_since(facts.polls, deadline_s, facts.sources)
        seen_s = max(_last_answered_s(facts, e.source) for e in still)
        if late and seen_s < deadline_s:
            # That no later poll shows it quiet says nothing where no later poll was answered.
            reason = f"{name} may have cleared: the alert source last answered at {seen_s:.2f} s"
            return _clearing(clause, Value.UNKNOWN, reason, cites)
        reason = f"{name} was still firing at {facts.end_s:.2f} s, when observation ended (within {clause.within:g} s)"
        if not late:
            return _clearing(clause, Value.UNKNOWN, reason, cites)
        least = Span(facts.end_s - fault.reverted.hi, math.inf)
        value, busy = facts.disturbed.within(least, clause.within, fault.reverted.lo, facts.end_s)
        return _clearing(clause, value, but(reason, busy), cites, cause=blamed(busy))
    ends = [e.end for e in fired if e.end is not None]
    last = Span(max(e.lo for e in ends), max(e.hi for e in ends))
    after = last.since(fault.reverted)
    value, busy = facts.disturbed.within(after, clause.within, fault.reverted.lo, last.hi)
    gaps = facts.journal.all_gaps
    unseen = unpolled(facts.polls, last.hi, facts.end_s, MAX_POLL_GAP_S, gaps, answered=True, declared=facts.sources)
    if unseen and value is Value.PASS:
        reason = f"{name} cleared, but no poll shows it quiet from {unseen[0].lo:.2f} to {unseen[0].hi:.2f} s"
        return _clearing(clause, Value.UNKNOWN, reason, cites, after)
    unsure = refused(facts.polls, last.hi, facts.end_s) or unproven(
        facts.polls, last.lo, facts.end_s, facts.sources, told=True
    )
    if again:
        unsure = f"fired again before or after observation ended at {facts.end_s:.2f} s"
    if unsure is not None and value is Value.PASS:
        return _clearing(clause, Value.UNKNOWN, f"{name} cleared, but {unsure}", cites, after)
    reason = f"{name} cleared {span_text(after)} after revert (within {clause.within:g} s)"
    return _clearing(clause, value, but(reason, busy), cites, after, blamed(busy))


def _last_answered_s(facts: Facts, source: str) -> float:
    answered = (poll.asked_s for _, poll in facts.polls if poll.source == source and poll.down is None)
    return max(answered, default=-math.inf)


def _clearing(
    clause: Cleared,
    value: Value,
    reason: str,
    cites: Iterable[int],
    after: Span | None = None,
    cause: Cause | None = None,
) -> ClauseResult:
    measured = ClearedResult(
        alert=clause.alert,
        within_s=clause.within,
        after_lo_s=after.lo if after else None,
        after_s=after.hi if after else None,
        met=met(value),
    )
    return ClauseResult.of(clause.id, value, reason, measured, cites, cause)
