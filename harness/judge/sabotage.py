"""What a sabotage of an alert has to show: its alert source was heard while the alert had to fire, and was silent.

A source that gives no answer, or whose rules stand still, fails a run that is to detect its fault. Of a rule that was
switched off it shows nothing: the alert would not have been seen with the rule on either.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.judge.alert_history import unpolled
from harness.judge.evaluations import unproven
from harness.judge.facts import Facts
from harness.model.alert_clauses import Detected, DetectionResult
from harness.model.alertsources import MAX_RULE_SILENCE_S
from harness.model.verdict import ClauseResult, Value


def heard(results: Sequence[ClauseResult], facts: Facts) -> list[ClauseResult]:
    """Return the results of a sabotage; a detection that it must break is unknown where its alert was not heard."""
    sabotage = facts.journal.plan.sabotage
    broken = {} if sabotage is None else {c.id: c for c in facts.scenario.expect.detected if c.id in sabotage.breaks}
    return [_unless_unheard(one, broken[one.id], facts) if one.id in broken else one for one in results]


def _unless_unheard(found: ClauseResult, clause: Detected, facts: Facts) -> ClauseResult:
    unheard = _unheard(clause, facts) if found.value is Value.FAIL else None
    if unheard is None or not isinstance(found.measured, DetectionResult):
        return found
    reason = f"{found.reason}; this does not show that the sabotage was caught: {unheard}"
    measured = found.measured.model_copy(update={"met": None})
    return found.model_copy(update={"value": Value.UNKNOWN, "reason": reason, "measured": measured})


def _unheard(clause: Detected, facts: Facts) -> str | None:
    """Return when an alert source was not heard before the deadline of a detection; None where all were."""
    fault = facts.faults[clause.fault] if clause.fault else facts.first
    if fault.injected is None:
        return None
    from_s = fault.injected.hi
    until_s = min(from_s + clause.within, facts.end_s)
    # In a short time an alert may fire between two answers: there must be one in each half of it.
    longest_s = min(MAX_RULE_SILENCE_S, (until_s - from_s) / 2)
    unanswered = unpolled(facts.polls, from_s, until_s, longest_s, answered=True, declared=facts.sources)
    if unanswered:
        lo_s, hi_s = unanswered[0].lo, unanswered[0].hi
        return f"an alert source gave no answer from {lo_s:.2f} to {hi_s:.2f} s"
    telling = {poll.source for _, poll in facts.polls if poll.evaluations is not None}
    told = [pair for pair in facts.polls if pair[1].source in telling]
    return unproven(told, from_s, until_s, ()) if told else None
