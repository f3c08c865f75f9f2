"""Checkers of bounds: what must stay, and what must come back and hold.

Recovery is the first good reading after the last breach, seen good for `hold` after it. Something that never broke
did not recover: its clause was not exercised, and nobody may read a pass out of that.
"""

from __future__ import annotations

from harness.journal.records import Journal
from harness.judge.facts import Facts, FaultFacts
from harness.judge.moments import Span, met, span_text
from harness.model.answers import ANSWER_PROBES
from harness.model.expectations import Bound, Recovered
from harness.model.series import MAX_GAP_S, Point, answer_series, longest_gap_s, reading_series
from harness.model.verdict import ClauseResult, Value

MAX_CITES = 8


def series(bound: Bound, journal: Journal, from_s: float, to_s: float) -> list[Point]:
    """Return the bound held against the journal, moment by moment, between two moments of the run."""
    if bound.probe in ANSWER_PROBES:
        return answer_series(bound, journal.answers, from_s, to_s, journal.gaps("workload"))
    every_s = journal.plan.stack.probe_every_s.get(bound.probe, 0.0)
    return reading_series(bound, journal.readings(bound.probe), from_s, to_s, journal.gaps(bound.probe), every_s)


def stays(clause: Bound, facts: Facts) -> ClauseResult:
    """A bound is kept in every window from the first injection to the end of observation."""
    points = series(clause, facts.journal, facts.gate_s, facts.end_s)
    injected = facts.injected
    # A control has no fault to wait for: it is held to its bounds from the gate on.
    since_s = injected.lo if injected is not None and facts.journal.plan.faults_on else facts.gate_s
    earlier = [p for p in points if p.good is False and p.hi_s < since_s]
    during = [p for p in points if p.hi_s >= since_s]
    broken = [p for p in during if p.good is False]
    # A gap before the fault counts too: what broke in it was not broken by the fault.
    blind = [p for p in points if p.gap or (p.good is None and p.hi_s >= since_s)]
    values = [p.value for p in during if p.value is not None and p.good is not None]
    worst = clause.worst(values) if values else None
    limit = f"{'at least' if clause.at_least is not None else 'at most'} {clause.limit}"
    inconclusive = facts.inconclusive_fault if facts.journal.plan.faults_on else None
    if inconclusive is not None:
        value, reason, cited = Value.UNKNOWN, f"{clause.probe}: {inconclusive.inconclusive_reason}", []
    elif earlier:
        value, cited = Value.UNKNOWN, earlier
        reason = f"{clause.probe} broke its bound at {earlier[0].hi_s:.2f} s, before the fault went in"
    elif broken and _not_told_apart(points, broken, since_s):
        value, cited = Value.UNKNOWN, broken
        reason = f"{clause.probe} broke its bound around injection, and was not seen to keep it before"
    elif broken:
        value, cited = Value.FAIL, broken
        shown = "no answer" if broken[0].value is None else f"{_shown(broken[0].value)}"
        reason = f"{clause.probe} was {shown} at {broken[0].hi_s:.2f} s ({limit})" + _why(broken[0])
    elif not during or blind:
        cited = blind
        where = f" at {cited[0].hi_s:.2f} s: {cited[0].why}" if cited else ": nothing was measured"
        value, reason = Value.UNKNOWN, f"{clause.probe} could not be judged{where}"
    elif _unread(clause, facts, during):
        value, cited = Value.UNKNOWN, during[-1:]
        reason = (
            f"{clause.probe} was not read while the fault was in: it is read every {_every_s(clause, facts):g} s only"
        )
    else:
        value, reason, cited = Value.PASS, f"{clause.probe} stayed {limit}, at worst {_shown(worst)}", during[-1:]
    return ClauseResult(
        id=clause.id,
        kind="stays",
        value=value,
        reason=reason,
        cites=_cites(cited),
        measured={"probe": clause.probe, "limit": limit, "worst": worst, "met": met(value)},
    )


def recovered(clause: Recovered, facts: Facts) -> ClauseResult:
    """A bound that broke is kept again in time, and held."""
    fault = facts.faults[clause.fault] if clause.fault else facts.last
    start = fault.injected if clause.since == "injection" else fault.reverted
    limit = f"{'at least' if clause.at_least is not None else 'at most'} {clause.limit}"
    outcome = _recovery(clause, facts, fault, start)
    return ClauseResult(
        id=clause.id,
        kind="recovered",
        value=outcome.value,
        reason=f"{clause.probe} ({limit}): {outcome.reason}",
        cites=(*fault.cites[:1], *_cites(outcome.cited)),
        measured={
            "probe": clause.probe,
            "limit": limit,
            "within_s": clause.within,
            "since": clause.since,
            "after_lo_s": outcome.after.lo if outcome.after else None,
            "after_s": outcome.after.hi if outcome.after else None,
            "recovered_at_s": outcome.at_s,
            "met": met(outcome.value),
        },
    )


