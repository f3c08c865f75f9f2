"""From checkers to one verdict: what is checked, in which order, how the values are merged, and what the control voids.

The control is the same run without the fault: an alert that fires in it too does not detect the fault.
"""

from __future__ import annotations

import datetime as dt

from harness.journal.records import Journal
from harness.judge.aborting import aborted
from harness.judge.advice import advise
from harness.judge.damage import count, fault_reports, unwatched
from harness.judge.facts import Facts, gather
from harness.judge.kinds import check, or_unknown
from harness.judge.machine import blamed, unseen
from harness.judge.misfire import no_misfire, nothing_rests, with_doubt
from harness.judge.moments import but
from harness.judge.noticing import void_notice
from harness.judge.run_checks import STOPPED, collateral, ending, foundations, unknown
from harness.judge.sabotage import heard
from harness.model.advice import Advice
from harness.model.alert_clauses import Detected, DetectionResult, Silence
from harness.model.backend import FAULT_PROXY
from harness.model.clauses import Clause, Noticed
from harness.model.expectations import AbortResult, CollateralResult, RunResult
from harness.model.machine import MACHINE
from harness.model.plan import Plan
from harness.model.verdict import ClauseResult, Damage, Value, Verdict, merge

KNOWN_WEAKNESS = "known weakness"
"""How the first reason begins where a known weakness itself decides: it passed, or its date has passed."""


def judge(journal: Journal, control: Journal | None = None, *, unpaired: bool = False) -> Verdict:
    """Judge one run, with its control where there is one; `unpaired` judges one of a pair without it.

    A crash outside of the checkers makes the verdict unknown and says why; it never makes it pass.
    """
    try:
        return _judge(journal, control, unpaired)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run was not judged
        reason = f"the judge failed: {type(error).__name__}: {error}"
        return _verdict(journal, [unknown("judge", reason)], Damage(), Value.UNKNOWN)


def _judge(journal: Journal, control: Journal | None, unpaired: bool) -> Verdict:
    facts = gather(journal)
    none = no_misfire(facts)
    if none is not None:
        return _verdict(journal, [none], Damage(), Value.UNKNOWN, facts)
    unsound = foundations(facts)
    end, cut = ending(facts), aborted(facts)
    if unsound:
        # No clause of such a run can be judged: neither a pass nor a fail.
        clauses = [*unsound, *([end] if end else []), *([_undecided(cut)] if cut else [])]
        return _verdict(journal, clauses, _counted(facts, [])[0], Value.UNKNOWN, facts)
    beside = None if control is None else gather(control)
    clauses = _expectations(facts, beside)
    if journal.plan.faults_on and not journal.plan.scenario.expect.all_clauses(journal.plan.stack.integrity):
        clauses.append(unknown("expectations", "the scenario expects nothing: a run of it proves nothing"))
    if journal.plan.twin == "misfire":
        resting = nothing_rests(journal.plan.scenario.expect.clauses)
        clauses += [resting] if resting is not None else []
    proof = None if beside is None else _no_proof(facts, beside)
    if proof is not None and journal.plan.faults_on:
        clauses.append(proof)
    if control is None and journal.plan.paired and not unpaired:
        clauses.append(unknown("control", "this run is one of a pair, and its control left no journal"))
    clauses.append(or_unknown("collateral", CollateralResult(), lambda: collateral(facts)))
    if end is not None:
        clauses.append(end)
    if journal.plan.twin == "misfire":
        clauses = [with_doubt(clause, facts) for clause in clauses]
    damage, uncounted = _counted(facts, clauses)
    clauses += [uncounted] if uncounted is not None else []
    unsure = end is not None or cut is not None
    if cut is not None:
        # It stands first, and for a sabotage, which passes by failing, it decides nothing.
        clauses.insert(0, _undecided(cut) if journal.plan.twin == "sabotage" else cut)
    if journal.plan.twin == "sabotage":
        judged, clauses = clauses, heard(clauses, facts)
        unsure = unsure or clauses != judged
    value = merge([c.value for c in clauses])
    if unsure and journal.plan.twin == "sabotage":
        value = Value.UNKNOWN  # it passes by failing, which neither an early end nor an alert that nobody heard may do
    if cut is not None and cut.value is Value.UNKNOWN and journal.plan.faults_on:
        value = Value.UNKNOWN  # the stack was bad without the fault, so that nothing of it is the fault's
    return _verdict(journal, clauses, damage, value, facts)


