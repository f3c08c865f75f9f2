"""Checks of the run: did it end properly, was its steady state met, was the harness on time, did a process die."""

from __future__ import annotations

from collections.abc import Sequence

from harness.journal.records import Journal
from harness.judge.facts import Facts
from harness.judge.machine import blamed
from harness.judge.moments import Span, but
from harness.model.answers import quantile
from harness.model.backend import FAULT_PROXY
from harness.model.expectations import CollateralResult, RunResult
from harness.model.machine import MACHINE_BUSY
from harness.model.readings import AlertsSeen, Answer, FaultSeen, Hit, ProcessSeen, Reading, Stop
from harness.model.verdict import Cause, ClauseResult, OwnCheck, Value

LATE_S = 0.1
SIGKILL = 9
STOPPED = "stopped by"
"""How the reason of a run begins that somebody stopped."""


def unknown(
    id_: OwnCheck,
    reason: str,
    cites: tuple[int, ...] = (),
    measured: RunResult | None = None,
    cause: Cause | None = None,
) -> ClauseResult:
    """Return a check of the run that failed: the run is unknown then, never failed.

    No machine is the cause of it, unless the check says so.
    """
    return ClauseResult.of(id_, Value.UNKNOWN, reason, measured or RunResult(), cites, cause or "other")


def foundations(facts: Facts) -> list[ClauseResult]:
    """Return why no clause of this run can be judged; nothing where they can."""
    found = [_no_control(facts), _gate(facts), _lateness(facts), _early_death(facts)]
    return [f for f in found if f is not None]


def ending(facts: Facts) -> ClauseResult | None:
    """Return why the run did not end properly, None if it did."""
    journal = facts.journal
    closed = journal.closed
    if closed is None or journal.cut_off:
        return unknown("ended", "the run was cut off: its journal has no end")
    if closed.reason == "aborted":
        # Why it ended is a check of its own.
        return (
            None if facts.gone else unknown("ended", "the run was aborted, and a fault was never measured to be gone")
        )
    if closed.reason == "stopped":
        return unknown("ended", _stopped(journal))
    if closed.reason == "completed":
        if not journal.plan.faults_on:
            return None
        if not facts.gone:
            return unknown("ended", "the run ended, but a fault was never measured to be gone")
        early = _observed_too_short(facts)
        return unknown("ended", early) if early is not None else None
    if closed.reason == "gate" and journal.gate is not None and not journal.gate[1].met:
        return None
    why = f"the run ended early: {closed.reason}" + (f" ({closed.error})" if closed.error else "")
    return unknown("ended", why)


def _stopped(journal: Journal) -> str:
    """Return by whom a run was stopped, and when."""
    found = journal.of(Stop)
    if not found:
        return f"{STOPPED} a latch"
    n, stop = found[-1]
    why = f" ({stop.why})" if stop.why else ""
    return f"{STOPPED} {stop.by} at {stop.since}{why}: the latch {stop.latch}, journal line {n}"


def _observed_too_short(facts: Facts) -> str | None:
    """Return which fault observation did not outlast, though the run went on to its end; None where it did.

    A fault that failed is left to the clauses: the run heals it when observation is over.
    """
    over_s = facts.journal.phase_s("observed")
    if over_s is None:
        return None
    for fault in facts.faults.values():
        if fault.injected is None or fault.reverted is None or fault.inconclusive_reason is not None:
            continue
        if fault.injected.lo >= over_s:
            return f"observation ended at {over_s:.2f} s, before the fault {fault.id!r} went in"
        if fault.reverted.hi > over_s:
            return f"observation ended at {over_s:.2f} s, while the fault {fault.id!r} was in"
    return None


def _no_control(facts: Facts) -> ClauseResult | None:
    """Return where a fault went in, or may have, in a run that is to be a control; None where none did.

    A control without faults may have marks of them where each says that nothing landed, or that it was not tried.
    """
    if facts.journal.plan.faults_on:
        return None
    signs = [(n, s.lo_s) for n, s in facts.journal.of(FaultSeen) if s.stage != "failed" and s.landed is not False]
    signs += [(n, s.at_s) for n, s in facts.journal.of(ProcessSeen) if s.asked in facts.faults]
    at = "" if not signs else f" at {min(at_s for _, at_s in signs):.2f} s"
    cites = (*(n for n, _ in signs), *(n for n, hit in facts.journal.of(Hit) if hit.rows))
    return unknown("control", f"a fault went in{at}: this is no control", cites[:1]) if cites else None


def _gate(facts: Facts) -> ClauseResult | None:
    gate = facts.journal.gate
    if gate is not None and gate[1].met:
        return None
    busy = facts.disturbed.mostly(0.0, facts.end_s if gate is None else gate[1].at_s)
    early = "the run ended before its steady state"
    reason = early if gate is None else f"the steady state was not met: {gate[1].why}"
    # The run may have seen it itself, and said so.
    named = busy is None or MACHINE_BUSY in reason
    cites = () if gate is None else (gate[0],)
    return unknown("gate", reason if named else f"{reason}; {busy}", cites, cause=blamed(busy))


