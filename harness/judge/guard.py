"""The checker of the guard: once the recovery is over, no more answers are bad than its limits allow.

It is over when every `within` has passed. All answers from then on are counted at once; where observation ended before,
those of its last seconds. More bad ones than the limit fail the run only where chance does not explain them under the
limit, nor at the rate that the stack had before the fault: else the evidence does not decide. A control is guarded from
the gate on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.judge.facts import Facts
from harness.judge.moments import Span, but
from harness.model.binomial import critical_count, reached_beside
from harness.model.guard import FaultTimes, Guarded, GuardResult, recovery_over_s
from harness.model.guard_count import kind_of, too_many_unchecked
from harness.model.shares import guard_level
from harness.model.units import Unit, format_amount
from harness.model.verdict import Cause, ClauseResult, Value, met

LEAST_S = 1.0
"""How much of the time that is looked at must have been observed."""
MOST_CITED = 8


@dataclass(frozen=True, slots=True)
class _Count:
    """The answers of one stretch: `open_` ones are bad where something other than the stack may be the cause."""

    bad: int
    open_: int
    unchecked: int
    answers: int
    unseen: int = 0
    """Requests that failed, of a limit that looks at those that were answered."""
    cites: tuple[int, ...] = ()
    doubt: str | None = None
    machine: bool = False
    """Whether the doubt about the open ones is that the machine was busy."""
    unchecked_why: str | None = None

    @property
    def share(self) -> float:
        """The share that is bad for sure."""
        return self.bad / self.answers if self.answers else 0.0

    @property
    def worst(self) -> float:
        """The share that is bad, whatever the cause."""
        return (self.bad + self.open_) / self.answers if self.answers else 0.0


def guarded(clause: Guarded, facts: Facts) -> ClauseResult:
    """Once the recovery is over, no more answers are bad than allowed. All faults must have landed, and be gone."""
    if not facts.journal.plan.faults_on:
        return _judged(clause, facts, Span(facts.gate_s, facts.gate_s), facts.gate_s)
    if facts.inconclusive_fault is not None:
        fault = facts.inconclusive_fault
        return _unknown(clause, str(fault.inconclusive_reason), fault.cause)
    moments = {f.id: (f.injected, f.reverted) for f in facts.faults.values() if f.injected and f.reverted}
    if facts.reverted is None or len(moments) < len(facts.faults):
        return _unknown(clause, "the fault was never measured to be gone")
    earliest = {fault: FaultTimes(in_.lo, out.lo) for fault, (in_, out) in moments.items()}
    latest = {fault: FaultTimes(in_.hi, out.hi) for fault, (in_, out) in moments.items()}
    recovered = facts.scenario.expect.recovered
    over = Span(recovery_over_s(recovered, earliest), recovery_over_s(recovered, latest))
    # One that had recovered before its time was over was observed no longer than for that.
    last_s = facts.end_s - clause.over
    since = Span(*(max(facts.reverted.hi, min(over_s, last_s)) for over_s in (over.lo, over.hi)))
    return _judged(clause, facts, since, over.hi)


def _judged(clause: Guarded, facts: Facts, start: Span, over_s: float) -> ClauseResult:
    """Judge what was seen from `start` on, whichever moment in it is worst.

    Only what is bad from `over_s` on, when the recovery is over for certain, fails it.
    """
    seen, from_s = max(
        ((_count(clause, facts, at_s, facts.end_s), at_s) for at_s in _starts(clause, facts, start)),
        key=lambda found: (found[0].worst, -found[1]),
    )
    late = seen if over_s <= from_s else _count(clause, facts, over_s, facts.end_s)
    value, why, cause = _value(clause, facts, seen, late, from_s, over_s)
    since = _since(facts, from_s, over_s)
    what = f"{seen.bad} of {seen.answers} answers ({_share(seen.share)}) were bad from {from_s:.2f} s on"
    reason = f"{clause.probe} {since}: {what} (at most {_share(clause.allowed)})"
    measured = GuardResult(
        probe=clause.probe, limit=clause.limit_text, from_s=from_s, to_s=facts.end_s,
        answers=seen.answers, bad=seen.bad, met=met(value),
    )  # fmt: skip
    return ClauseResult.of(clause.id, value, f"{reason}{why}", measured, seen.cites, cause)


def _starts(clause: Guarded, facts: Facts, since: Span) -> list[float]:
    """Return the moments of an interval from which on a share of bad answers may be greatest."""
    answers = facts.counted_for(clause.probe) if since.lo < since.hi else []
    bad = [one.at_s for one in answers if since.lo < one.at_s < since.hi and kind_of(clause, one.answer) == "bad"]
    return [since.lo, *bad, since.hi]


def _value(
    clause: Guarded, facts: Facts, seen: _Count, late: _Count, from_s: float, over_s: float
) -> tuple[Value, str, Cause | None]:
    """Return the value, what is to be said of it, and its cause where that is known."""
    gap = next((g for g in facts.journal.gaps("workload") if g.from_s < facts.end_s and g.to_s > from_s), None)
    level = guard_level(facts.journal.plan.guard)
    if late.bad >= critical_count(late.answers, clause.allowed, level):
        return _unless_before(clause, facts, late, level)
    if facts.end_s - from_s < LEAST_S:
        return Value.UNKNOWN, f"; only {max(0.0, facts.end_s - from_s):.2f} s of that time were observed", None
    if gap is not None:
        return Value.UNKNOWN, f"; {gap.why}", None
    if not seen.answers:
        failed = f"all {seen.unseen} requests failed" if seen.unseen else "no request was due"
        return Value.UNKNOWN, f"; {seen.unchecked_why or failed}", None
    if seen.worst > clause.allowed:
        if seen.share <= clause.allowed:
            return Value.UNKNOWN, f"; and {seen.open_} more, but {seen.doubt}", "machine" if seen.machine else None
        if over_s > from_s:
            ended = f"; observation ended at {facts.end_s:.2f} s, and the recovery had until {over_s:.2f} s"
            return Value.UNKNOWN, ended, None
        return Value.UNKNOWN, "; so few that chance explains them", "other"
    if too_many_unchecked(clause, seen.unchecked, seen.answers):
        return Value.UNKNOWN, f"; {seen.unchecked} more could not be checked: {seen.unchecked_why}", None
    return Value.PASS, f"; {seen.unchecked} could not be checked" if seen.unchecked else "", None


def _unless_before(clause: Guarded, facts: Facts, late: _Count, level: float) -> tuple[Value, str, Cause | None]:
    """Fail what is bad, unless the stack was as bad before the fault.

    That counts whatever the cause: what was broken before the injection was broken.
    """
    injected = facts.injected
    if injected is None or not facts.journal.plan.faults_on:
        return Value.FAIL, "", None
    # A request that was open at the injection counts from that moment on: it is the fault's.
    before = _count(clause, facts, facts.gate_s, math.nextafter(injected.lo, -math.inf))
    worst = before.bad + before.open_
    earlier = f"{worst} of {before.answers} ({_share(before.worst)}) were so before the injection"
    # The machine is named only where another run may decide it: where the doubt rests on what it may have done.
    if _as_bad(clause, late, before.answers, before.bad, level):
        return Value.UNKNOWN, f"; but {earlier} as well", "other"
    if _as_bad(clause, late, before.answers, worst, level):
        return Value.UNKNOWN, but(f"; but {earlier} as well", before.doubt), "machine" if before.machine else None
    fewer = f"; {earlier}, so many fewer that chance does not explain it"
    return Value.FAIL, fewer if before.worst > clause.allowed else "", None


def _as_bad(clause: Guarded, late: _Count, answers: int, bad: int, level: float) -> bool:
    """Whether a stack of whose earlier answers so many were bad broke the limit, and did not do worse beyond chance.

    One that had kept the limit is not excused: few answers would excuse much damage.
    """
    beyond = answers > 0 and bad / answers > clause.allowed
    return beyond and reached_beside(late.answers, late.bad, answers, bad) > level


def _since(facts: Facts, from_s: float, over_s: float) -> str:
    """Return which answers are looked at, in words."""
    if not facts.journal.plan.faults_on:
        return "without any fault"
    return "once the recovery was over" if over_s <= from_s else "in the last seconds of observation"


def _count(clause: Guarded, facts: Facts, from_s: float, to_s: float) -> _Count:
    bad, open_, unchecked, answers, unseen = 0, 0, 0, 0, 0
    cites: list[int] = []
    lines: list[int] = []
    doubt, machine, unchecked_why = None, False, None
    for one in facts.counted_for(clause.probe):
        if not from_s <= one.at_s <= to_s:
            continue
        kind = kind_of(clause, one.answer)
        if kind is None:
            unseen += 1
            continue
        lines.append(one.n)
        if kind == "unchecked":
            unchecked += 1
            unchecked_why = one.answer.why or one.answer.error or "no reason given"
            # Where right answers cannot be told, one that is not known to be wrong counts as one that is not.
            answers += clause.known_only
            continue
        answers += 1
        if kind == "bad" and one.inconclusive is not None:
            open_, doubt, machine = open_ + 1, one.inconclusive, one.machine
        elif kind == "bad":
            bad += 1
            cites.append(one.n)
    shown = cites[:MOST_CITED] if cites else [*lines[:1], *lines[-1:]]
    return _Count(bad, open_, unchecked, answers, unseen, tuple(dict.fromkeys(shown)), doubt, machine, unchecked_why)


def _share(value: float) -> str:
    return format_amount(value, Unit.RATIO) or "none"


def _unknown(clause: Guarded, why: str, cause: Cause | None = None) -> ClauseResult:
    reason = f"{clause.probe} once the recovery is over: {why}"
    return ClauseResult.of(clause.id, Value.UNKNOWN, reason, clause.unmeasured(), cause=cause)
