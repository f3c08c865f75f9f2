"""The checker of what must recover, and hold.

Recovery is the first good reading after the last breach, with `hold` observed good after it. A window that is kept was
good from its start on, or from its last answer beyond the bound. A bound that never broke was not exercised: its clause
is unknown, never a pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.judge.bounds import amount, broken_by, by_machine, cites, limit_text, may_have_broken_before, why
from harness.judge.compared import Compared, compared, every_s
from harness.judge.facts import Facts
from harness.judge.fault_facts import FaultFacts
from harness.judge.machine import UNDISTURBED, blamed
from harness.judge.moments import Span, but, span_text
from harness.judge.reloading import damaged_at
from harness.judge.shares import Seen, doubt_before, measured_of, seen
from harness.model.clauses import Recovered, RecoveryResult
from harness.model.series import MAX_GAP_S, Point
from harness.model.verdict import Cause, ClauseResult, Value, met


def recovered(clause: Recovered, facts: Facts) -> ClauseResult:
    """A bound that broke is kept again in time, and holds."""
    fault = facts.faults[clause.fault] if clause.fault else facts.last
    start = fault.injected if clause.since == "injection" else fault.reverted
    together_s = damaged_at(facts) if clause.fault is None and clause.since == "revert" else None
    if together_s is not None:
        fault = replace(fault, injected=together_s)
    outcome = _excused(clause, facts, fault, start)
    measured = RecoveryResult(
        probe=clause.probe,
        limit=clause.limit_text,
        within_s=clause.within,
        since=clause.since,
        after_lo_s=outcome.after.lo if outcome.after else None,
        after_s=outcome.after.hi if outcome.after else None,
        recovered_at_s=outcome.at_s,
        met=met(outcome.value),
        **measured_of(outcome.share),
    )
    reason = f"{clause.probe} ({limit_text(clause)}): {outcome.reason}"
    cited = (*fault.cites[:1], *cites(outcome.cited))
    return ClauseResult.of(clause.id, outcome.value, reason, measured, cited, outcome.cause)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a recovery went."""

    value: Value
    reason: str
    cited: Sequence[Point] = ()
    after: Span | None = None
    at_s: float | None = None
    share: Seen | None = None
    """Of a bound on a share: what was counted once it was good again."""
    cause: Cause | None = None


def _excused(clause: Recovered, facts: Facts, fault: FaultFacts, start: Span | None) -> _Outcome:
    """Judge a recovery by all that was seen where it passes so, else by what the stack alone can be the cause of.

    What recovers in time on a busy machine has recovered. But it must have been the fault that broke it.
    """
    outcome = _recovery(clause, facts, fault, start, excused=False)
    if facts.disturbed == UNDISTURBED:
        return outcome
    if outcome.value is not Value.PASS or outcome.at_s is None or fault.injected is None:
        return _recovery(clause, facts, fault, start, excused=True)
    if any(p.good is False for p in compared(clause, facts).points if p.hi_s >= fault.injected.lo):
        return outcome
    busy = facts.disturbed.busier(Span(facts.gate_s, fault.injected.lo), Span(fault.injected.lo, outcome.at_s))
    if busy is None:
        return outcome
    return replace(outcome, value=Value.UNKNOWN, reason=but(outcome.reason, busy), cause=blamed(busy))


