"""Checkers of alerts: detected in time, quiet otherwise, cleared again, not flapping."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.judge.alert_history import (
    Episode,
    Poll,
    episodes,
    few_rounds,
    silences,
    sources_of,
    unpolled,
    without_base,
)
from harness.judge.facts import Facts
from harness.judge.moments import Span, met, span_text
from harness.model.expectations import Cleared, Detected, Flaps
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
    before = _at_injection(polls, fault.injected, facts.sources)
    if before is None:
        return say(
            Value.UNKNOWN, f"{name}: no poll of the alerts shows that it was quiet before injection", fault.cites
        )
    busy = [a for _, poll in before for a in (*poll.firing, *poll.pending)]
    later = [e for e in episodes(polls) if e.start.hi > fault.injected.lo and e.start.lo <= facts.end_s]
    matching = [e for e in later if e.is_of(clause.alert, clause.labels)]
    fresh = [e for e in matching if not any(e.covers(a) for a in busy)]
    doubted = [e for e in fresh if _may_precede(e, facts, fault.injected)]
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
    if not _looked(polls, deadline_s, facts.sources):
        return say(Value.UNKNOWN, f"{name} had not fired at the last poll, and none came after its deadline", cites)
    during = [p for _, p in polls if injected.hi <= p.asked_s <= deadline_s]
    if during and all(p.down is not None for p in during):
        return say(Value.FAIL, f"{name} was not seen: the alert source gave no answer ({during[-1].down})", cites)
    return say(Value.FAIL, f"{name} did not fire within {clause.within:g} s of injection, nor after", cites)


def quiet(facts: Facts, allowed: Sequence[str]) -> ClauseResult:
    """No alert fires but those allowed, and the rules were being evaluated all the while."""
    polls = facts.journal.alerts
    others = [e for e in episodes(polls) if e.alert.name not in allowed and e.start.lo <= facts.end_s]
    gate = Span(facts.gate_s, facts.gate_s)
    loud = [e for e in others if e.start.hi > facts.gate_s and not _may_precede(e, facts, gate)]
    already = [e for e in others if e not in loud and (e.end is None or e.end.lo > facts.gate_s)]
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
    if already:
        still = f"quiet: {already[0].alert.key} may have been firing already when the steady state was reached"
        return say(Value.UNKNOWN, still, already[0].cites)
    missed = unpolled(polls, facts.gate_s, facts.end_s, MAX_POLL_GAP_S, facts.journal.all_gaps, declared=facts.sources)
    if missed:
        return say(Value.UNKNOWN, f"quiet: the alerts were not polled from {missed[0].lo:.2f} to {missed[0].hi:.2f} s")
    late = without_base(polls, facts.gate_s)
    if late is not None:
        what = f"quiet: how often alerts had fired by the steady state was not read from {late}"
        return say(Value.UNKNOWN, f"{what}, so one right after it may have been missed")
    silent = silences(polls, facts.gate_s, facts.end_s, MAX_RULE_SILENCE_S, facts.sources)
    if silent:
        return say(
            Value.UNKNOWN,
            f"quiet: nothing shows that the rules were evaluated from {silent[0].lo:.2f} to {silent[0].hi:.2f} s",
        )
    injected = facts.injected if facts.journal.plan.faults_on else None
    since_s = injected.hi if injected is not None else facts.gate_s
    few = few_rounds(polls, since_s, facts.end_s, MAX_RULE_SILENCE_S)
    if few is not None:
        since = "the fault went in" if injected is not None else "the steady state"
        told = f"quiet: the rules of {few[0]} were seen to be gone through {few[1]} times since {since}, and twice is"
        return say(Value.UNKNOWN, f"{told} needed: observe longer, or evaluate them more often")
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
    later = [e for e in episodes(polls) if e.start.hi > fault.injected.lo and e.start.lo <= facts.end_s]
    fired = [e for e in later if e.is_of(clause.alert, clause.labels)]
    if not fired:
        return say(Value.UNKNOWN, f"not exercised: {name} never fired", fault.cites)
    cites = [n for e in fired for n in e.cites]
    if all(_may_precede(e, facts, fault.injected) for e in fired):
        return say(Value.UNKNOWN, f"not exercised: {name} may have fired before the fault went in only", cites)
    limit_s = fault.reverted.lo + clause.within
    late_ones = [e for e in fired if e.end is None or e.end.hi > limit_s]
    if late_ones and all(_may_precede(e, facts, fault.injected) for e in late_ones):
        return say(Value.UNKNOWN, f"{name} cleared late, but may have fired before the fault went in", cites)
    still = [e for e in fired if e.end is None or e.end.lo >= facts.end_s]
    deadline_s = fault.reverted.hi + clause.within
    if still:
        late = facts.end_s >= deadline_s and _looked(polls, deadline_s, facts.sources)
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


def flaps(clause: Flaps, facts: Facts) -> ClauseResult:
    """An alert starts firing no more often than said."""
    polls = facts.journal.alerts
    during = [e for e in episodes(polls) if e.start.hi > facts.gate_s and e.start.lo <= facts.end_s]
    starts = [e for e in during if e.is_of(clause.alert, clause.labels) is not False]
    gate = Span(facts.gate_s, facts.gate_s)
    sure = _most_starts([e for e in starts if not _may_precede(e, facts, gate)])[0]
    most = _most_starts(starts)[1]
    gaps = facts.journal.all_gaps
    missed = unpolled(polls, facts.gate_s, facts.end_s, MAX_POLL_GAP_S, gaps, answered=True, declared=facts.sources)
    doubt = facts.doubt
    if doubt is not None and facts.journal.plan.faults_on:
        value, reason = Value.UNKNOWN, f"{clause.alert}: {doubt.doubt}"
    elif sure > clause.at_most:
        value, reason = Value.FAIL, f"{clause.alert} started firing {sure} times (at most {clause.at_most})"
    elif most > clause.at_most:
        value = Value.UNKNOWN
        reason = f"{clause.alert} started firing {sure} to {most} times (at most {clause.at_most})"
    elif missed:
        value, reason = Value.UNKNOWN, f"{clause.alert}: nothing was seen of the alerts at {missed[0].lo:.2f} s"
    elif (late := without_base(polls, facts.gate_s)) is not None:
        reason = f"{clause.alert}: how often it had fired by the steady state was not read from {late}"
        value = Value.UNKNOWN
    else:
        value, reason = Value.PASS, f"{clause.alert} started firing {most} times (at most {clause.at_most})"
    return ClauseResult(
        id=clause.id,
        kind="flaps",
        value=value,
        reason=reason,
        cites=tuple(n for e in starts for n in e.cites),
        measured={"alert": clause.alert, "starts": sure, "at_most": clause.at_most, "met": met(value)},
    )


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
        # Where a counter covers only one label set that was ever seen, it is that one which it counts.
        alone = [e for e in shared if sum(e.covers(other) for other in seen.values()) == 1]
        sure, most = max(sure, own + len(alone)), max(most, own + len(shared))
    return sure, most


def _name(alert: str, labels: dict[str, str]) -> str:
    return alert if not labels else alert + "{" + ", ".join(f"{k}={v}" for k, v in sorted(labels.items())) + "}"


def _at_injection(polls: Sequence[Poll], injected: Span, declared: Sequence[str]) -> list[Poll] | None:
    """Return each source's last answer right before injection, None where one of them has none."""
    found: dict[str, Poll | None] = dict.fromkeys(sources_of(polls, declared))
    for n, poll in polls:
        if poll.down is None and poll.answered_s <= injected.lo and injected.lo - poll.asked_s <= AT_INJECTION_S:
            found[poll.source] = (n, poll)
    shown = [poll for poll in found.values() if poll is not None]
    return shown if shown and len(shown) == len(found) else None


def _may_precede(episode: Episode, facts: Facts, injected: Span) -> bool:
    """Whether a firing may have begun before the fault: nobody looked right before, or the harness admits a gap."""
    lo_s = episode.start.lo
    gaps = [g for g in facts.journal.gaps(episode.source) if g.from_s < injected.lo and g.to_s > lo_s]
    # A source that is told of alerts may be told late; the stack's own stamp is evidence enough for a doubt.
    stamped_s = episode.alert.started_s
    earlier = stamped_s is not None and stamped_s < injected.lo - AT_INJECTION_S
    return lo_s < injected.lo - AT_INJECTION_S or earlier or bool(gaps)


def _looked(polls: Sequence[Poll], at_s: float, declared: Sequence[str]) -> bool:
    """Whether every source was asked, answer or not, at that moment or later."""
    sources = set(sources_of(polls, declared))
    return bool(sources) and sources == {p.source for _, p in polls if p.asked_s >= at_s}
