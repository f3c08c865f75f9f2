"""Checkers of alerts: detected in time, quiet otherwise, cleared again, not flapping."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.judge.alert_history import Poll, episodes, silences, unpolled
from harness.judge.facts import Facts
from harness.judge.moments import Span, met, span_text
from harness.model.expectations import Cleared, Detected, Flaps
from harness.model.readings import Alert
from harness.model.verdict import ClauseResult, Value

# The runner polls once more right before it injects. An episode whose last absence lies further back than this may
# have begun before the fault did.
AT_INJECTION_S = 0.5
MAX_POLL_GAP_S = 1.0
MAX_RULE_SILENCE_S = 2.0


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
    if fault.doubt is not None or fault.injected is None:
        return say(Value.UNKNOWN, f"{name}: {fault.doubt}", fault.cites)
    polls = facts.journal.alerts
    before = _at_injection(polls, fault.injected)
    if before is None:
        return say(
            Value.UNKNOWN, f"{name}: no poll of the alerts shows that it was quiet before injection", fault.cites
        )
    busy = {a.key for a in (*before[1].firing, *before[1].pending)}
    matching = [
        e
        for e in episodes(polls)
        if e.alert.matches(clause.alert, clause.labels) and e.start.hi > fault.injected.lo and e.start.lo <= facts.end_s
    ]
    fresh = [e for e in matching if not _was_busy(e.alert, busy)]
    if fresh:
        first = fresh[0]
        cites = (*fault.cites[:1], *first.cites)
        if first.start.lo < fault.injected.lo - AT_INJECTION_S:
            return say(Value.UNKNOWN, f"{name} may have been firing before the fault went in", cites)
        after = first.start.since(fault.injected)
        value = after.within(clause.within)
        verb = {Value.PASS: "fired", Value.FAIL: "fired too late,", Value.UNKNOWN: "fired around its deadline,"}[value]
        return say(
            value,
            f"{name} {verb} {span_text(after)} after injection (within {clause.within:g} s)",
            cites,
            after_lo_s=after.lo,
            after_s=after.hi,
            detected_at_s=first.start.hi,
        )
    if matching:
        return say(
            Value.UNKNOWN, f"{name} fired, but was pending or firing already when the fault went in", (before[0],)
        )
    return _never(clause, facts, fault.injected, say, polls, name)


def _never(
    clause: Detected, facts: Facts, injected: Span, say: Callable[..., ClauseResult], polls: Sequence[Poll], name: str
) -> ClauseResult:
    deadline_s = injected.hi + clause.within
    cites = tuple(n for n, _ in polls[-1:])
    if facts.end_s < deadline_s:
        return say(Value.UNKNOWN, f"{name} had not fired when observation ended, before its deadline", cites)
    missed = unpolled(polls, injected.lo, deadline_s, MAX_POLL_GAP_S)
    if missed:
        return say(Value.UNKNOWN, f"{name}: the alerts were not polled from {missed[0].lo:.2f} to {missed[0].hi:.2f} s")
    during = [p for _, p in polls if injected.hi <= p.asked_s <= deadline_s]
    if during and all(p.down is not None for p in during):
        return say(Value.FAIL, f"{name} was not seen: the alert source gave no answer ({during[-1].down})", cites)
    return say(Value.FAIL, f"{name} did not fire within {clause.within:g} s of injection, nor after", cites)


def quiet(facts: Facts, allowed: Sequence[str]) -> ClauseResult:
    """No alert fires but those allowed, and the rules were being evaluated all the while."""
    polls = facts.journal.alerts
    loud = [
        e
        for e in episodes(polls)
        if e.alert.name not in allowed and e.start.hi > facts.gate_s and e.start.lo <= facts.end_s
    ]
    names = dict.fromkeys((*facts.journal.plan.stack.alerts, *(e.alert.name for e in loud)))
    counts = {name: sum(e.alert.name == name for e in loud) for name in names if name not in allowed}
    measured = {"alerts": [{"alert": a, "fired": n, "met": n == 0} for a, n in counts.items()]}
    doubt = facts.doubt if facts.journal.plan.faults_on else None

    def say(value: Value, reason: str, cites: Sequence[int] = ()) -> ClauseResult:
        return ClauseResult(
            id="quiet",
            kind="quiet",
            value=value,
            reason=reason,
            cites=tuple(cites),
            measured=measured | {"met": met(value)},
        )

    if doubt is not None:
        return say(Value.UNKNOWN, f"quiet: {doubt.doubt}", doubt.cites)
    if loud:
        first = loud[0]
        return say(
            Value.FAIL,
            f"{first.alert.key} fired at {first.start.hi:.2f} s, and nothing expects it"
            + (f" (and {len(loud) - 1} more)" if len(loud) > 1 else ""),
            [n for e in loud for n in e.cites],
        )
    missed = unpolled(polls, facts.gate_s, facts.end_s, MAX_POLL_GAP_S)
    if missed:
        return say(Value.UNKNOWN, f"quiet: the alerts were not polled from {missed[0].lo:.2f} to {missed[0].hi:.2f} s")
    silent = silences(polls, facts.gate_s, facts.end_s, MAX_RULE_SILENCE_S)
    if silent:
        return say(
            Value.UNKNOWN,
            f"quiet: nothing shows that the rules were evaluated from {silent[0].lo:.2f} to {silent[0].hi:.2f} s",
        )
    return say(Value.PASS, "no other alert fired, and the rules were evaluated throughout")


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

    if fault.doubt is not None or fault.injected is None or fault.reverted is None:
        return say(Value.UNKNOWN, f"{name}: {fault.doubt or 'the fault was never seen to be gone'}", fault.cites)
    polls = facts.journal.alerts
    fired = [
        e
        for e in episodes(polls)
        if e.alert.matches(clause.alert, clause.labels) and e.start.hi > fault.injected.lo and e.start.lo <= facts.end_s
    ]
    if not fired:
        return say(Value.UNKNOWN, f"not exercised: {name} never fired", fault.cites)
    cites = [n for e in fired for n in e.cites]
    still = [e for e in fired if e.end is None or e.end.lo >= facts.end_s]
    deadline_s = fault.reverted.hi + clause.within
    if still:
        late = facts.end_s >= deadline_s and _looked(polls, deadline_s)
        value = Value.FAIL if late else Value.UNKNOWN
        return say(value, f"{name} was still firing when observation ended", cites)
    ends = [e.end for e in fired if e.end is not None]
    last = Span(max(e.lo for e in ends), max(e.hi for e in ends))
    after = last.since(fault.reverted)
    value = after.within(clause.within)
    return say(
        value,
        f"{name} cleared {span_text(after)} after revert (within {clause.within:g} s)",
        cites,
        after_lo_s=after.lo,
        after_s=after.hi,
    )


def flaps(clause: Flaps, facts: Facts) -> ClauseResult:
    """An alert starts firing no more often than said."""
    polls = facts.journal.alerts
    starts = [e for e in episodes(polls) if e.alert.matches(clause.alert, clause.labels) and e.start.hi > facts.gate_s]
    # Each label set is an alert of its own: two replicas that fire once each do not flap.
    most = max((sum(o.alert.key == e.alert.key for o in starts) for e in starts), default=0)
    missed = unpolled(polls, facts.gate_s, facts.end_s, MAX_POLL_GAP_S)
    doubt = facts.doubt
    if doubt is not None and facts.journal.plan.faults_on:
        value, reason = Value.UNKNOWN, f"{clause.alert}: {doubt.doubt}"
    elif most > clause.at_most:
        value, reason = Value.FAIL, f"{clause.alert} started firing {most} times (at most {clause.at_most})"
    elif missed:
        value, reason = Value.UNKNOWN, f"{clause.alert}: the alerts were not polled at {missed[0].lo:.2f} s"
    else:
        value, reason = Value.PASS, f"{clause.alert} started firing {most} times (at most {clause.at_most})"
    return ClauseResult(
        id=clause.id,
        kind="flaps",
        value=value,
        reason=reason,
        cites=tuple(n for e in starts for n in e.cites),
        measured={"alert": clause.alert, "starts": most, "at_most": clause.at_most, "met": met(value)},
    )


def _name(alert: str, labels: dict[str, str]) -> str:
    return alert if not labels else alert + "{" + ", ".join(f"{k}={v}" for k, v in sorted(labels.items())) + "}"


def _at_injection(polls: Sequence[Poll], injected: Span) -> Poll | None:
    earlier = [(n, p) for n, p in polls if p.answered_s <= injected.lo and p.down is None]
    return earlier[-1] if earlier and injected.lo - earlier[-1][1].asked_s <= AT_INJECTION_S else None


def _was_busy(alert: Alert, busy: set[str]) -> bool:
    return alert.key in busy


def _looked(polls: Sequence[Poll], at_s: float) -> bool:
    return any(p.asked_s >= at_s for _, p in polls)
