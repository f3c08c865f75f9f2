"""The checker of `noticed`: a probe leaves its bound in time after the injection, and did not before it.

It is a detection by a probe instead of an alert: what counts is a value beyond the bound. A probe that gives no answer
has broken its bound elsewhere; here it has said nothing, for a service that is gone notices nothing either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.judge.bounds import amount, cites, limit_text, unbroken
from harness.judge.compared import compared, every_s
from harness.judge.facts import Facts
from harness.judge.fault_facts import FaultFacts
from harness.judge.fault_stretch import later_faults
from harness.judge.machine import ALONE_S, CONSEQUENCE_S, UNDISTURBED, blamed
from harness.judge.moments import Span, but, span_text
from harness.model.clauses import Noticed, NoticedResult
from harness.model.readings import ProcessSeen
from harness.model.series import MAX_GAP_S, Point, longest_gap_s
from harness.model.verdict import Cause, ClauseResult, Value, met


def noticed(clause: Noticed, facts: Facts) -> ClauseResult:
    """A probe leaves its bound, in time, which it was seen to keep until the injection."""
    fault = facts.faults[clause.fault] if clause.fault else facts.first
    outcome = _excused(clause, facts, fault)
    measured = NoticedResult(
        probe=clause.probe,
        limit=clause.limit_text,
        within_s=clause.within,
        after_lo_s=outcome.after.lo if outcome.after else None,
        after_s=outcome.after.hi if outcome.after else None,
        noticed_at_s=outcome.at_s,
        met=met(outcome.value),
    )
    reason = f"{clause.probe} ({limit_text(clause)}): {outcome.reason}"
    cited = (*fault.cites[:1], *cites(outcome.cited))
    return ClauseResult.of(clause.id, outcome.value, reason, measured, cited, outcome.cause)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a notice."""

    value: Value
    reason: str
    cited: Sequence[Point] = field(default=())
    after: Span | None = None
    at_s: float | None = None
    cause: Cause | None = None


def _excused(clause: Noticed, facts: Facts, fault: FaultFacts) -> _Outcome:
    """Judge a notice by all that was seen where it passes so, else by what the stack alone can be the cause of.

    A probe that leaves its bound on a busy machine has left it. But it must have been for the fault: the machine was no
    less busy before, while the bound was kept.
    """
    outcome = _outcome(clause, facts, fault, excused=False)
    if facts.disturbed == UNDISTURBED:
        return outcome
    if outcome.value is not Value.PASS or outcome.at_s is None or fault.injected is None:
        return _outcome(clause, facts, fault, excused=True)
    busy = facts.disturbed.busier(Span(facts.gate_s, fault.injected.lo), Span(fault.injected.lo, outcome.at_s))
    return outcome if busy is None else _outcome(clause, facts, fault, excused=True)


def _outcome(clause: Noticed, facts: Facts, fault: FaultFacts, *, excused: bool) -> _Outcome:
    if fault.inconclusive_reason is not None or fault.injected is None:
        return _Outcome(Value.UNKNOWN, str(fault.inconclusive_reason), cause=fault.cause)
    injected = fault.injected
    points = compared(clause, facts, excused=excused).points
    first = next((p for p in points if _left(p) and p.lo_s >= injected.lo), None)
    last = _last_read(clause, facts, injected)
    since = [p for p in points if p.good and p.lo_s >= injected.lo and (first is None or p.hi_s <= first.lo_s)]
    early = _not_kept_before(clause, facts, points, injected, last, since) or _beside(facts, fault, injected)
    if early is not None:
        return early
    if first is None:
        return _never(clause, facts, fault, injected, points)
    kept = max([*since, *([last] if last is not None else [])], key=lambda p: p.lo_s)
    at = Span(kept.lo_s, first.hi_s)
    after = at.since(injected)
    value, busy = facts.disturbed.within(after, clause.within, injected.lo, at.hi)
    cited = [kept, first]
    took = f"{_reached(clause, first)} {span_text(after)} after injection (within {clause.within:g} s)"
    if value is Value.FAIL:
        open_ = _open(points, injected, clause.within)
        if open_ is not None:
            return replace(open_, reason=f"{took}, but {open_.reason}", after=after, at_s=at.hi)
    if value is Value.PASS:
        instead = _of_another_cause(facts, fault, points, kept, first)
        if instead is not None:
            return _Outcome(Value.UNKNOWN, f"{took}, but {instead}", cited, cause="other")
        other = next((one.id for one, span in later_faults(fault, facts) if span.lo < at.hi), None)
        if other is not None:
            reason = f"{took}, but {other} was injected by then and may be its cause"
            return _Outcome(Value.UNKNOWN, reason, cited, cause="other")
        since_s = max(injected.lo, at.lo - CONSEQUENCE_S)
        busy = facts.disturbed.machine_alone(Span(facts.gate_s, injected.lo), Span(since_s, at.hi))
        value = Value.PASS if busy is None else Value.UNKNOWN
        return _Outcome(value, but(took, busy), cited, after, at.hi, blamed(busy))
    late = "too late," if value is Value.FAIL or busy is not None else "around its deadline,"
    reason = f"{_reached(clause, first)} {late} {span_text(after)} after injection (within {clause.within:g} s)"
    return _Outcome(value, but(reason, busy), cited, after, at.hi, blamed(busy))


