"""Checkers of bounds: what must stay, and what a control must never break. What must recover is in `recovery`."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judge.compared import compared, every_s
from harness.judge.facts import Facts
from harness.judge.machine import blamed
from harness.judge.moments import but
from harness.judge.shares import Excess, Seen, doubt_before, measured_of, seen
from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound, StaysResult, UnbrokenResult
from harness.model.series import MAX_GAP_S, Point, longest_gap_s
from harness.model.units import format_amount
from harness.model.verdict import Cause, ClauseResult, Value, met

MAX_CITES = 8


def stays(clause: Bound, facts: Facts) -> ClauseResult:
    """A bound is kept in every window from the first injection to the end, by answers enough to show it."""
    return _kept(clause, facts, shown=True)


def undisturbed(clause: Bound, facts: Facts) -> ClauseResult:
    """In a misfire: a bound is broken by nothing from the injection on. No run waits for answers that would show more.

    That is a control's law for what it must never break, but from the injection on.
    """
    return _kept(clause, facts, shown=False)


def _kept(clause: Bound, facts: Facts, *, shown: bool) -> ClauseResult:
    """Judge a bound from the first injection on; where it is to be `shown`, five times the allowed rate would have."""
    found = compared(clause, facts)
    points, injected = found.points, facts.injected
    # A control has no fault to wait for: its bounds count from the gate on.
    since_s = injected.lo if injected is not None and facts.journal.plan.faults_on else facts.gate_s
    during = [p for p in points if p.hi_s >= since_s]
    values = [p.value for p in during if p.value is not None and (p.good is not None or p.chance)]
    worst = clause.worst(values) if values else None
    share = seen(found.answered, since_s, facts.end_s, clause.over)
    doubt = doubt_before(found.before, facts.gate_s, since_s)
    value, reason, cited, cause = _stays(clause, facts, points, since_s, share, doubt, shown=shown)
    if value is Value.PASS:
        chance = ", which chance explains" if worst is not None and not clause.met_by(worst) else ""
        reason = f"{clause.probe} stayed {limit_text(clause)}, worst {amount(clause, worst)}{chance}"
    measured = StaysResult(
        probe=clause.probe, limit=clause.limit_text, worst=worst, met=met(value), **measured_of(share)
    )
    return ClauseResult.of(clause.id, value, reason, measured, cites(cited), cause)


def _stays(
    clause: Bound,
    facts: Facts,
    points: Sequence[Point],
    since_s: float,
    share: Seen | None,
    doubt: str | None,
    *,
    shown: bool,
) -> tuple[Value, str, Sequence[Point], Cause | None]:
    probe, limit = clause.probe, limit_text(clause)
    earlier = [p for p in points if p.good is False and p.moment_s < since_s]
    during = [p for p in points if p.hi_s >= since_s]
    broken = [p for p in during if p.good is False]
    # A gap before the fault counts too: the fault did not break what broke in it.
    blind = [p for p in points if p.gap or (p.undecided and not p.unanswered and p.hi_s >= since_s)]
    # What is not answered is not wrong either. But whether answers are right then, only those that follow show.
    silent = [p for p in during if p.unanswered]
    if silent and not _answered_since(during, max(since_s, silent[-1].hi_s - clause.over)):
        blind = blind or silent
    hidden = unseen_before(points, since_s)
    excess = share.excess if share is not None else None
    if facts.inconclusive_fault is not None:
        fault = facts.inconclusive_fault
        return Value.UNKNOWN, f"{probe}: {fault.inconclusive_reason}", [], fault.cause
    if earlier:
        reason = f"{_was(clause, earlier[0])}{broken_by(earlier[0], since_s)}, before injection ({limit})"
        busy = facts.disturbed.by_machine(earlier[0].lo_s, earlier[0].hi_s)
        return Value.UNKNOWN, but(reason, busy), earlier, blamed(busy) or "other"
    if broken and may_have_broken_before(points, broken, since_s):
        reason = f"{_was(clause, broken[0])}, and no window before injection was good ({limit})"
        busy = facts.disturbed.by_machine(facts.gate_s, since_s)
        return Value.UNKNOWN, but(reason, busy), broken, blamed(busy) or "other"
    if hidden is not None and (broken or excess is not None):
        return Value.UNKNOWN, f"{probe} may have been broken before injection ({limit}){why(hidden)}", [hidden], None
    if doubt is not None and (broken or excess is not None):
        reason = f"{probe} may have been broken before the fault: {doubt} ({limit})"
        busy = facts.disturbed.by_machine(facts.gate_s, since_s)
        return Value.UNKNOWN, but(reason, busy), broken, blamed(busy) or "other"
    if broken:
        worst = _worst(clause, broken)
        return Value.FAIL, f"{_was(clause, worst)} ({limit}){why(worst)}", broken, None
    if excess is not None:
        return Value.FAIL, *_exceeded(clause, excess, during), None
    if not during or blind:
        where = f" at {blind[0].hi_s:.2f} s: {blind[0].why}" if blind else ": no data"
        return Value.UNKNOWN, f"{probe} cannot be judged{where}", blind, by_machine(blind[:1])
    unread = _unread(clause, facts, during)
    if unread is not None:
        of = f" of {unread}" if len(facts.faults) > 1 else ""
        interval = f"its interval is {every_s(clause, facts):g} s"
        why_not = f"{probe} was not read between injection and revert{of}; {interval}"
        return Value.UNKNOWN, why_not, during[-1:], "other"
    undecided = None if share is None else share.exceeded or (share.lacking if shown else None)
    if undecided is not None:
        # What is open may be the machine's. How many answers a run has is not.
        open_ = share is not None and share.exceeded is not None and share.count.open > 0
        busy = facts.disturbed.by_machine(since_s, facts.end_s) if open_ else None
        reason = but(f"{probe} ({limit}): {undecided}", busy)
        return Value.UNKNOWN, reason, [p for p in during if p.chance] or during[-1:], blamed(busy) or "other"
    return Value.PASS, "", during[-1:], None


def _answered_since(points: Sequence[Point], from_s: float) -> bool:
    """Whether a window with answers enough begins after a moment."""
    return any(p.since_s is not None and p.since_s > from_s and not p.unanswered for p in points)


def _exceeded(clause: Bound, excess: Excess, points: Sequence[Point]) -> tuple[str, Sequence[Point]]:
    """Return how a stretch broke a bound that no window broke for certain, and the windows in it that may have."""
    unclear = [p for p in points if p.chance and p.hi_s >= excess.from_s and p.lo_s <= excess.to_s + clause.over]
    start = f"{_was(clause, _worst(clause, unclear))}, and " if unclear else f"{clause.probe}: "
    return f"{start}{excess.text}, more than chance explains ({limit_text(clause)})", unclear


def _was(clause: Bound, point: Point) -> str:
    verb = {"at_least": "fell to", "at_most": "reached", "equals": "was"}[clause.side]
    value = "had no value" if point.value is None else f"{verb} {amount(clause, point.value)}"
    return f"{clause.probe} {value} at {point.hi_s:.2f} s"


def broken_by(point: Point, injected_s: float) -> str:
    """Return, of a window that ends after the injection, by when what it holds had broken the bound."""
    return "" if point.hi_s < injected_s else f", by answers that were due by {point.moment_s:.2f} s"


def _worst(clause: Bound, broken: Sequence[Point]) -> Point:
    """Return the point furthest beyond the limit, the first of several; one without a value where none has one."""
    values = [p.value for p in broken if p.value is not None]
    worst = clause.worst(values) if values else None
    return next(p for p in broken if p.value == worst)


def amount(bound: Bound, value: float | None) -> str:
    """Return a value in the unit of its probe: a share in per cent."""
    if bound.probe in ANSWER_PROBES:
        return format_amount(value, ANSWER_PROBES[bound.probe].unit) or "no value"
    return bound.amount(value)


def limit_text(bound: Bound) -> str:
    """Return the limit in words, in the unit of its probe."""
    return f"{bound.side_text} {amount(bound, bound.limit.value)}"


def unbroken(clause: Bound, facts: Facts) -> ClauseResult:
    """In a control: a bound that the fault is to break is never broken without it."""
    found = compared(clause, facts)
    points = found.points
    broken = [p for p in points if p.good is False]
    blind = [p for p in points if p.undecided]
    share = seen(found.answered, facts.gate_s, facts.end_s, clause.over)
    exceeded = share.exceeded if share is not None else None
    cause: Cause | None = None
    if share is not None and share.excess is not None and not broken:
        reason, cited = _exceeded(clause, share.excess, points)
        value, reason = Value.FAIL, f"{reason} without any fault"
    elif broken:
        value, cited = Value.FAIL, broken
        reason = f"{_was(clause, _worst(clause, broken))} without any fault ({limit_text(clause)})"
    elif blind or not points:
        value, cited, cause = Value.UNKNOWN, blind, by_machine(blind[:1])
        reason = f"{clause.probe} cannot be judged: {blind[0].why if blind else 'no data'}"
    elif exceeded is not None:
        value, cited = Value.UNKNOWN, [p for p in points if p.chance]
        reason = f"{clause.probe} ({limit_text(clause)}): {exceeded}"
        cause = None if share is not None and share.count.open else "other"
    else:
        value, cited = Value.PASS, points[-1:]
        reason = f"{clause.probe} stayed {limit_text(clause)}"
    measured = UnbrokenResult(probe=clause.probe, limit=clause.limit_text, met=met(value), **measured_of(share))
    return ClauseResult.of(clause.id, value, reason, measured, (n for p in cited[:4] for n in p.cites), cause)


def may_have_broken_before(points: Sequence[Point], broken: Sequence[Point], injected_s: float) -> bool:
    """Whether it may have broken before injection: no window before was good, and no bad one begins after it."""
    seen_good = any(p.good and p.hi_s < injected_s for p in points)
    clear = any((p.lo_s if p.since_s is None else p.since_s) >= injected_s for p in broken)
    return not seen_good and not clear


def unseen_before(points: Sequence[Point], injected_s: float) -> Point | None:
    """Return the last gap before the injection after which no window was seen good until then; None without one."""
    before = [p for p in points if p.lo_s < injected_s]
    gap = next((k for k in reversed(range(len(before))) if before[k].gap), None)
    if gap is None or any(p.good and p.hi_s < injected_s for p in before[gap + 1 :]):
        return None
    return before[gap]


def _unread(bound: Bound, facts: Facts, during: Sequence[Point]) -> str | None:
    """Return a fault in which a probe with a long interval was not read: from its injection until its revert began."""
    slow = longest_gap_s(every_s(bound, facts)) > MAX_GAP_S
    if not slow or not facts.journal.plan.faults_on:
        return None
    read = [p for p in during if p.good is not None]
    for fault in facts.faults.values():
        if fault.injected is None:
            continue
        out = facts.journal.fault_stage(fault.id, "reverting") or facts.journal.fault_stage(fault.id, "reverted")
        until_s = out[1].lo_s if out is not None else facts.end_s
        if not any(p.lo_s >= fault.injected.hi and p.hi_s <= until_s for p in read):
            return fault.id
    return None


def by_machine(undecided: Sequence[Point]) -> Cause | None:
    """Return the cause of a clause that these points leave undecided."""
    return "machine" if any(p.machine for p in undecided) else None


def cites(points: Sequence[Point]) -> tuple[int, ...]:
    """Cite the first few and the last of many."""
    shown = points if len(points) <= MAX_CITES else [*points[: MAX_CITES - 1], points[-1]]
    return tuple(dict.fromkeys(n for p in shown for n in p.cites))


def why(point: Point) -> str:
    """Return the reason of a point as the end of a sentence; empty where it has none."""
    return f": {point.why}" if point.why else ""