def _recovery(clause: Recovered, facts: Facts, fault: FaultFacts, start: Span | None, *, excused: bool) -> _Outcome:
    if fault.inconclusive_reason is not None:
        return _Outcome(Value.UNKNOWN, fault.inconclusive_reason, cause=fault.cause)
    if fault.injected is None or start is None:
        return _Outcome(Value.UNKNOWN, "the fault was never measured to be gone")
    found, until_s = compared(clause, facts, excused=excused), _alone_until_s(clause, facts, fault)
    points = found.points if until_s >= facts.end_s else [p for p in found.points if p.hi_s < until_s]
    earlier = _earlier(points, facts, fault.injected.lo)
    if earlier:
        reason = (
            f"already broken at {earlier[0].hi_s:.2f} s{broken_by(earlier[0], fault.injected.lo)}, before injection"
        )
        busy = facts.disturbed.by_machine(earlier[0].lo_s, earlier[0].hi_s)
        return _Outcome(Value.UNKNOWN, but(reason, busy), earlier, cause=blamed(busy) or "other")
    after = [p for p in points if p.hi_s >= fault.injected.lo]
    breaches = _breaches(found, after, Span(fault.injected.lo, until_s), clause.over)
    blind = [p for p in points if p.gap and p.lo_s < fault.injected.lo]
    if blind and breaches:
        return _Outcome(Value.UNKNOWN, f"may have been broken before injection{why(blind[0])}", blind)
    if not breaches:
        return _unexercised(after)
    if may_have_broken_before(points, breaches, fault.injected.lo):
        reason = "not exercised: it broke around injection, and no window before injection was good"
        busy = facts.disturbed.by_machine(facts.gate_s, fault.injected.lo)
        return _Outcome(Value.UNKNOWN, but(reason, busy), breaches, cause=blamed(busy) or "other")
    doubt = doubt_before(found.before, facts.gate_s, fault.injected.lo)
    if doubt is not None:
        busy = facts.disturbed.by_machine(facts.gate_s, fault.injected.lo)
        reason = but(f"may have been broken before the fault: {doubt}", busy)
        return _Outcome(Value.UNKNOWN, reason, breaches, cause=blamed(busy) or "other")
    outcome = _again(clause, facts, start, after, breaches, found, until_s)
    if outcome.value is not Value.UNKNOWN:
        return outcome
    # What no window shows for certain, all answers after the deadline may; time of a busy machine does not count.
    due_s = start.hi + clause.within + facts.disturbed.busy_s(start.lo, until_s)
    late = seen(found.answered, due_s, until_s, clause.over)
    if late is not None and late.excess is not None:
        reason = f"still broken after its deadline, {clause.within:g} s after {clause.since}: {late.excess.text}"
        return _Outcome(Value.FAIL, reason, [breaches[0], breaches[-1]], share=late)
    return outcome


def _alone_until_s(clause: Recovered, facts: Facts, fault: FaultFacts) -> float:
    """Return until when what is seen is the stack's own doing. The revert ends that for one that recovers by itself."""
    until_s = facts.alone_until_s(fault)
    if clause.since == "revert" or fault.taken_out_s is None:
        return until_s
    return min(until_s, fault.taken_out_s)


def _earlier(points: Sequence[Point], facts: Facts, injected_s: float) -> list[Point]:
    """Return where a bound was broken before a fault: before every fault, or by an earlier one and not good since."""
    broken = [p for p in points if p.good is False and p.moment_s < injected_s]
    first = facts.injected
    before_all = [p for p in broken if first is None or p.moment_s < first.lo]
    if before_all or not broken:
        return before_all
    again = any(p.good and broken[-1].hi_s < p.hi_s < injected_s for p in points)
    return [] if again else broken[-1:]


def _again(
    clause: Recovered,
    facts: Facts,
    start: Span,
    after: Sequence[Point],
    breaches: Sequence[Point],
    found: Compared,
    until_s: float,
) -> _Outcome:
    """Judge when a bound that broke was kept again, and whether it held."""
    last = breaches[-1]
    # It is certain to have been broken until the last window that was; of those that may have been, any was the last.
    least = next((p for p in reversed(breaches) if p.good is False), breaches[0])
    good = _good_again(clause, after, last)
    if good is None:
        value, busy = facts.disturbed.within(
            Span(Span(_broken_from_s(least), least.hi_s).since(start).lo, math.inf), clause.within, start.lo, last.hi_s
        )
        reached = amount(clause, last.value)
        unseen = next((p for p in after if p.good is None and not p.chance and p.hi_s > last.hi_s), None)
        what = "observation ended" if until_s >= facts.end_s else "the next fault went in"
        if clause.since == "injection":
            what = "the fault was taken out, or observation ended"
        ended = f"when {what}{why(last)}" if unseen is None else f"and may be good again: {unseen.why}"
        reason = f"still broken at {last.hi_s:.2f} s ({reached}), {ended}"
        cause = blamed(busy) or by_machine([unseen] if unseen is not None else [])
        return _Outcome(value, but(reason, busy), [breaches[0], last], cause=cause)
    span = _between(least, good)
    took = span.since(start)
    share = seen(found.answered, good.hi_s, until_s, clause.over)
    value, busy = facts.disturbed.within(took, clause.within, start.lo, good.hi_s)
    cited = [breaches[0], last, good]
    not_held = _not_held(clause, facts, after, good, share, until_s) if value is not Value.FAIL else None
    if not_held is not None:
        reason = f"good again after {span_text(took)}, but not observed to hold: {not_held[0]}"
        return _Outcome(Value.UNKNOWN, reason, cited, took, span.hi, share, not_held[1])
    verb = {
        Value.PASS: "good again",
        Value.FAIL: "good again too late,",
        Value.UNKNOWN: "good again too late," if busy else "good again around its deadline,",
    }
    text = f"{verb[value]} {span_text(took)} after {clause.since} (within {clause.within:g} s)"
    return _Outcome(value, but(text, busy), cited, took, span.hi, share, blamed(busy))