def lateness_s(journal: Journal, from_s: float, to_s: float) -> tuple[float, int] | None:
    """Return the 99th percentile of the harness's own lateness, in sending or in polling, and the number of samples.

    The worse of the two: a thousand requests sent on time do not make up for alerts that were read late.
    """
    sent = [a.sent_s - a.due_s for _, a in journal.of(Answer) if from_s <= a.due_s <= to_s]
    seen: list[Reading | AlertsSeen] = [r for _, r in journal.of(Reading)]
    seen.extend(r for _, r in journal.of(AlertsSeen))
    polled = [r.asked_s - r.planned_s for r in seen if from_s <= r.planned_s <= to_s]
    found = [(quantile(late, 0.99), len(late)) for late in (sent, polled) if late]
    return max(found) if found else None


def _lateness(facts: Facts) -> ClauseResult | None:
    late = lateness_s(facts.journal, facts.gate_s, facts.end_s)
    if late is None or late[0] <= LATE_S:
        return None
    p99_ms, most_ms = round(late[0] * 1e3), round(LATE_S * 1e3)
    reason = f"harness late: its own lateness had a 99th percentile of {p99_ms} ms (at most {most_ms} ms)"
    busy = facts.disturbed.mostly(facts.gate_s, facts.end_s)
    # Whether the machine was busy as well decides the cause; of a run that stood still that is not what made it late.
    named = facts.disturbed.stopped(facts.gate_s, facts.end_s) or busy
    reason = f"{named}: {reason}" if named is not None else reason
    fault = facts.inconclusive_fault
    if fault is not None and fault.cause != "machine":
        # A run on an idle machine would be unknown as well.
        reason += f"; besides, {fault.inconclusive_reason}"
    return unknown("harness", reason, (), RunResult(p99_s=late[0], samples=late[1]), blamed(busy))


def _deaths(facts: Facts) -> list[tuple[int, ProcessSeen]]:
    return [
        (n, seen)
        for n, seen in facts.journal.of(ProcessSeen)
        if seen.what == "exited"
        and seen.asked is None
        and seen.at_s <= facts.end_s
        # A job that does its work while the stack starts, and exits with 0, did not die.
        and not (seen.exit_code == 0 and seen.at_s <= facts.gate_s)
    ]


def _early_death(facts: Facts) -> ClauseResult | None:
    injected = facts.injected
    since_s = injected.lo if injected is not None else facts.end_s
    early = [(n, d) for n, d in _deaths(facts) if d.at_s < since_s and d.service not in facts.scenario.may_die]
    if not early or not facts.journal.plan.faults_on:
        return None
    n, death = early[0]
    reason, busy = f"{death.who} died at {death.at_s:.2f} s, before injection", _killed_by_machine(facts, death)
    return unknown("death", but(reason, busy), (n,), cause=blamed(busy))


def _killed_by_machine(facts: Facts, death: ProcessSeen) -> str | None:
    """Return how the machine may have ended a process: with a signal only for a lack of memory, which kills it."""
    return facts.disturbed.behind(Span(death.at_s, death.at_s)) if death.signal in (None, SIGKILL) else None


def _died(facts: Facts, deaths: Sequence[ProcessSeen]) -> tuple[Value, str, Cause | None]:
    """Judge deaths that no fault did: by the first that nothing but the stack under the fault can be the cause of."""
    injected = facts.injected if facts.journal.plan.faults_on else None
    sure = [d for d in deaths if injected is None or d.at_s > injected.hi]
    causes = [(d, _killed_by_machine(facts, d)) for d in sure or deaths]
    first, busy = next((pair for pair in causes if pair[1] is None), causes[0])
    how = f"signal {first.signal}" if first.signal else f"exit code {first.exit_code}"
    reason = f"collateral: {first.who} died at {first.at_s:.2f} s ({how}), and no fault killed it"
    if not sure:
        return Value.UNKNOWN, but(f"{reason}; it may have died before the fault went in", busy), blamed(busy)
    return (Value.FAIL if busy is None else Value.UNKNOWN), but(reason, busy), blamed(busy)


def collateral(facts: Facts) -> ClauseResult:
    """No process dies that the fault did not kill itself, except those under `may_die`."""
    injected, faults_on = facts.injected, facts.journal.plan.faults_on
    since_s = injected.lo if injected is not None and faults_on else facts.gate_s
    excused = (*facts.scenario.may_die, FAULT_PROXY)
    deaths = [(n, d) for n, d in _deaths(facts) if d.at_s >= since_s]
    died = [(n, d) for n, d in deaths if d.service not in excused]
    proxy = [(n, d) for n, d in deaths if d.service == FAULT_PROXY]
    inconclusive = facts.inconclusive_fault
    cause: Cause | None = None
    if inconclusive is not None:
        cause = inconclusive.cause
        value, reason = Value.UNKNOWN, f"collateral: {inconclusive.inconclusive_reason}"
    elif proxy and not died:
        value, reason = Value.UNKNOWN, f"the harness's own fault proxy died at {proxy[0][1].at_s:.2f} s"
        died = proxy
    elif died:
        value, reason, cause = _died(facts, [d for _, d in died])
    else:
        value, reason = Value.PASS, "no process died except by a fault"
    measured = CollateralResult(died=tuple(d.service for _, d in died))
    return ClauseResult.of("collateral", value, reason, measured, (n for n, _ in died), cause)
