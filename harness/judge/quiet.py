"""Checkers of alerts that nothing expects: all quiet otherwise, and not flapping."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judge.alert_evidence import MAX_POLL_GAP_S, MAX_RULE_SILENCE_S, may_precede
from harness.judge.alert_history import Episode, episodes, few_rounds, silences, unpolled, without_base
from harness.judge.facts import Facts
from harness.judge.moments import Span, met
from harness.model.expectations import Flaps
from harness.model.verdict import ClauseResult, Value


def quiet(facts: Facts, allowed: Sequence[str]) -> ClauseResult:
    """No alert fires but those allowed, and the rules were being evaluated all the while."""
    polls = facts.journal.alerts
    others = [e for e in episodes(polls) if e.alert.name not in allowed and e.start.lo <= facts.end_s]
    gate = Span(facts.gate_s, facts.gate_s)
    loud = [e for e in others if e.start.hi > facts.gate_s and not may_precede(e, facts, gate)]
    already = [e for e in others if e not in loud and (e.end is None or e.end.lo > facts.gate_s)]
    names = dict.fromkeys((*facts.journal.plan.stack.alerts, *(e.alert.name for e in loud)))
    counts = {name: sum(e.alert.name == name for e in loud) for name in names if name not in allowed}
    measured = {"alerts": [{"alert": a, "fired": n, "met": n == 0} for a, n in counts.items()]}
    inconclusive = facts.inconclusive_fault if facts.journal.plan.faults_on else None

    def say(value: Value, reason: str, cites: Sequence[int] = ()) -> ClauseResult:
        return ClauseResult(
            id="quiet",
            kind="quiet",
            value=value,
            reason=reason,
            cites=tuple(cites),
            measured=measured | {"met": met(value)},
        )

    if inconclusive is not None:
        return say(Value.UNKNOWN, f"quiet: {inconclusive.inconclusive_reason}", inconclusive.cites)
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


def flaps(clause: Flaps, facts: Facts) -> ClauseResult:
    """An alert starts firing no more often than said."""
    polls = facts.journal.alerts
    during = [e for e in episodes(polls) if e.start.hi > facts.gate_s and e.start.lo <= facts.end_s]
    starts = [e for e in during if e.is_of(clause.alert, clause.labels) is not False]
    gate = Span(facts.gate_s, facts.gate_s)
    sure = _most_starts([e for e in starts if not may_precede(e, facts, gate)])[0]
    most = _most_starts(starts)[1]
    gaps = facts.journal.all_gaps
    missed = unpolled(polls, facts.gate_s, facts.end_s, MAX_POLL_GAP_S, gaps, answered=True, declared=facts.sources)
    inconclusive = facts.inconclusive_fault
    if inconclusive is not None and facts.journal.plan.faults_on:
        value, reason = Value.UNKNOWN, f"{clause.alert}: {inconclusive.inconclusive_reason}"
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