def _broken_from_s(point: Point) -> float:
    """Return a moment at which a bound was still broken: what a window holds from then on breaks it."""
    return next(at_s for at_s in (point.broken_from_s, point.since_s, point.lo_s) if at_s is not None)


def _between(broken: Point, good: Point) -> Span:
    """Return when a bound was kept again, between the last point that breaks it and the first good one after it."""
    if good.since_s is None:
        return Span(_broken_from_s(broken), good.hi_s)
    hi_s = good.since_s if good.beyond_until_s is None else max(good.since_s, good.beyond_until_s)
    return Span(min(_broken_from_s(broken), hi_s), hi_s)


def _breaches(found: Compared, after: Sequence[Point], during: Span, over_s: float) -> Sequence[Point]:
    """Return the windows that broke the bound; after the last that did, those that may have if together they did."""
    certain = [p for p in after if p.good is False]
    since_s = certain[-1].hi_s if certain else during.lo
    unclear = [p for p in after if p.chance and p.hi_s > since_s]
    share = seen(found.answered, since_s, during.hi, over_s) if unclear else None
    return [*certain, *unclear] if share is not None and share.excess is not None else certain


def _good_again(clause: Recovered, after: Sequence[Point], last: Point) -> Point | None:
    """Return the first good point after the last breach; the next, as long as it may have been broken within `hold`."""
    good: Point | None = None
    for p in after:
        if p is last or p.lo_s < last.lo_s or p.hi_s < last.hi_s:
            continue
        if p.chance and good is not None and p.hi_s <= good.hi_s + clause.hold:
            good = None
        elif p.good and good is None:
            good = p
    return good


def _unexercised(after: Sequence[Point]) -> _Outcome:
    """Return the outcome of a bound that no window broke: no machine kept it from breaking."""
    blind = [p for p in after if p.undecided]
    if blind or not after:
        reason = f"cannot be judged: {blind[0].why if blind else 'no data'}"
        return _Outcome(Value.UNKNOWN, reason, blind, cause=by_machine(blind[:1]))
    unclear = [p for p in after if p.chance]
    if unclear:
        reason = f"not exercised: at {unclear[0].hi_s:.2f} s {unclear[0].why}"
        return _Outcome(Value.UNKNOWN, reason, unclear, cause="other")
    return _Outcome(Value.UNKNOWN, "not exercised, it never broke", after[-1:], cause="other")


def _not_held(
    clause: Recovered, facts: Facts, after: Sequence[Point], good: Point, share: Seen | None, until_s: float
) -> tuple[str, Cause | None] | None:
    """Return why it was not observed good for `hold` from `good` on, and the cause; None where it was.

    A breach that no window shows may lie in any blind stretch after `good`, and then that breach is the last one. What
    windows leave to chance, all that followed decides.
    """
    later = [p for p in after if p.hi_s > good.hi_s]
    shaky = [p for p in later if p.undecided]
    if shaky:
        return shaky[0].why or "no data", by_machine(shaky[:1])
    if until_s < good.hi_s + clause.hold:
        if until_s < facts.end_s:
            return f"the next fault went in {until_s - good.hi_s:.2f} s later", "other"
        return f"observation ended {until_s - good.hi_s:.2f} s later", None
    if share is not None and share.exceeded is not None and any(p.chance for p in later):
        return share.exceeded, None if share.count.open else "other"
    # A probe with a long interval may have no reading at all in the time for which it must hold.
    if max(p.hi_s for p in after if p.good or p.chance) < good.hi_s + clause.hold - MAX_GAP_S:
        return f"it was not read again; its interval is {every_s(clause, facts):g} s", None
    return None