class _Outcome:
    """How a recovery went."""

    def __init__(
        self,
        value: Value,
        reason: str,
        cited: list[Point] | None = None,
        after: Span | None = None,
        at_s: float | None = None,
    ) -> None:
        self.value = value
        self.reason = reason
        self.cited = cited or []
        self.after = after
        self.at_s = at_s


def _recovery(clause: Recovered, facts: Facts, fault: FaultFacts, start: Span | None) -> _Outcome:
    if fault.inconclusive_reason is not None:
        return _Outcome(Value.UNKNOWN, fault.inconclusive_reason)
    if fault.injected is None or start is None:
        return _Outcome(Value.UNKNOWN, "the fault was never seen to be gone")
    points = series(clause, facts.journal, facts.gate_s, facts.end_s)
    earlier = [p for p in points if p.good is False and p.hi_s < fault.injected.lo]
    if earlier:
        return _Outcome(Value.UNKNOWN, f"broken at {earlier[0].hi_s:.2f} s already, before the fault", earlier)
    after = [p for p in points if p.hi_s >= fault.injected.lo]
    breaches = [p for p in after if p.good is False]
    blind = [p for p in points if p.gap and p.lo_s < fault.injected.lo]
    if blind and breaches:
        return _Outcome(Value.UNKNOWN, f"may have been broken before the fault: {blind[0].why}", blind)
    if not breaches:
        blind = [p for p in after if p.good is None]
        if blind or not after:
            return _Outcome(
                Value.UNKNOWN, f"could not be judged: {blind[0].why if blind else 'nothing measured'}", blind
            )
        return _Outcome(Value.UNKNOWN, "not exercised, it never broke", after[-1:])
    if _not_told_apart(points, breaches, fault.injected.lo):
        return _Outcome(
            Value.UNKNOWN, "not exercised: it broke around injection, and was not seen good before", breaches
        )
    last = breaches[-1]
    good = next((p for p in after if p.good and p.lo_s >= last.lo_s and p is not last and p.hi_s >= last.hi_s), None)
    if good is None:
        late = Span(last.lo_s, last.hi_s).since(start).lo > clause.within
        return _Outcome(
            Value.FAIL if late else Value.UNKNOWN,
            f"still broken at {last.hi_s:.2f} s, when observation ended" + _why(last),
            [breaches[0], last],
        )
    took = Span(last.lo_s, good.hi_s).since(start)
    value = took.within(clause.within)
    cited = [breaches[0], last, good]
    if value is not Value.FAIL:
        # A breach that nobody saw may lie in any blind stretch after it, and then it is that one which counts.
        shaky = [p for p in after if p.good is None and p.hi_s > good.hi_s]
        # A probe that is seldom read may have no reading at all in the time for which it must hold.
        held = max(p.hi_s for p in after if p.good) >= good.hi_s + clause.hold - MAX_GAP_S
        if facts.end_s < good.hi_s + clause.hold or shaky or not held:
            why = shaky[0].why if shaky else f"observation ended {facts.end_s - good.hi_s:.2f} s later"
            if not held and not shaky and facts.end_s >= good.hi_s + clause.hold:
                why = f"it is read every {_every_s(clause, facts):g} s only, and was not read again"
            return _Outcome(
                Value.UNKNOWN, f"good again {span_text(took)} on, but not seen to hold: {why}", cited, took, good.hi_s
            )
    since = "injection" if clause.since == "injection" else "revert"
    verb = {
        Value.PASS: "good again",
        Value.FAIL: "good again too late,",
        Value.UNKNOWN: "good again around its deadline,",
    }
    text = f"{verb[value]} {span_text(took)} after {since} (within {clause.within:g} s)"
    return _Outcome(value, text, cited, took, good.hi_s)


def _not_told_apart(points: list[Point], broken: list[Point], injected_s: float) -> bool:
    """Whether it may have broken before the fault: it was never seen good, and no bad window begins after injection."""
    seen_good = any(p.good and p.hi_s < injected_s for p in points)
    clear = any((p.lo_s if p.since_s is None else p.since_s) >= injected_s for p in broken)
    return not seen_good and not clear


def _every_s(bound: Bound, facts: Facts) -> float:
    return facts.journal.plan.stack.probe_every_s.get(bound.probe, 0.0)


def _unread(bound: Bound, facts: Facts, during: list[Point]) -> bool:
    """Whether a probe that is seldom read was not read between the first injection and the last revert."""
    injected, reverted = facts.injected, facts.reverted
    slow = longest_gap_s(_every_s(bound, facts)) > MAX_GAP_S
    if not slow or injected is None or not facts.journal.plan.faults_on:
        return False
    until_s = reverted.hi if reverted is not None else facts.end_s
    return not any(p.lo_s >= injected.lo and p.hi_s <= until_s for p in during if p.good is not None)


def _cites(points: list[Point]) -> tuple[int, ...]:
    """Cite the first few and the last of many."""
    shown = points if len(points) <= MAX_CITES else [*points[: MAX_CITES - 1], points[-1]]
    return tuple(dict.fromkeys(n for p in shown for n in p.cites))


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.4g}"


def _why(point: Point) -> str:
    return f": {point.why}" if point.why else ""
