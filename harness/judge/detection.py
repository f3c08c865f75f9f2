"""The checker of `detected`: the right alert fires in time, for what the fault hit, and not before it."""

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
)
from harness.judge.facts import Facts
from harness.judge.fault_facts import FaultFacts
from harness.judge.fault_stretch import later_faults
from harness.judge.machine import ALONE_S, CONSEQUENCE_S, blamed
from harness.judge.moments import Span, but, span_text
from harness.judge.targets import names_untouched
from harness.model.alert_clauses import Detected, DetectionResult
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
    # Once another fault is in, an alert may be that one's: those from before are enough where there are any.
    sole = [e for e in sure if _raised_by_another(clause, facts, fault, e) is None]
    sure = sole or sure
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
        never, reason, cause = _never(clause, facts, fault, fault.injected)
        others = sorted(filter(None, untouched.values()))
        if others and never is Value.FAIL:
            reason = f"{name} fired for {', '.join(others)} only, which the fault did not hit"
        return _detection(clause, never, reason, (n for n, _ in facts.polls[-1:]), cause=cause)
    if value is Value.PASS:
        since_s = max(fault.injected.lo, first.lo - CONSEQUENCE_S)
        baseline = Span(facts.gate_s, fault.injected.lo)
        by_machine = facts.disturbed.machine_alone(baseline, Span(since_s, first.hi))
        reason = f"{name} fired {span_text(after)} after injection"
        earlier = _before_any_fault(clause, facts, fault)
        if earlier is not None:
            by_machine = facts.disturbed.behind(earlier.start)
            reason += f", and before any fault, at {earlier.start.hi:.2f} s"
            return _detection(clause, Value.UNKNOWN, but(reason, by_machine), earlier.cites, cause=blamed(by_machine))
        if not sole:
            reason += (
                f", but {_raised_by_another(clause, facts, fault, sure[0])} was injected by then and may be its cause"
            )
            return _detection(clause, Value.UNKNOWN, reason, sure[0].cites)
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
    others = {name: value for name, value in episode.alert.labels.items() if name not in clause.labels}
    return names_untouched(others, facts.journal.plan.meant_by(step), facts.journal.plan.stack)


def _before_any_fault(clause: Detected, facts: Facts, fault: FaultFacts) -> Episode | None:
    """Return a firing of the alert between the steady state and the first fault: it needs no fault to fire.

    Its labels need not be those that fired later: a label may hold what changes from one firing to the next.
    """
    injected = facts.injected
    if injected is None:
        return None
    own = [e for e in facts.episodes if e.is_of(clause.alert, clause.labels) is not False]
    earlier = [e for e in own if may_precede(e, facts.journal, injected) and (e.end is None or e.end.hi > facts.gate_s)]
    return next((e for e in earlier if about_another(clause, facts, fault.id, e) is None), None)


def _raised_by_another(clause: Detected, facts: Facts, fault: FaultFacts, episode: Episode) -> str | None:
    """Return a fault that went in after this one, and before an alert fired that may be about it; None without one."""
    others = [one.id for one, injected in later_faults(fault, facts) if injected.lo < episode.start.hi]
    return next((other for other in others if about_another(clause, facts, other, episode) is None), None)


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


def _never(clause: Detected, facts: Facts, fault: FaultFacts, injected: Span) -> tuple[Value, str, Cause | None]:
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
    # Observation may have ended before the time that was lost could be made up for, or the fault been gone by then.
    until_s = facts.end_s
    if fault.reverted is not None and facts.disturbed.busy_s(injected.hi, fault.reverted.lo) >= ALONE_S:
        until_s = min(until_s, fault.reverted.lo)
    took = Span(max(until_s - injected.hi, math.nextafter(clause.within, math.inf)), math.inf)
    value, busy = facts.disturbed.within(took, clause.within, injected.hi, until_s)
    unread = [p for p in during if p.down is not None]
    never = f"{name} did not fire within {clause.within:g} s of injection, nor later"
    if unread:
        never = f"{name} was not seen to fire within {clause.within:g} s of injection, nor later"
        never += f"; from {unread[0].asked_s:.2f} s on, {len(unread)} polls had no answer ({unread[-1].down})"
    return value, but(never, busy), blamed(busy)
