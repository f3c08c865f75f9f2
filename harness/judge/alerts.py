"""The checker of `cleared`: an alert that a fault raised is quiet again, in time after the fault is gone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.judge.alert_history import (
    MAX_POLL_GAP_S,
    Episode,
    answers,
    may_precede,
    polled_since,
    refused,
    unpolled,
)
from harness.judge.evaluations import few_evaluations, unproven
from harness.judge.facts import Facts
from harness.judge.fault_facts import FaultFacts
from harness.judge.fault_stretch import Stretch, later_faults, stretch_of
from harness.judge.machine import blamed
from harness.judge.moments import Span, but, span_text
from harness.model.alert_clauses import Cleared, ClearedResult
from harness.model.verdict import Cause, ClauseResult, Value, met


def cleared(clause: Cleared, facts: Facts) -> ClauseResult:
    """An alert that fired is quiet again, in time after the fault's revert, and stays so while observed."""
    fault = facts.faults[clause.fault] if clause.fault else facts.last
    name, injected, reverted = clause.alert_text, fault.injected, fault.reverted
    if fault.inconclusive_reason is not None or injected is None or reverted is None:
        reason = f"{name}: {fault.inconclusive_reason or 'the fault was never measured to be gone'}"
        return _clearing(clause, Value.UNKNOWN, reason, fault.cites, cause=fault.cause)
    part = stretch_of(fault, injected, reverted, facts)
    known = [e for e in facts.episodes if e.is_of(clause.alert, clause.labels) is not False]
    # One that began before the fault and goes on counts too: the alert is not quiet while any of them fires.
    going = [e for e in known if e.start.lo <= part.end_s and (e.end is None or e.end.hi > injected.lo)]
    fired = [e for e in going if e.start.hi <= part.end_s and e.is_of(clause.alert, clause.labels)]
    cites = [n for e in fired for n in e.cites]
    idle = _not_exercised(facts, fault, injected, reverted, fired)
    if idle is not None:
        told = idle if any(e.start.lo <= facts.end_s for e in known) else "never fired"
        return _clearing(clause, Value.UNKNOWN, f"not exercised: {name} {told}", cites or fault.cites)
    limit_s = reverted.lo + clause.within
    late = [e for e in fired if _goes_on(e, limit_s)]
    old = [e for e in late if _before_any_fault(e, facts)]
    if late and len(old) == len(late):
        reason = f"{name} cleared late, but may have been firing before injection"
        return _clearing(clause, Value.UNKNOWN, reason, cites)
    judged = [e for e in fired if e not in old]
    still = [e for e in judged if e.end is None or e.end.lo >= part.end_s]
    if still:
        return _still_firing(clause, facts, reverted, part, still, cites)
    doubts = [e for e in going if e not in fired and _goes_on(e, limit_s)]
    return _over(clause, facts, reverted, part, judged, doubts)


def _goes_on(episode: Episode, at_s: float) -> bool:
    """Whether a firing may go on after a moment."""
    return episode.end is None or episode.end.hi > at_s


def _before_any_fault(episode: Episode, facts: Facts) -> bool:
    """Whether a firing may have begun before the first injection of any fault."""
    return facts.injected is None or may_precede(episode, facts.journal, facts.injected)


def _not_exercised(
    facts: Facts, fault: FaultFacts, injected: Span, reverted: Span, fired: Sequence[Episode]
) -> str | None:
    """Return why an alert is not known to have fired for a fault; None where it is.

    It is, where it began after this fault went in and before another did, or where it began after any fault and was
    firing when this one was gone.
    """
    alone_s = min((span.lo for _, span in later_faults(fault, facts)), default=math.inf)
    if any(e.start.hi <= alone_s and not may_precede(e, facts.journal, injected) for e in fired):
        return None
    if any((e.end is None or e.end.lo >= reverted.hi) and not _before_any_fault(e, facts) for e in fired):
        return None
    if not fired:
        return "did not fire for this fault"
    if any(e.start.hi <= injected.lo for e in fired):
        return "was already firing at injection"
    if any(may_precede(e, facts.journal, injected) for e in fired):
        return "may have fired only before injection"
    return "fired, but another fault was in by then and may have raised it"


