"""Checkers of an alert that is expected: detected in time, and cleared again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.judge.alert_history import (
    MAX_POLL_GAP_S,
    Episode,
    Poll,
    at_injection,
    may_precede,
    polled_since,
    unpolled,
)
from harness.judge.facts import Facts
from harness.judge.moments import Span, span_text
from harness.model.alert_clauses import Cleared, ClearedResult, Detected, DetectionResult
from harness.model.verdict import ClauseResult, Value, met


def detected(clause: Detected, facts: Facts) -> ClauseResult:
    """An alert fires, in time, for a label set that was neither firing nor pending at injection."""
    fault = facts.faults[clause.fault] if clause.fault else facts.first
    name = clause.alert_text
    if fault.inconclusive_reason is not None or fault.injected is None:
        return _detection(clause, Value.UNKNOWN, f"{name}: {fault.inconclusive_reason}", fault.cites)
    before = at_injection(facts.polls, fault.injected, facts.sources)
    if before is None:
        reason = f"{name}: no poll of the alerts right before injection"
        return _detection(clause, Value.UNKNOWN, reason, fault.cites)
    busy = [a for _, poll in before for a in (*poll.firing, *poll.pending)]
    later = [e for e in facts.episodes if e.start.hi > fault.injected.lo and e.start.lo <= facts.end_s]
    matching = [e for e in later if e.is_of(clause.alert, clause.labels)]
    fresh = [e for e in matching if not any(e.covers(a) for a in busy)]
    doubted = [e for e in fresh if may_precede(e, facts.journal, fault.injected)]
    sure = [e for e in fresh if e not in doubted]
    # Where several label sets or sources fired, the first of them counts; which one it was may be unknown too.
    first = Span(min(e.start.lo for e in sure), min(e.start.hi for e in sure)) if sure else None
    after = first.since(fault.injected) if first is not None else None
    value = after.within(clause.within) if after is not None else Value.FAIL
    if value is Value.FAIL:
        unclear = _already(clause, before) or _unclear(clause, facts, fault.injected, later, matching, doubted)
        if unclear is not None:
            return _detection(clause, Value.UNKNOWN, f"{name} {unclear[0]}", (*fault.cites[:1], *unclear[1]))
    if first is None or after is None:
        never, reason = _never(clause, facts, fault.injected)
        return _detection(clause, never, reason, (n for n, _ in facts.polls[-1:]))
    verb = {Value.PASS: "fired", Value.FAIL: "fired too late,", Value.UNKNOWN: "fired around its deadline,"}[value]
    reason = f"{name} {verb} {span_text(after)} after injection (within {clause.within:g} s)"
    return _detection(clause, value, reason, (*fault.cites[:1], *sure[0].cites), after, first.hi)


def _detection(
    clause: Detected,
    value: Value,
    reason: str,
    cites: Iterable[int],
    after: Span | None = None,
    detected_at_s: float | None = None,
) -> ClauseResult:
    measured = DetectionResult(
        alert=clause.alert,
        within_s=clause.within,
        after_lo_s=after.lo if after else None,
        after_s=after.hi if after else None,
        met=met(value),
        detected_at_s=detected_at_s,
    )
    return ClauseResult.of(clause.id, value, reason, measured, cites)


def _already(clause: Detected, before: Sequence[Poll]) -> tuple[str, tuple[int, ...]] | None:
    firing = [n for n, poll in before if any(a.matches(clause.alert, clause.labels) for a in poll.firing)]
    return ("was already firing at injection", tuple(firing)) if firing else None


def _unclear(
    clause: Detected,
    facts: Facts,
    injected: Span,
    later: Sequence[Episode],
    matching: Sequence[Episode],
    doubted: Sequence[Episode],
) -> tuple[str, tuple[int, ...]] | None:
    """Return why an alert may have fired in time although no poll shows it, and the lines that it rests on."""
    deadline_s = injected.hi + clause.within
    if doubted:
        return "may have been firing before injection", doubted[0].cites
    busy = [e for e in matching if e.start.lo <= deadline_s]
    if busy:
        return "fired, but may already have been pending or firing at injection", busy[0].cites
    perhaps = [e for e in later if e.is_of(clause.alert, clause.labels) is None and e.start.lo <= deadline_s]
    if perhaps:
        return "may have fired: its source counted a firing, but not by all of these labels", perhaps[0].cites
    until_s = min(deadline_s, facts.end_s)
    gaps = facts.journal.all_gaps
    missed = unpolled(facts.polls, injected.lo, until_s, MAX_POLL_GAP_S, gaps, declared=facts.sources)
    if missed:
        return f"may have fired: no polls of the alerts from {missed[0].lo:.2f} to {missed[0].hi:.2f} s", ()
    return None


def _never(clause: Detected, facts: Facts, injected: Span) -> tuple[Value, str]:
    name, deadline_s = clause.alert_text, injected.hi + clause.within
    if facts.end_s < deadline_s:
        return Value.UNKNOWN, f"{name} had not fired when observation ended, before its deadline"
    if not polled_since(facts.polls, deadline_s, facts.sources):
        return Value.UNKNOWN, f"{name} had not fired at the last poll, which was before its deadline"
    during = [p for _, p in facts.polls if injected.hi <= p.asked_s <= deadline_s]
    if during and all(p.down is not None for p in during):
        return Value.FAIL, f"{name} did not fire: the alert source gave no answer ({during[-1].down})"
    return Value.FAIL, f"{name} did not fire within {clause.within:g} s of injection, nor later"


def cleared(clause: Cleared, facts: Facts) -> ClauseResult:
    """An alert that fired is quiet again, in time after the fault's revert, and stays so while observed."""
    fault = facts.faults[clause.fault] if clause.fault else facts.last
    name = clause.alert_text
    if fault.inconclusive_reason is not None or fault.injected is None or fault.reverted is None:
        reason = f"{name}: {fault.inconclusive_reason or 'the fault was never measured to be gone'}"
        return _clearing(clause, Value.UNKNOWN, reason, fault.cites)
    injected = fault.injected
    later = [e for e in facts.episodes if e.start.hi > injected.lo and e.start.lo <= facts.end_s]
    fired = [e for e in later if e.is_of(clause.alert, clause.labels)]
    if not fired:
        return _clearing(clause, Value.UNKNOWN, f"not exercised: {name} never fired", fault.cites)
    cites = [n for e in fired for n in e.cites]
    if all(may_precede(e, facts.journal, injected) for e in fired):
        reason = f"not exercised: {name} may have fired only before injection"
        return _clearing(clause, Value.UNKNOWN, reason, cites)
    limit_s = fault.reverted.lo + clause.within
    late_ones = [e for e in fired if e.end is None or e.end.hi > limit_s]
    if late_ones and all(may_precede(e, facts.journal, injected) for e in late_ones):
        reason = f"{name} cleared late, but may have been firing before injection"
        return _clearing(clause, Value.UNKNOWN, reason, cites)
    still = [e for e in fired if e.end is None or e.end.lo >= facts.end_s]
    deadline_s = fault.reverted.hi + clause.within
    if still:
        late = facts.end_s >= deadline_s and polled_since(facts.polls, deadline_s, facts.sources)
        reason = f"{name} was still firing at {facts.end_s:.2f} s, when observation ended (within {clause.within:g} s)"
        return _clearing(clause, Value.FAIL if late else Value.UNKNOWN, reason, cites)
    ends = [e.end for e in fired if e.end is not None]
    last = Span(max(e.lo for e in ends), max(e.hi for e in ends))
    after = last.since(fault.reverted)
    value = after.within(clause.within)
    gaps = facts.journal.all_gaps
    unseen = unpolled(facts.polls, last.hi, facts.end_s, MAX_POLL_GAP_S, gaps, answered=True, declared=facts.sources)
    if unseen and value is Value.PASS:
        reason = f"{name} cleared, but no poll shows it quiet from {unseen[0].lo:.2f} to {unseen[0].hi:.2f} s"
        return _clearing(clause, Value.UNKNOWN, reason, cites, after)
    reason = f"{name} cleared {span_text(after)} after revert (within {clause.within:g} s)"
    return _clearing(clause, value, reason, cites, after)


def _clearing(
    clause: Cleared, value: Value, reason: str, cites: Iterable[int], after: Span | None = None
) -> ClauseResult:
    measured = ClearedResult(
        alert=clause.alert,
        within_s=clause.within,
        after_lo_s=after.lo if after else None,
        after_s=after.hi if after else None,
        met=met(value),
    )
    return ClauseResult.of(clause.id, value, reason, measured, cites)