def _undecided(found: ClauseResult) -> ClauseResult:
    """Return a result of a run that nothing can be said of."""
    return found.model_copy(update={"value": Value.UNKNOWN, "cause": "other"})


def _counted(facts: Facts, clauses: list[ClauseResult]) -> tuple[Damage, ClauseResult | None]:
    """Count the damage. Where that crashes it says so, and hides no clause that failed."""
    try:
        return count(facts, clauses), None
    except Exception as error:  # noqa: BLE001 - whatever it is, the damage was not counted
        return Damage(), unknown("judge", f"the damage could not be counted: {type(error).__name__}: {error}")


def _expectations(facts: Facts, control: Facts | None) -> list[ClauseResult]:
    found: list[ClauseResult] = []
    paired = control if control is not None and _is_control_of(facts.journal, control.journal) else None
    for clause in _clauses(facts):
        result = check(clause, facts)
        if result is not None and isinstance(clause, Detected) and paired is not None:
            result = _compared(result, clause, facts, paired)
        if result is not None and isinstance(clause, Noticed) and paired is not None:
            result = void_notice(result, clause, facts, paired)
        if result is not None:
            found.append(result)
    if control is not None and paired is None and facts.journal.plan.faults_on:
        other = "another scenario, seed, stretch of data or set of alerts"
        found.append(unknown("control", f"the control {control.journal.plan.run!r} is not this run's: {other}"))
    return found


def _is_control_of(journal: Journal, control: Journal) -> bool:
    """Whether a control is that run's own: same scenario, seed, stretch of data and alerts, and no fault in it."""
    return control.plan.twin == "control" and _identity(journal.plan) == _identity(control.plan)


def _identity(plan: Plan) -> tuple[object, ...]:
    """Return what a run and its control have in common. A test's faults last as long as its own code takes."""
    scenario, stack = plan.scenario, plan.stack
    faults = [(step.id, step.fault, step.target) for step in scenario.timeline]
    expected = [clause.id for clause in scenario.expect.clauses]
    alerts = (set(stack.alerts), set(stack.alert_sources))
    return (scenario.scenario, plan.seed, scenario.start_at, plan.matrix, stack.name, alerts, faults, expected)


def _void_detection(found: ClauseResult, expected: Detected, run: Facts, control: Facts) -> ClauseResult:
    """Turn the pass of a detection into unknown where its alert fired in the control too."""
    if found.value is not Value.PASS or not isinstance(found.measured, DetectionResult):
        return found
    reason, cause = None, None
    detected_s = found.measured.detected_at_s
    if detected_s is not None and run.gate_s + control.end_s - control.gate_s < detected_s:
        reason = f"the control ended before {detected_s:.2f} s, when {expected.alert} fired: it proves nothing"
    for episode in control.episodes:
        if episode.start.lo > control.end_s:
            continue  # it began when the control's observation was over
        over = episode.end is not None and episode.end.hi <= control.gate_s
        if episode.is_of(expected.alert, expected.labels) is not False and not over:
            at_s = f"{episode.start.hi:.2f} s"
            reason = f"{expected.alert} fired in the control too, at {at_s}: it does not detect the fault"
            busy = control.disturbed.behind(episode.start)
            reason, cause = but(reason, busy), blamed(busy)
            break
    if reason is None:
        return found
    measured = found.measured.model_copy(update={"met": None})
    told = {"value": Value.UNKNOWN, "reason": reason, "cause": cause or "other", "measured": measured}
    return found.model_copy(update=told)