def _still_firing(
    clause: Cleared, facts: Facts, reverted: Span, part: Stretch, still: Sequence[Episode], cites: Iterable[int]
) -> ClauseResult:
    """Judge an alert that was firing to the end of what is about its fault."""
    name, deadline_s = clause.alert_text, reverted.hi + clause.within
    due_s = math.inf if part.gone is None else part.gone.hi + clause.within
    late = part.end_s >= deadline_s and polled_since(facts.polls, deadline_s, facts.sources)
    seen_s = max(_last_told_s(facts, e) for e in still)
    if late and seen_s < deadline_s:
        # That no later poll shows it quiet says nothing where no later poll was answered.
        reason = f"{name} may have cleared: the alert source last answered at {seen_s:.2f} s"
        return _clearing(clause, Value.UNKNOWN, reason, cites)
    reason = f"{name} was still firing at {part.end_s:.2f} s, when {part.until} (within {clause.within:g} s)"
    if not late:
        return _clearing(clause, Value.UNKNOWN, reason, cites)
    if part.gone is None or min(part.end_s, seen_s) < due_s:
        return _clearing(clause, Value.UNKNOWN, f"{reason}, {_kept_by(part)}", cites)
    least = Span(part.end_s - part.gone.hi, math.inf)
    value, busy = facts.disturbed.within(least, clause.within, part.gone.lo, part.end_s)
    return _clearing(clause, value, but(reason, busy), cites, cause=blamed(busy))


def _kept_by(part: Stretch) -> str:
    return f"but {' and '.join(part.beside)} may have kept it firing"


def _over(
    clause: Cleared,
    facts: Facts,
    reverted: Span,
    part: Stretch,
    fired: Sequence[Episode],
    doubts: Sequence[Episode],
) -> ClauseResult:
    """Judge an alert that fired and is over; `doubts` are firings after that which may be none of it."""
    name, cites = clause.alert_text, [n for e in fired for n in e.cites]
    ends = [e.end for e in fired if e.end is not None]
    last = Span(max(e.lo for e in ends), max(e.hi for e in ends))
    after = last.since(reverted)
    value, busy = facts.disturbed.within(after, clause.within, reverted.lo, last.hi)
    reason = f"{name} cleared {span_text(after)} after revert (within {clause.within:g} s)"
    if value is Value.PASS:
        unsure = _unsure(facts, part, last, doubts)
        if unsure is not None:
            return _clearing(clause, Value.UNKNOWN, f"{name} cleared, but {unsure}", cites, after)
    elif value is Value.FAIL and part.beside:
        least = last.since(part.gone) if part.gone is not None else Span(0.0, math.inf)
        value, busy = facts.disturbed.within(least, clause.within, reverted.lo, last.hi)
        if value is not Value.FAIL and busy is None:
            return _clearing(clause, Value.UNKNOWN, f"{reason}, {_kept_by(part)}", cites, after)
    return _clearing(clause, value, but(reason, busy), cites, after, blamed(busy))


def _unsure(facts: Facts, part: Stretch, last: Span, doubts: Sequence[Episode]) -> str | None:
    """Return why an alert that was over may fire again, or go on, unseen; None where it does not."""
    polls, gaps = facts.polls, facts.journal.all_gaps
    unseen = unpolled(polls, last.hi, part.end_s, MAX_POLL_GAP_S, gaps, answered=True, declared=facts.sources)
    if unseen:
        return f"no poll shows it quiet from {unseen[0].lo:.2f} to {unseen[0].hi:.2f} s"
    if any(e.start.hi > part.end_s for e in doubts):
        return f"fired again before or after {part.until} at {part.end_s:.2f} s"
    if doubts:
        return "its source counted a firing later, but not by all of these labels"
    unsure = refused(polls, last.hi, part.end_s) or unproven(polls, last.lo, part.end_s, facts.sources, told=True)
    if unsure is not None:
        return unsure
    few = few_evaluations(polls, last.hi, part.end_s, needed=1)
    if few is None:
        return None
    return f"the rules of {few[0]} were not evaluated after that: observe longer, or evaluate them more often"


def _last_told_s(facts: Facts, episode: Episode) -> float:
    """Return when a source last showed a firing, or would have shown that it is over."""
    own = [poll for _, poll in facts.polls if poll.source == episode.source and poll.down is None]
    told = (p.asked_s for p in own if answers(p) or any(a.key == episode.alert.key for a in p.firing))
    return max(told, default=-math.inf)


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
