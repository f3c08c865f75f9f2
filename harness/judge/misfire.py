"""What a misfire has to show: with the faults where they cannot matter, nothing that should rest on them happens.

Each clause about an alert, a notice or a recovery is first judged as in the run that the scenario means. Where it
passes so, the scenario would pass whatever the fault did: it proves nothing. Beyond that a misfire is held to what a
control is: no expected alert fires, even too late, and no bound that the fault is to break is broken from the injection
on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.judge.alert_history import Episode
from harness.judge.alerts import cleared
from harness.judge.bounds import undisturbed
from harness.judge.detection import about_another, detected
from harness.judge.facts import Facts
from harness.judge.machine import blamed
from harness.judge.moments import but
from harness.judge.noticing import noticed
from harness.judge.recovery import recovered
from harness.judge.run_checks import unknown
from harness.judge.silence import first_firing, since_the_gate, unproven_silence
from harness.model.alert_clauses import AlertClause, Cleared, Detected, UnfiredResult
from harness.model.clauses import Bound, Clause, Noticed, Recovered, ShareResult, UnbrokenResult
from harness.model.verdict import Cause, ClauseResult, Value, met

PROVES_NOTHING = "the scenario proves nothing"
NO_MATTER = "though the fault could not matter"
RESTING = (Detected, Noticed, Recovered, Cleared)
"""The kinds of clause that rest on the fault: they must not pass in a misfire."""


def undetected(clause: Detected, facts: Facts) -> ClauseResult:
    """In a misfire: an alert that is to detect the fault does not fire for anything that it would be detected by."""
    fault = clause.fault or facts.first.id
    return _silent(clause, facts, fault, detected(clause, facts), "was detected", _detects(clause, facts, fault))


def uncleared(clause: Cleared, facts: Facts) -> ClauseResult:
    """In a misfire: an alert that is to fire and clear again does not fire."""
    fault = clause.fault or facts.last.id
    return _silent(clause, facts, fault, cleared(clause, facts), "fired and cleared", lambda _: True)


def _detects(clause: Detected, facts: Facts, fault: str) -> Callable[[Episode], bool]:
    return lambda episode: about_another(clause, facts, fault, episode) is None


def _silent(
    clause: AlertClause, facts: Facts, fault: str, found: ClauseResult, did: str, counts: Callable[[Episode], bool]
) -> ClauseResult:
    """Judge an alert that must not fire; `found` is the clause as the run that is meant would be judged."""
    own = [e for e in facts.episodes if e.is_of(clause.alert, clause.labels) is not False and counts(e)]
    loud, doubtful = since_the_gate(own, facts)
    sure = [e for e in loud if e.is_of(clause.alert, clause.labels)]
    others = [e for e in (*loud, *doubtful) if e not in sure]
    value, reason, cites, cause = _firing(clause, facts, fault, sure, others)
    if found.value is Value.PASS and cause != "machine" and facts.inconclusive_fault is None:
        reason = f"{clause.alert_text} {did} {NO_MATTER} ({found.reason})"
        value, reason, cites = Value.FAIL, _failed(reason, facts, fault, proves_nothing=True), found.cites
    elif value is Value.FAIL:
        reason = _failed(reason, facts, fault)
    measured = UnfiredResult(alert=clause.alert, fired_at_s=sure[0].start.hi if sure else None, met=met(value))
    return ClauseResult.of(clause.id, value, reason, measured, cites, cause)


def _firing(
    clause: AlertClause, facts: Facts, fault: str, sure: Sequence[Episode], perhaps: Sequence[Episode]
) -> tuple[Value, str, Sequence[int], Cause | None]:
    name, own, inconclusive = clause.alert_text, facts.faults[fault], facts.inconclusive_fault
    if own.inconclusive_reason is not None:
        return Value.UNKNOWN, f"{name}: {own.inconclusive_reason}", own.cites, own.cause
    if inconclusive is not None:
        return Value.UNKNOWN, f"{name}: {inconclusive.inconclusive_reason}", inconclusive.cites, inconclusive.cause
    if sure:
        first, busy = first_firing(sure, facts)
        value = Value.FAIL if busy is None else Value.UNKNOWN
        reason = f"{first.alert.key} fired at {first.start.hi:.2f} s {NO_MATTER}: it does not tell this fault"
        return value, but(reason, busy), [n for e in sure for n in e.cites], blamed(busy)
    if perhaps:
        reason = f"{name} may have fired: when, or for which labels, is not known"
        return Value.UNKNOWN, reason, perhaps[0].cites, None
    unheard = unproven_silence(facts)
    if unheard is not None:
        return Value.UNKNOWN, f"{name} may have fired: {unheard}", (), None
    return Value.PASS, f"{name} did not fire, and the rules were evaluated throughout", (), None


def unrecovered(clause: Recovered, facts: Facts) -> ClauseResult:
    """In a misfire: a bound that the fault is to break does not break, so that there is nothing to recover from."""
    return _unbroken(clause, facts, clause.fault or facts.last.id, recovered(clause, facts), "recovered")


def unnoticed(clause: Noticed, facts: Facts) -> ClauseResult:
    """In a misfire: a probe that is to notice the fault does not leave its bound."""
    return _unbroken(clause, facts, clause.fault or facts.first.id, noticed(clause, facts), "noticed the fault")


def _unbroken(clause: Bound, facts: Facts, fault: str, found: ClauseResult, did: str) -> ClauseResult:
    """Judge a bound that must not break; `found` is the clause as the run that is meant would be judged."""
    stayed = undisturbed(clause, facts)
    value, reason, cites = stayed.value, stayed.reason, stayed.cites
    # What only a busy machine broke counts for a run that is to recover; against a scenario it proves nothing.
    if found.value is Value.PASS and stayed.cause != "machine" and facts.inconclusive_fault is None:
        reason = f"{clause.probe} {did} {NO_MATTER} ({found.reason})"
        value, reason, cites = Value.FAIL, _failed(reason, facts, fault, proves_nothing=True), found.cites
    elif value is Value.FAIL:
        reason = _failed(f"{reason} {NO_MATTER}", facts, fault)
    share = stayed.measured.model_dump(include=set(ShareResult.model_fields))
    measured = UnbrokenResult(probe=clause.probe, limit=clause.limit_text, met=met(value), **share)
    return ClauseResult.of(clause.id, value, reason, measured, cites, stayed.cause)


def _failed(reason: str, facts: Facts, fault: str, *, proves_nothing: bool = False) -> str:
    """Return why a clause failed that rests on the fault.

    A target that was not declared may matter after all, where the stack description is incomplete.
    """
    reason += _unless_it_matters(facts, fault)
    return f"{PROVES_NOTHING}: {reason}" if proves_nothing else reason


def with_doubt(found: ClauseResult, facts: Facts) -> ClauseResult:
    """Return a result of a misfire; a failure says, where it does not yet, which target may matter after all."""
    if found.value is not Value.FAIL or isinstance(found.measured, UnfiredResult | UnbrokenResult):
        return found
    return found.model_copy(update={"reason": found.reason + _unless_it_matters(facts)})


def _unless_it_matters(facts: Facts, fault: str | None = None) -> str:
    """Return, as the end of a reason, which target may matter after all: one that was found, and was not declared.

    That of one `fault` where a clause is about it, else that of any. It matters where the description is incomplete.
    """
    found = [one.fault for one in facts.journal.plan.meant if one.how == "found" and fault in (None, one.fault)]
    if not found:
        return ""
    targets = " or ".join(str(facts.scenario.fault(one).target) for one in found)
    by = "it was found by the stack description, which would lack a link then"
    return f"; unless {targets} does matter: {by}"


def no_misfire(facts: Facts) -> ClauseResult | None:
    """Return why a run is neither a misfire nor another run, by its plan; None where it is one of them."""
    plan = facts.journal.plan
    if plan.twin != "misfire":
        elsewhere = bool(plan.meant) or plan.unaimed is not None
        return unknown("misfire", "the plan puts faults elsewhere, and is not that of a misfire") if elsewhere else None
    if plan.unaimed is not None:
        return unknown("misfire", plan.unaimed)
    steps = plan.scenario.timeline
    there = {one.fault for one in plan.meant} >= {step.id for step in steps}
    if not there or any(plan.meant_by(step) == step.target for step in steps):
        return unknown("misfire", "the plan does not put every fault elsewhere than the scenario means: no misfire")
    return None


def nothing_rests(clauses: Sequence[Clause]) -> ClauseResult | None:
    """Return why a misfire can show nothing: no clause of its scenario rests on the fault. None where one does."""
    if any(isinstance(clause, RESTING) for clause in clauses):
        return None
    return unknown(
        "misfire", "no clause rests on the fault (detected, noticed, recovered, cleared): a misfire can show nothing"
    )