def _of_another_cause(
    facts: Facts, fault: FaultFacts, points: Sequence[Point], kept: Point, first: Point
) -> str | None:
    """Return why a bound that was left in time may have been left for something else than the fault's effect."""
    silent = next((p for p in points if p.good is False and p.value is None and kept.lo_s < p.lo_s < first.lo_s), None)
    began = [seen for _, seen in facts.journal.of(ProcessSeen) if seen.what != "exited" and seen.at_s >= kept.lo_s]
    anew = next((seen.who for seen in began if seen.at_s <= first.hi_s), None)
    if silent is not None and anew is not None:  # a service that starts says no as well
        return f"it gave no answer at {silent.hi_s:.2f} s, and {anew} was started meanwhile: that may be why"
    if fault.reverted is not None and first.lo_s > fault.reverted.hi:
        return "the fault was gone by then: it may be the revert that it notices"
    return None


def _left(point: Point) -> bool:
    """Whether a reading says that the bound is left."""
    return point.good is False and point.value is not None


def _reached(clause: Noticed, point: Point) -> str:
    return f"it was {amount(clause, point.value)}"


def _last_read(clause: Noticed, facts: Facts, injected: Span) -> Point | None:
    """Return the reading right before an injection; None without one in the last second, or with a gap after it.

    It may be from before the steady state: a test by hand injects its fault as soon as that is met.
    """
    read = [(n, seen) for n, seen in facts.readings(clause.probe) if seen.answered_s <= injected.lo]
    if not read:
        return None
    n, seen = max(read, key=lambda pair: pair[1].answered_s)
    gaps = facts.journal.gaps(clause.probe)
    if seen.asked_s < injected.lo - MAX_GAP_S or any(
        gap.from_s < injected.lo and gap.to_s > seen.answered_s for gap in gaps
    ):
        return None
    good = seen.value is not None and clause.met_by(seen.value)
    return Point(seen.asked_s, seen.answered_s, good, seen.value, (n,), seen.down)


def _not_kept_before(
    clause: Noticed,
    facts: Facts,
    points: Sequence[Point],
    injected: Span,
    last: Point | None,
    since: Sequence[Point],
) -> _Outcome | None:
    """Return why it is not known that the bound was kept until the injection; None where it is.

    `last` is the reading right before it. Without one, those that are good `since` tell as well.
    """
    broken = _broken_before(facts, points, injected)
    if broken is None and last is not None and not last.good:
        broken = last
    if broken is not None:
        verb = "was beyond it" if broken.value is not None else "gave no answer"
        when = "before injection" if broken.hi_s < injected.lo else "by a reading that was asked before injection"
        busy = facts.disturbed.by_machine(broken.lo_s, broken.hi_s)
        reason = f"it {verb} at {broken.hi_s:.2f} s already, {when}"
        return _Outcome(Value.UNKNOWN, but(reason, busy), [broken], cause=blamed(busy) or "other")
    blind = next((p for p in points if p.good is None and p.lo_s < injected.lo), None)
    if blind is not None:
        reason = f"it may have left its bound before injection: {blind.why or 'no data'}"
        return _Outcome(Value.UNKNOWN, reason, [blind], cause="machine" if blind.machine else None)
    if last is None and not since:
        reason = f"it was not read in the second before injection; its interval is {every_s(clause, facts):g} s"
        return _Outcome(Value.UNKNOWN, reason, cause="other" if facts.readings(clause.probe) else None)
    return None


def _broken_before(facts: Facts, points: Sequence[Point], injected: Span) -> Point | None:
    """Return a reading that broke the bound before an injection; what an earlier fault broke may be good again."""
    broken = [p for p in points if p.good is False and p.lo_s < injected.lo]
    first_s = facts.injected.lo if facts.injected is not None else injected.lo
    if not broken or broken[0].lo_s < first_s:
        return broken[0] if broken else None
    again = any(p.good and broken[-1].hi_s < p.lo_s and p.hi_s <= injected.lo for p in points)
    return None if again else broken[-1]


