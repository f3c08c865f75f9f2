"""From checkers to one verdict: what is checked, in which order, and how the values are merged."""

from __future__ import annotations

import datetime as dt

from harness.journal.records import Journal
from harness.judge import control as controls
from harness.judge import integrity
from harness.judge.alerts import cleared, detected
from harness.judge.bounds import recovered, stays
from harness.judge.damage import count, fault_reports
from harness.judge.facts import Facts, gather
from harness.judge.quiet import flaps, quiet
from harness.judge.run_checks import collateral, ending, foundations
from harness.model.plan import Plan
from harness.model.verdict import ClauseResult, Damage, Value, Verdict, merge


def judge(journal: Journal, control: Journal | None = None) -> Verdict:
    """Judge one run. A crash of a checker makes the verdict unknown and says where; it never makes it pass."""
    try:
        return _judge(journal, control)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run was not judged
        reason = f"the judge failed: {type(error).__name__}: {error}"
        clause = ClauseResult(id="judge", kind="run", value=Value.UNKNOWN, reason=reason)
        return _verdict(journal, [clause], Damage(), Value.UNKNOWN)


def _judge(journal: Journal, control: Journal | None) -> Verdict:
    facts = gather(journal)
    unsound = foundations(facts)
    end = ending(facts)
    if unsound:
        # Nothing can be read out of a run whose ground is not sound: neither a pass nor a fail.
        clauses = [*unsound, *([end] if end else [])]
        return _verdict(journal, clauses, count(facts, []), Value.UNKNOWN, facts)
    clauses = controls.check(facts) if journal.plan.twin == "control" else _expectations(facts, control)
    clauses.extend(integrity.check(name, facts) for name in _integrity(journal.plan))
    clauses.append(collateral(facts))
    if end is not None:
        clauses.append(end)
    return _verdict(journal, clauses, count(facts, clauses), merge([c.value for c in clauses]), facts)


def _expectations(facts: Facts, control: Journal | None) -> list[ClauseResult]:
    expect = facts.scenario.expect
    found = [detected(clause, facts) for clause in expect.detected]
    if control is not None and controls.belongs(facts.journal, control):
        found = [controls.void(clause, spec, control) for clause, spec in zip(found, expect.detected, strict=True)]
    elif control is not None:
        reason = f"the control {control.plan.run!r} is not this run's: another scenario, seed or stretch of data"
        found.append(ClauseResult(id="control", kind="run", value=Value.UNKNOWN, reason=reason))
    if expect.quiet_but is not None:
        found.append(quiet(facts, expect.quiet_but))
    found.extend(stays(clause, facts) for clause in expect.stays)
    found.extend(recovered(clause, facts) for clause in expect.recovered)
    found.extend(cleared(clause, facts) for clause in expect.cleared)
    found.extend(flaps(clause, facts) for clause in expect.flaps_at_most)
    return found


def _integrity(plan: Plan) -> tuple[str, ...]:
    wanted = plan.scenario.expect.integrity
    return plan.stack.integrity if wanted is None else wanted


def _reasons(clauses: list[ClauseResult], value: Value, facts: Facts | None) -> list[str]:
    """Return why the verdict is not a pass. One doubt about a fault, on which many clauses rest, is said once."""
    if value is Value.PASS:
        return []
    reasons = [c.reason for c in clauses if c.value is value]
    doubted = facts.inconclusive_fault if facts is not None else None
    if doubted is None:
        return reasons
    resting = [r for r in reasons if str(doubted.inconclusive_reason) in r]
    if len(resting) < 2:
        return reasons
    said = f"{doubted.id}: {doubted.inconclusive_reason} ({len(resting)} expectations rest on it)"
    return [said, *(r for r in reasons if r not in resting)]


def _verdict(
    journal: Journal, clauses: list[ClauseResult], damage: Damage, value: Value, facts: Facts | None = None
) -> Verdict:
    plan = journal.plan
    reasons = _reasons(clauses, value, facts)
    weakness = plan.scenario.known_weakness if plan.twin is None else None
    if weakness is not None:
        ended = all(c.id != "ended" for c in clauses)
        value, reasons = _expected_to_fail(journal, value, reasons, ended)
    sabotage = plan.sabotage
    failed = {c.id for c in clauses if c.value is Value.FAIL}
    return Verdict(
        scenario=plan.scenario.scenario,
        value=value,
        reasons=tuple(reasons),
        clauses=tuple(clauses),
        faults=fault_reports(facts) if facts is not None else (),
        damage=damage,
        twin=plan.twin,
        sabotage=f"{sabotage.kind} {sabotage.name}" if sabotage is not None else None,
        caught=bool(sabotage.breaks) and set(sabotage.breaks) <= failed if sabotage is not None else None,
        known_weakness=f"{weakness.reason} ({weakness.ticket})" if weakness is not None else None,
    )


def _expected_to_fail(journal: Journal, value: Value, reasons: list[str], ended: bool) -> tuple[Value, list[str]]:
    """Turn the verdict of a known weakness round, strictly: passing, or the date passing, fails it."""
    weakness = journal.plan.scenario.known_weakness
    assert weakness is not None
    started = dt.datetime.fromisoformat(journal.header.started).date()
    known = f"known weakness until {weakness.until}: {weakness.reason} ({weakness.ticket})"
    if started > weakness.until:
        return Value.FAIL, [f"{known} — that date has passed", *reasons]
    if value is Value.UNKNOWN:
        return value, reasons
    if value is Value.PASS:
        return Value.FAIL, [f"{known} — but it passed; take the mark away"]
    if not ended:
        # Not even an expected failure is a pass of a run that did not come to its end.
        return Value.UNKNOWN, [f"failed as expected, {known}, but the run did not come to its end", *reasons]
    return Value.PASS, [f"failed as expected, {known}", *reasons]


__all__ = ["judge"]
