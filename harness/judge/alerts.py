"""Checkers of an alert that is expected: detected in time, and cleared again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.judge.alert_evidence import MAX_POLL_GAP_S, at_injection, looked, may_precede
from harness.judge.alert_history import Episode, Poll, episodes, unpolled
from harness.judge.facts import Facts
from harness.judge.moments import Span, met, span_text
from harness.model.expectations import Cleared, Detected
from harness.model.verdict import ClauseResult, Value


def detected(clause: Detected, facts: Facts) -> ClauseResult:
    """An alert fires, in time, for a label set that was neither firing nor pending when the fault went in."""
    fault = facts.faults[clause.fault] if clause.fault else facts.first
    measured: dict[str, object] = {
        "alert": clause.alert,
        "within_s": clause.within,
        "after_lo_s": None,
        "after_s": None,
    }

    def say(value: Value, reason: str, cites: Sequence[int] = (), **more: object) -> ClauseResult:
        all_measured = measured | {"met": met(value), "detected_at_s": None} | more
        return ClauseResult(
            id=clause.id, kind="detected", value=value, reason=reason, cites=tuple(cites), measured=all_measured
        )

    name = _name(clause.alert, clause.labels)
    if fault.inconclusive_reason is not None or fault.injected is None:
        return say(Value.UNKNOWN, f"{name}: {fault.inconclusive_reason}", fault.cites)
    polls = facts.journal.alerts
    before = at_injection(polls, fault.injected, facts.sources)
    if before is None:
        return say(
            Value.UNKNOWN, f"{name}: no poll of the alerts shows that it was quiet before injection", fault.cites
        )
    busy = [a for _, poll in before for a in (*poll.firing, *poll.pending)]
    later = [e for e in episodes(polls) if e.start.hi > fault.injected.lo and e.start.lo <= facts.end_s]
    matching = [e for e in later if e.is_of(clause.alert, clause.labels)]
    fresh = [e for e in matching if not any(e.covers(a) for a in busy)]
    doubted = [e for e in fresh if may_precede(e, facts, fault.injected)]
    sure = [e for e in fresh if e not in doubted]
    # Where several label sets or sources fired, the first of them counts; which one it was may be unknown too.
    first = Span(min(e.start.lo for e in sure), min(e.start.hi for e in sure)) if sure else None
    after = first.since(fault.injected) if first is not None else None
    value = after.within(clause.within) if after is not None else Value.FAIL
    if value is Value.FAIL:
        unclear = _already(clause, before) or _unclear(clause, facts, fault.injected, later, matching, doubted)
        if unclear is not None:
            return say(Value.UNKNOWN, f"{name} {unclear[0]}", (*fault.cites[:1], *unclear[1]))
    if first is None or after is None:
        return _never(clause, facts, fault.injected, say, polls, name)
    verb = {Value.PASS: "fired", Value.FAIL: "fired too late,", Value.UNKNOWN: "fired around its deadline,"}[value]
    return say(
        value,
        f"{name} {verb} {span_text(after)} after injection (within {clause.within:g} s)",
        (*fault.cites[:1], *sure[0].cites),
        after_lo_s=after.lo,
        after_s=after.hi,
        detected_at_s=first.hi,
    )


def _already(clause: Detected, before: Sequence[Poll]) -> tuple[str, tuple[int, ...]] | None:
    firing = [n for n, poll in before if any(a.matches(clause.alert, clause.labels) for a in poll.firing)]
    return ("was firing already when the fault went in", tuple(firing)) if firing else None


def _unclear(
    clause: Detected,
    facts: Facts,
    injected: Span,
    later: Sequence[Episode],
    matching: Sequence[Episode],
    doubted: Sequence[Episode],
) -> tuple[str, tuple[int, ...]] | None:
    """Return why an alert that was not seen to fire in time may have fired all the same, and the lines that show it."""
    deadline_s = injected.hi + clause.within
    if doubted:
        return "may have been firing before the fault went in", doubted[0].cites
    busy = [e for e in matching if e.start.lo <= deadline_s]
    if busy:
        return "fired, but may have been pending or firing already when the fault went in", busy[0].cites
    perhaps = [e for e in later if e.is_of(clause.alert, clause.labels) is None and e.start.lo <= deadline_s]
    if perhaps:
        return "may have fired: its source counted a firing, but not by all of these labels", perhaps[0].cites
    journal = facts.journal
    until_s = min(deadline_s, facts.end_s)
    missed = unpolled(journal.alerts, injected.lo, until_s, MAX_POLL_GAP_S, journal.all_gaps, declared=facts.sources)
    if missed:
        return f"was not looked for: the alerts were not polled from {missed[0].lo:.2f} to {missed[0].hi:.2f} s", ()
    return None


def _never(
    clause: Detected, facts: Facts, injected: Span, say: Callable[..., ClauseResult], polls: Sequence[Poll], name: str
) -> ClauseResult:
    deadline_s = injected.hi + clause.within
    cites = tuple(n for n, _ in polls[-1:])
    if facts.end_s < deadline_s:
        return say(Value.UNKNOWN, f"{name} had not fired when observation ended, before its deadline", cites)
    if not looked(polls, deadline_s, facts.sources):
        return say(Value.UNKNOWN, f"{name} had not fired at the last poll, and none came after its deadline", cites)
    during = [p for _, p in polls if injected.hi <= p.asked_s <= deadline_s]
    if during and all(p.down is not None for p in during):
        return say(Value.FAIL, f"{name} was not seen: the alert source gave no answer ({during[-1].down})", cites)
    return say(Value.FAIL, f"{name} did not fire within {clause.within:g} s of injection, nor after", cites)


def cleared(clause: Cleared, facts: Facts) -> ClauseResult:
    """An alert that fired is quiet again, in time after the fault's revert, and stays so while observed."""
    fault = facts.faults[clause.fault] if clause.fault else facts.last
    measured: dict[str, object] = {
        "alert": clause.alert,
        "within_s": clause.within,
        "after_lo_s": None,
        "after_s": None,
    }
    name = _name(clause.alert, clause.labels)

    def say(value: Value, reason: str, cites: Sequence[int] = (), **more: object) -> ClauseResult:
        return ClauseResult(
            id=clause.id,
            kind="cleared",
            value=value,
            reason=reason,
            cites=tuple(cites),
            measured=measured | {"met": met(value)} | more,
        )

    if fault.inconclusive_reason is not None or fault.injected is None or fault.reverted is None:
        return say(
            Value.UNKNOWN, f"{name}: {fault.inconclusive_reason or 'the fault was never seen to be gone'}", fault.cites
        )
    polls = facts.journal.alerts
    later = [e for e in episodes(polls) if e.start.hi > fault.injected.lo and e.start.lo <= facts.end_s]
    fired = [e for e in later if e.is_of(clause.alert, clause.labels)]
    if not fired:
        return say(Value.UNKNOWN, f"not exercised: {name} never fired", fault.cites)
    cites = [n for e in fired for n in e.cites]
    if all(may_precede(e, facts, fault.injected) for e in fired):
        return say(Value.UNKNOWN, f"not exercised: {name} may have fired before the fault went in only", cites)
    limit_s = fault.reverted.lo + clause.within
    late_ones = [e for e in fired if e.end is None or e.end.hi > limit_s]
    if late_ones and all(may_precede(e, facts, fault.injected) for e in late_ones):
        return say(Value.UNKNOWN, f"{name} cleared late, but may have fired before the fault went in", cites)
    still = [e for e in fired if e.end is None or e.end.lo >= facts.end_s]
    deadline_s = fault.reverted.hi + clause.within
    if still:
        late = facts.end_s >= deadline_s and looked(polls, deadline_s, facts.sources)
        value = Value.FAIL if late else Value.UNKNOWN
        return say(value, f"{name} was still firing when observation ended", cites)
    ends = [e.end for e in fired if e.end is not None]
    last = Span(max(e.lo for e in ends), max(e.hi for e in ends))
    after = last.since(fault.reverted)
    value = after.within(clause.within)
    gaps = facts.journal.all_gaps
    unseen = unpolled(polls, last.hi, facts.end_s, MAX_POLL_GAP_S, gaps, answered=True, declared=facts.sources)
    if unseen and value is Value.PASS:
        blind = f"nothing shows it quiet from {unseen[0].lo:.2f} to {unseen[0].hi:.2f} s"
        return say(Value.UNKNOWN, f"{name} cleared, but {blind}", cites, after_lo_s=after.lo, after_s=after.hi)
    return say(
        value,
        f"{name} cleared {span_text(after)} after revert (within {clause.within:g} s)",
        cites,
        after_lo_s=after.lo,
        after_s=after.hi,
    )


def _name(alert: str, labels: dict[str, str]) -> str:
    return alert if not labels else alert + "{" + ", ".join(f"{k}={v}" for k, v in sorted(labels.items())) + "}"