def _has_alerts(facts: Facts) -> bool:
    """Whether the stack has alerts that could be read."""
    return bool(facts.sources or facts.polls or facts.journal.plan.stack.alerts)


def _no_proof(run: Facts, control: Facts) -> ClauseResult | None:
    """Return why a control does not prove that an alert was silent without the fault; None where it does.

    Whether there are alerts is asked of both: a control that was to read none proves nothing of a run that read some.
    """
    quiet = check(Silence(), control) if _has_alerts(run) or _has_alerts(control) else None
    end = ending(control)
    doubts = [*foundations(control), *([end] if end is not None else []), *([quiet] if quiet is not None else [])]
    doubt = next((result for result in doubts if result.value is Value.UNKNOWN), None)
    if doubt is not None:
        return unknown("control", f"the control proves nothing: {doubt.reason}", cause=doubt.cause)
    unread = sorted({poll.source for _, poll in run.polls} - {poll.source for _, poll in control.polls})
    return unknown("control", f"the control proves nothing: {unread[0]} was never polled in it") if unread else None


def _compared(result: ClauseResult, clause: Detected, run: Facts, control: Facts) -> ClauseResult:
    return or_unknown(clause.id, clause.unmeasured(), lambda: _void_detection(result, clause, run, control))


def _clauses(facts: Facts) -> tuple[Clause, ...]:
    """Return what is judged of a run; in a control no alert may fire, whatever the scenario expects of alerts."""
    plan = facts.journal.plan
    clauses = plan.clauses
    if plan.faults_on or not _has_alerts(facts):
        return clauses
    return (Silence(), *(clause for clause in clauses if not isinstance(clause, Silence)))


def _reasons(clauses: list[ClauseResult], value: Value, facts: Facts | None) -> list[str]:
    """Return why the verdict is not a pass: first what ended the run before its time, if anything did."""
    chosen = [c for c in clauses if c.value is value and value is not Value.PASS]
    first = [c for c in chosen if c.kind == AbortResult.KIND or c.reason.startswith(STOPPED)]
    return [*(c.reason for c in first), *_other_reasons([c for c in chosen if c not in first], facts)]


def _other_reasons(chosen: list[ClauseResult], facts: Facts | None) -> list[str]:
    """Return the reasons of these clauses. An unconfirmed fault on which several of them rest is one reason."""
    reasons = [c.reason for c in chosen]
    inconclusive = facts.inconclusive_fault if facts is not None else None
    if facts is None or inconclusive is None:
        return reasons
    resting = [c for c in chosen if str(inconclusive.inconclusive_reason) in c.reason]
    if len(resting) < 2:
        return reasons
    shared = f"{inconclusive.id}: {inconclusive.inconclusive_reason} ({len(resting)} clauses rest on it)"
    busy = facts.disturbed.mostly(*facts.under_fault) if all(c.cause == "machine" for c in resting) else None
    shared = f"{shared}; {busy}" if busy is not None else shared
    return [shared, *(c.reason for c in chosen if c not in resting)]


def _machine(found: ClauseResult, facts: Facts) -> ClauseResult:
    """Name the machine in a clause that is unknown for no cause that is known, where it was busy for long while the
    clause was observed.
    """
    busy = facts.disturbed.mostly(*facts.under_fault)
    if found.value is not Value.UNKNOWN or found.cause is not None or busy is None:
        return found
    return found.model_copy(update={"reason": f"{found.reason}; {busy}", "cause": "machine"})


