"""The checker of `flaps_at_most`: an alert does not start to fire again and again."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judge.alert_history import MAX_POLL_GAP_S, Episode, may_precede, refused, uncounted, unpolled
from harness.judge.evaluations import unproven
from harness.judge.facts import Facts
from harness.judge.machine import blamed
from harness.judge.moments import Span, but
from harness.judge.silence import too_seldom
from harness.model.alert_clauses import Flaps, FlapsResult
from harness.model.verdict import ClauseResult, Value, met


def flaps(clause: Flaps, facts: Facts) -> ClauseResult:
    """An alert starts firing no more often than the bound."""
    during = [e for e in facts.episodes if e.start.hi > facts.gate_s and e.start.lo <= facts.end_s]
    starts = [e for e in during if e.is_of(clause.alert, clause.labels) is not False]
    gate = Span(facts.gate_s, facts.gate_s)
    causes = [facts.disturbed.behind(e.start) for e in starts]
    own = [e for e, cause in zip(starts, causes, strict=True) if cause is None and e.start.hi <= facts.end_s]
    sure = _most_starts([e for e in own if not may_precede(e, facts.journal, gate)])[0]
    most = _most_starts(starts)[1]
    value, reason = _flaps(clause, facts, sure, most)
    fault = facts.inconclusive_fault
    busy = next(filter(None, causes), None) if fault is None and sure <= clause.at_most < most else None
    reason, cause = but(reason, busy), fault.cause if fault is not None else blamed(busy)
    measured = FlapsResult(alert=clause.alert, starts=sure, at_most=clause.at_most, met=met(value))
    return ClauseResult.of(clause.id, value, reason, measured, (n for e in starts for n in e.cites), cause)


def _flaps(clause: Flaps, facts: Facts, sure: int, most: int) -> tuple[Value, str]:
    """Compare the least and the greatest number of starts with the bound."""
    name, limit = clause.alert, f"(at most {clause.at_most})"
    if facts.inconclusive_fault is not None:
        return Value.UNKNOWN, f"{name}: {facts.inconclusive_fault.inconclusive_reason}"
    if sure > clause.at_most:
        return Value.FAIL, f"{name} started firing {sure} times {limit}"
    if most > clause.at_most:
        return Value.UNKNOWN, f"{name} started firing {sure} to {most} times {limit}"
    polls, gaps = facts.polls, facts.journal.all_gaps
    missed = unpolled(polls, facts.gate_s, facts.end_s, MAX_POLL_GAP_S, gaps, answered=True, declared=facts.sources)
    if missed:
        return Value.UNKNOWN, f"{name}: no poll was answered from {missed[0].lo:.2f} to {missed[0].hi:.2f} s"
    late = uncounted(polls, facts.gate_s, facts.end_s)
    if late is not None:
        return Value.UNKNOWN, f"{name}: {late}"
    unsure = refused(polls, facts.gate_s, facts.end_s) or unproven(polls, facts.gate_s, facts.end_s, facts.sources)
    unsure = unsure or too_seldom(facts)
    if unsure is not None:
        return Value.UNKNOWN, f"{name} started firing {most} times {limit}, but {unsure}"
    return Value.PASS, f"{name} started firing {most} times {limit}"


def _most_starts(starts: Sequence[Episode]) -> tuple[int, int]:
    """Return how often one label set started at least and at most: a counter may count several of them together.

    Each label set is an alert of its own: two replicas that fire once each do not flap. Nor do two sources that show
    the same firing: each tells its own story.
    """
    told = [_starts_in([e for e in starts if e.source == source]) for source in {e.source for e in starts}]
    return max((sure for sure, _ in told), default=0), max((most for _, most in told), default=0)


def _starts_in(starts: Sequence[Episode]) -> tuple[int, int]:
    """Return the same of one source."""
    seen = {e.alert.key: e.alert for e in starts if not e.counted}
    hidden = [e for e in starts if e.counted]
    sure, most = 0, 0
    for alert in {e.alert.key: e.alert for e in starts}.values():
        own = sum(e.alert.key == alert.key for e in starts)
        shared = [e for e in hidden if e.alert.key != alert.key and e.covers(alert)]
        # Where a counter covers only one label set that ever fired in a poll, it counts that one.
        alone = [e for e in shared if sum(e.covers(other) for other in seen.values()) == 1]
        sure, most = max(sure, own + len(alone)), max(most, own + len(shared))
    return sure, most