def _beside(facts: Facts, fault: FaultFacts, injected: Span) -> _Outcome | None:
    """Return that an earlier fault was still in at the injection: nobody can tell which one a probe notices."""
    for one in facts.faults.values():
        if one.id == fault.id or one.injected is None or one.injected.lo > injected.lo:
            continue
        if one.reverted is None or one.reverted.hi > injected.lo:
            reason = f"{one.id} was in at the injection too: which of them it notices, nobody can tell"
            return _Outcome(Value.UNKNOWN, reason, cause="other")
    return None


def _open(points: Sequence[Point], injected: Span, within_s: float) -> _Outcome | None:
    """Return what leaves open whether the bound was left in time; None where nothing does."""
    in_time = [p for p in points if p.hi_s >= injected.lo and p.lo_s <= injected.hi + within_s]
    silent = [p for p in in_time if p.good is False and p.value is None]
    if silent:
        reason = f"it gave no answer at {silent[0].hi_s:.2f} s ({silent[0].why}), which is neither yes nor no"
        return _Outcome(Value.UNKNOWN, reason, [silent[0], silent[-1]], cause="other")
    unseen = next((p for p in in_time if p.good is None), None)
    if unseen is None:
        return None
    reason = f"it may have left its bound in time: {unseen.why or 'no data'}"
    return _Outcome(Value.UNKNOWN, reason, [unseen], cause="machine" if unseen.machine else None)


def _never(clause: Noticed, facts: Facts, fault: FaultFacts, injected: Span, points: Sequence[Point]) -> _Outcome:
    """Judge a probe that was never seen to leave its bound."""
    deadline_s = injected.hi + clause.within
    after = [p for p in points if p.hi_s >= injected.lo]
    if facts.end_s < deadline_s:
        return _Outcome(Value.UNKNOWN, "not left when observation ended, before its deadline", after[-1:])
    open_ = _open(points, injected, clause.within)
    if open_ is not None:
        return open_
    kept = [p for p in after if p.good]
    interval = f"its interval is {every_s(clause, facts):g} s"
    if not kept or kept[-1].hi_s < deadline_s - longest_gap_s(every_s(clause, facts)):
        return _Outcome(Value.UNKNOWN, f"it was not read around its deadline; {interval}", kept[-1:])
    out_s = fault.reverted.lo if fault.reverted is not None else facts.end_s
    if not any(p.lo_s >= injected.hi and p.hi_s <= min(out_s, deadline_s) for p in kept):
        return _Outcome(Value.UNKNOWN, f"it was not read while the fault was in; {interval}", kept[-1:], cause="other")
    # As for an alert: what the machine took, the stack had no time in, nor after the fault was gone.
    until_s = facts.end_s
    if fault.reverted is not None and facts.disturbed.busy_s(injected.hi, fault.reverted.lo) >= ALONE_S:
        until_s = min(until_s, fault.reverted.lo)
    took = Span(max(until_s - injected.hi, math.nextafter(clause.within, math.inf)), math.inf)
    value, busy = facts.disturbed.within(took, clause.within, injected.hi, until_s)
    reason = f"it stayed so: it did not leave its bound within {clause.within:g} s of injection, nor later"
    return _Outcome(value, but(reason, busy), [kept[0], kept[-1]], cause=blamed(busy))


def void_notice(found: ClauseResult, clause: Noticed, run: Facts, control: Facts) -> ClauseResult:
    """Turn the pass of a notice into unknown unless its control shows that the bound is kept without the fault."""
    if found.value is not Value.PASS or not isinstance(found.measured, NoticedResult):
        return found
    beside = unbroken(clause, control)
    noticed_s = found.measured.noticed_at_s
    reason, cause = None, beside.cause
    if beside.value is Value.FAIL:
        reason, cause = f"{beside.reason}: in the control it left its bound too", "other"
    elif beside.value is Value.UNKNOWN:
        reason = f"the control proves nothing: {beside.reason}"
    elif noticed_s is not None and run.gate_s + control.end_s - control.gate_s < noticed_s:
        reason = f"the control ended before {noticed_s:.2f} s, when {clause.probe} left its bound: it proves nothing"
    if reason is None:
        return found
    measured = found.measured.model_copy(update={"met": None})
    told = {"value": Value.UNKNOWN, "reason": reason, "cause": cause or "other", "measured": measured}
    return found.model_copy(update=told)
