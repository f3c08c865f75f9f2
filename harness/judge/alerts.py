"""Checkers of how alerts end: cleared again in time, and not flapping."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.judge.alert_history import (
    MAX_POLL_GAP_S,
    Episode,
    may_precede,
    polled_since,
    refused,
    uncounted,
    unpolled,
    unproven,
)
from harness.judge.facts import Facts
from harness.judge.machine import blamed
from harness.judge.moments import Span, but, span_text
from harness.model.alert_clauses import (
    Cleared,
    ClearedResult,
    Flaps,
    FlapsResult,
)
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


def flaps(clause: Flaps, facts: Facts) -> ClauseResult:
    """An alert starts firing no more often than the bound."""
    during = [e for e in facts.episodes if e.start.hi > facts.gate_s and e.start.lo <= facts.end_s]
    starts = [e for e in during if e.is_of(clause.alert, clause.labels) is not False]
    gate = Span(facts.gate_s, facts.gate_s)
    causes = [facts.disturbed.behind(e.start) for e in starts]
    own = [e for e, cause in zip(starts, causes, strict=True) if cause is None and e.start.hi <= facts.end_s]
    sure = _most_starts([e for e in own if not may_precede(e, facts.journal, gate)])[0]
    most = _most_starts(starts)[1]
    value, reason = _flaps(clause, facts, sure, most)
    fault = facts.inconclusive_fault
    busy = next(filter(None, causes), None) if fault is None and sure <= clause.at_most < most else None
    reason, cause = but(reason, busy), fault.cause if fault is not None else blamed(busy)
    measured = FlapsResult(alert=clause.alert, starts=sure, at_most=clause.at_most, met=met(value))
    return ClauseResult.of(clause.id, value, reason, measured, (n for e in starts for n in e.cites), cause)


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
    late = uncounted(polls, facts.gate_s, facts.end_s)
    if late is not None:
        return Value.UNKNOWN, f"{name}: {late}"
    unsure = refused(polls, facts.gate_s, facts.end_s) or unproven(polls, facts.gate_s, facts.end_s, facts.sources)
    if unsure is not None:
        return Value.UNKNOWN, f"{name} started firing {most} times {limit}, but {unsure}"
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
