"""What a guardrail makes of a run: a failure where a fault had gone in before it was crossed, else unknown.

A rule of `abort_if` says what the stack must never come to. Where it came to that with a fault in, or after one, the
run fails, whatever its clauses say. Where no fault was in yet, or it was so before the first one, the stack is bad
without us: nothing follows for the scenario.
"""

from __future__ import annotations

from harness.judge.facts import Facts
from harness.model.answers import ANSWER_PROBES
from harness.model.expectations import AbortResult
from harness.model.readings import Abort
from harness.model.series import window_point
from harness.model.verdict import ClauseResult, Value

ABORTED = "aborted by guardrail"
"""How the reason of a run begins that crossed one."""


def aborted(facts: Facts) -> ClauseResult | None:
    """Return what became of the guardrail that was crossed; None where none was."""
    found = facts.journal.of(Abort)
    closed = facts.journal.closed
    if not found:
        if closed is None or closed.reason != "aborted":
            return None
        reason = f"{ABORTED}, and the journal does not say which: it could not be written"
        return ClauseResult.of("aborted", Value.UNKNOWN, reason, AbortResult(), (), "other")
    n, crossed = found[0]
    text = f"{ABORTED}: {crossed.rule} ({crossed.measured} at {crossed.at_s:.2f} s, journal line {n})"
    measured = AbortResult(rule=crossed.rule, measured=crossed.measured, at_s=crossed.at_s)
    doubt = _doubt(crossed, facts)
    value = Value.FAIL if doubt is None else Value.UNKNOWN
    reason = text if doubt is None else f"{text}; {doubt}"
    return ClauseResult.of("aborted", value, reason, measured, (n, *crossed.lines), "other")


def _doubt(crossed: Abort, facts: Facts) -> str | None:
    """Return why the faults need not have brought it about; None where they had the time to."""
    injected = facts.injected if facts.journal.plan.faults_on else None
    if injected is None or injected.lo > crossed.at_s:
        return "no fault was in: the stack was bad without one"
    if crossed.why == "probe" and _held_before(crossed, facts, injected.lo):
        return "it was so before the first fault went in"
    if crossed.why == "alert" and _fired_before(crossed, facts, injected.lo):
        return "it fired before the first fault went in"
    return None


def _held_before(crossed: Abort, facts: Facts, injected_s: float) -> bool:
    """Whether the rule held already for the last answers, or the last reading, before the first injection."""
    rules = (rule for rule in facts.journal.plan.abort_if if rule.text == crossed.rule)
    bound = next((rule.bound for rule in rules if rule.bound is not None), None)
    if bound is None:
        return False
    probe = ANSWER_PROBES.get(bound.probe)
    if probe is None:
        before = [seen for _, seen in facts.journal.readings(bound.probe) if seen.answered_s < injected_s]
        last = before[-1] if before else None
        return last is not None and (last.down is not None or (last.value is not None and bound.met_by(last.value)))
    window = [(n, a) for n, a in facts.answers if injected_s - bound.over < a.due_s and a.done_s < injected_s]
    return window_point(bound, probe, window, injected_s).good is True


def _fired_before(crossed: Abort, facts: Facts, injected_s: float) -> bool:
    """Whether one of the alert's label sets fired already in the last poll before the first injection."""
    last = {seen.source: seen for _, seen in facts.polls if seen.answered_s < injected_s and seen.down is None}
    return any(alert.key == crossed.measured for seen in last.values() for alert in seen.firing)
