"""Checkers of expected alerts: detected in time, cleared again, and not flapping."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.judge.alert_history import (
    MAX_POLL_GAP_S,
    Episode,
    Poll,
    at_injection,
    may_precede,
    polled_since,
    refused,
    unpolled,
    unproven,
    without_base,
)
from harness.judge.facts import Facts
from harness.judge.machine import CONSEQUENCE_S, blamed
from harness.judge.moments import Span, but, span_text
from harness.judge.targets import names_untouched
from harness.model.alert_clauses import (
    Cleared,
    ClearedResult,
    Detected,
    DetectionResult,
    Flaps,
    FlapsResult,
)
from harness.model.verdict import Cause, ClauseResult, Value, met


def detected(clause: Detected, facts: Facts) -> ClauseResult:
    """An alert fires, in time, for a label set that was neither firing nor pending at injection."""
    fault = facts.faults[clause.fault] if clause.fault else facts.first
    name = clause.alert_text
    if fault.inconclusive_reason is not None or fault.injected is None:
        return _detection(clause, Value.UNKNOWN, f"{name}: {fault.inconclusive_reason}", fault.cites, cause=fault.cause)
    before = at_injection(facts.polls, fault.injected, facts.sources)
    if before is None:
        reason = f"{name}: no poll of the alerts right before injection"
        return _detection(clause, Value.UNKNOWN, reason, fault.cites)
    busy = [a for _, poll in before for a in (*poll.firing, *poll.pending)]
    later = [e for e in facts.episodes if e.start.hi > fault.injected.lo and e.start.lo <= facts.end_s]
    matching = [e for e in later if e.is_of(clause.alert, clause.labels)]
    untouched = {e.alert.key: about_another(clause, facts, fault.id, e) for e in matching}
    matching = [e for e in matching if untouched[e.alert.key] is None]
    fresh = [e for e in matching if not any(e.covers(a) for a in busy)]
    doubted = [e for e in fresh if may_precede(e, facts.journal, fault.injected)]
    sure = [e for e in fresh if e not in doubted]
    # Where several label sets or sources fired, the first of them counts; which one it was may be unknown too.
    first = Span(min(e.start.lo for e in sure), min(e.start.hi for e in sure)) if sure else None
    after = first.since(fault.injected) if first is not None else None
    value, by_machine = Value.FAIL, None
    if first is not None and after is not None:
        value, by_machine = facts.disturbed.within(after, clause.within, fault.injected.lo, first.hi)
    if value is Value.FAIL:
        unclear = _already(clause, before) or _unclear(clause, facts, fault.injected, later, matching, doubted)
        if unclear is not None:
            return _detection(clause, Value.UNKNOWN, f"{name} {unclear[0]}", (*fault.cites[:1], *unclear[1]))
    if first is None or after is None:
        never, reason, cause = _never(clause, facts, fault.injected)
        others = sorted(filter(None, untouched.values()))
        if others and never is Value.FAIL:
            reason = f"{name} fired for {', '.join(others)} only, which the fault did not hit"
        return _detection(clause, never, reason, (n for n, _ in facts.polls[-1:]), cause=cause)
    if value is Value.PASS:
        since_s = max(fault.injected.lo, first.lo - CONSEQUENCE_S)
        baseline = Span(facts.gate_s, fault.injected.lo)
        by_machine = facts.disturbed.machine_alone(baseline, Span(since_s, first.hi))
        earlier = _before_any_fault(sure, facts)
        if earlier is not None:
            by_machine = facts.disturbed.behind(earlier.start)
            at_s = earlier.start.hi
            reason = f"{name} fired {span_text(after)} after injection, and before any fault, at {at_s:.2f} s"
            return _detection(clause, Value.UNKNOWN, but(reason, by_machine), earlier.cites, cause=blamed(by_machine))
        value = Value.PASS if by_machine is None else Value.UNKNOWN
        verb = "fired"
    else:
        verb = "fired too late," if value is Value.FAIL or by_machine is not None else "fired around its deadline,"
    reason = f"{name} {verb} {span_text(after)} after injection (within {clause.within:g} s)"
    cites = (*fault.cites[:1], *sure[0].cites)
    return _detection(clause, value, but(reason, by_machine), cites, after, first.hi, blamed(by_machine))


def about_another(clause: Detected, facts: Facts, fault: str, episode: Episode) -> str | None:
    """Return the name of what an alert is about instead of what the fault hit; None where it may be that."""
    step = next(step for step in facts.scenario.timeline if step.id == fault)
    if clause.about == "any":
        return None
    # A label that the clause itself asks for is no reason to doubt it.
    others = [value for name, value in episode.alert.labels.items() if name not in clause.labels]
    return names_untouched(others, facts.journal.plan.meant_by(step), facts.journal.plan.stack)


def _before_any_fault(detections: Sequence[Episode], facts: Facts) -> Episode | None:
    """Return a firing of the same alerts between the steady state and the first fault: they need no fault to fire."""
    injected = facts.first.injected
    if injected is None:
        return None
    alerts = {one.alert.key for one in detections}
    earlier = (e for e in facts.episodes if e.start.lo >= facts.gate_s and e.start.hi <= injected.lo)
    return next((e for e in earlier if e.alert.key in alerts), None)


def _detection(
    clause: Detected,
    value: Value,
    reason: str,
    cites: Iterable[int],
    after: Span | None = None,
    detected_at_s: float | None = None,
    cause: Cause | None = None,
) -> ClauseResult:
    measured = DetectionResult(
        alert=clause.alert,
        within_s=clause.within,
        after_lo_s=after.lo if after else None,
        after_s=after.hi if after else None,
        met=met(value),
        detected_at_s=detected_at_s,
    )
    return ClauseResult.of(clause.id, value, reason, measured, cites, cause)


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
    unread = refused(facts.polls, injected.lo, until_s)
    if unread is not None:
        return f"may have fired: {unread}", ()
    gaps = facts.journal.all_gaps
    missed = unpolled(facts.polls, injected.lo, until_s, MAX_POLL_GAP_S, gaps, declared=facts.sources)
    if missed:
        return f"may have fired: no polls of the alerts from {missed[0].lo:.2f} to {missed[0].hi:.2f} s", ()
    return None


def _never(clause: Detected, facts: Facts, injected: Span) -> tuple[Value, str, Cause | None]:
    name, deadline_s = clause.alert_text, injected.hi + clause.within
    if facts.end_s < deadline_s:
        return Value.UNKNOWN, f"{name} had not fired when observation ended, before its deadline", None
    if not polled_since(facts.polls, deadline_s, facts.sources):
        return Value.UNKNOWN, f"{name} had not fired at the last poll, which was before its deadline", None
    during = [p for _, p in facts.polls if injected.hi <= p.asked_s <= deadline_s]
    unanswered = bool(during) and all(p.down is not None for p in during)
    why = facts.disturbed.why(injected.hi, deadline_s) if unanswered else None
    if why is not None:
        cause = blamed(facts.disturbed.by_machine(injected.hi, deadline_s))
        return Value.UNKNOWN, f"{name} may have fired: no poll was answered, and {why}", cause
    if unanswered:
        return Value.FAIL, f"{name} did not fire: the alert source gave no answer ({during[-1].down})", None
    # Observation may have ended before the time that was lost could be made up for.
    value, busy = facts.disturbed.within(
        Span(facts.end_s - injected.hi, math.inf), clause.within, injected.hi, facts.end_s
    )
    return value, but(f"{name} did not fire within {clause.within:g} s of injection, nor later", busy), blamed(busy)


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
    late = without_base(polls, facts.gate_s)
    if late is not None:
        reason = f"{name}: {late}'s count of firings was first read after the steady state; it may hide an early one"
        return Value.UNKNOWN, reason
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