def _verdict(
    journal: Journal, clauses: list[ClauseResult], damage: Damage, value: Value, facts: Facts | None = None
) -> Verdict:
    plan = journal.plan
    if facts is not None:
        clauses = [_machine(c, facts) for c in clauses]
    reasons = _reasons(clauses, value, facts)
    weakness = plan.scenario.known_weakness if plan.twin is None else None
    if weakness is not None:
        ended = all(c.id != "ended" for c in clauses)
        value, reasons = _expected_to_fail(journal, clauses, value, reasons, ended)
    note = unseen(journal.gaps(MACHINE), facts.end_s) if facts is not None else None
    sabotage = plan.sabotage
    passed = value is Value.PASS and plan.faults_on and weakness is None
    unbounded = unwatched(facts) if passed and facts is not None else ()
    advice, unadvised = _advised(facts, clauses, value)
    notes = [one for one in (note, unadvised) if one is not None]
    failed = {c.id for c in clauses if c.value is Value.FAIL}
    return Verdict(
        scenario=plan.scenario.scenario,
        value=value,
        reasons=(*reasons, *notes),
        clauses=tuple(clauses),
        faults=fault_reports(facts) if facts is not None else (),
        damage=damage,
        twin=plan.twin,
        sabotage=f"{sabotage.kind} {sabotage.name}" if sabotage is not None else None,
        caught=bool(sabotage.breaks) and set(sabotage.breaks) <= failed if sabotage is not None else None,
        known_weakness=f"{weakness.reason} ({weakness.ticket})" if weakness is not None else None,
        unbounded=unbounded,
        advice=advice,
    )


def _advised(facts: Facts | None, clauses: list[ClauseResult], value: Value) -> tuple[tuple[Advice, ...], str | None]:
    """Return the advice, or why there is none although there may be: the verdict stands without it."""
    if facts is None:
        return (), None
    try:
        return advise(facts, clauses, value), None
    except Exception as error:  # noqa: BLE001 - whatever it is, no advice was found
        return (), f"no advice: its rules failed: {type(error).__name__}: {error}"


def _expected_to_fail(
    journal: Journal, clauses: list[ClauseResult], value: Value, reasons: list[str], ended: bool
) -> tuple[Value, list[str]]:
    """Invert the verdict of a known weakness, strictly: a clause of it that passes, another one that fails, or the date
    passing, fails the run, whatever else is unknown. Journals from before clauses were named expect any failure.
    """
    weakness = journal.plan.scenario.known_weakness
    assert weakness is not None
    started = dt.datetime.fromisoformat(journal.header.started).date()
    known = f"{KNOWN_WEAKNESS} until {weakness.until}: {weakness.reason} ({weakness.ticket})"
    if started > weakness.until:
        return Value.FAIL, [f"{known}: that date has passed", *reasons]
    named = weakness.clauses
    others = [c for c in clauses if c.id not in named and c.value is not Value.PASS] if named else []
    failed = [c.reason for c in others if c.value is Value.FAIL]
    if failed:
        return Value.FAIL, failed
    passed = [c.id for c in clauses if c.id in named and c.value is Value.PASS]
    if passed and not any(_leaves_passes_open(c) for c in clauses):
        return Value.FAIL, [f"{known}: {', '.join(passed)} passed; remove it from known_weakness", *reasons]
    open_ones = [c.reason for c in clauses if c.value is Value.UNKNOWN]
    if named and open_ones:
        return Value.UNKNOWN, open_ones
    if value is Value.UNKNOWN:
        return value, reasons
    if value is Value.PASS:
        return Value.FAIL, [f"{known}: it passed; remove known_weakness"]
    if not ended:
        # Not even an expected failure is a pass of a run that did not end properly.
        return Value.UNKNOWN, [f"failed as expected, {known}, but the run did not end properly", *reasons]
    return Value.PASS, [f"failed as expected, {known}", *reasons]


def _leaves_passes_open(found: ClauseResult) -> bool:
    """Whether a clause that passed may not have, had all of the run been seen: it is the run itself that is unknown."""
    proxy_died = isinstance(found.measured, CollateralResult) and FAULT_PROXY in found.measured.died
    return found.value is Value.UNKNOWN and (isinstance(found.measured, RunResult) or proxy_died)
