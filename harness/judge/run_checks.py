"""Checks of the run: did it end properly, was its steady state met, was the harness on time, did a process die."""

from __future__ import annotations

from harness.journal.records import Journal
from harness.judge.facts import Facts
from harness.judge.moments import Span, but
from harness.model.answers import quantile
from harness.model.backend import FAULT_PROXY
from harness.model.expectations import CollateralResult, RunResult
from harness.model.readings import AlertsSeen, Answer, ProcessSeen, Reading
from harness.model.verdict import ClauseResult, Value

LATE_S = 0.1
SIGKILL = 9


def unknown(id_: str, reason: str, cites: tuple[int, ...] = (), measured: RunResult | None = None) -> ClauseResult:
    """Return a check of the run that failed: the run is unknown then, never failed."""
    return ClauseResult.of(id_, Value.UNKNOWN, reason, measured or RunResult(), cites)


def foundations(facts: Facts) -> list[ClauseResult]:
    """Return why no clause of this run can be judged; nothing where they can."""
    found = [_gate(facts.journal), _lateness(facts), _early_death(facts)]
    return [f for f in found if f is not None]


def ending(facts: Facts) -> ClauseResult | None:
    """Return why the run did not end properly, None if it did."""
    journal = facts.journal
    closed = journal.closed
    if closed is None or journal.cut_off:
        return unknown("ended", "the run was cut off: its journal has no end")
    if closed.reason == "completed":
        if facts.gone or not journal.plan.faults_on:
            return None
        return unknown("ended", "the run ended, but a fault was never measured to be gone")
    if closed.reason == "gate" and journal.gate is not None and not journal.gate[1].met:
        return None
    why = f"the run ended early: {closed.reason}" + (f" ({closed.error})" if closed.error else "")
    return unknown("ended", why)


def _gate(journal: Journal) -> ClauseResult | None:
    gate = journal.gate
    if gate is None:
        return unknown("gate", "the run ended before its steady state")
    if gate[1].met:
        return None
    return unknown("gate", f"the steady state was not met: {gate[1].why}", (gate[0],))


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
    busy = facts.disturbed.mostly()
    reason = f"{busy}: {reason}" if busy is not None else reason
    return unknown("harness", reason, (), RunResult(p99_s=late[0], samples=late[1]))


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
    early = [(n, d) for n, d in _deaths(facts) if d.at_s < since_s]
    if not early or not facts.journal.plan.faults_on:
        return None
    n, death = early[0]
    reason = f"{death.service} died at {death.at_s:.2f} s, before injection"
    return unknown("death", reason, (n,))


def collateral(facts: Facts) -> ClauseResult:
    """No process dies that the fault did not kill itself, except those under `may_die`."""
    injected, faults_on = facts.injected, facts.journal.plan.faults_on
    since_s = injected.lo if injected is not None and faults_on else facts.gate_s
    excused = (*facts.scenario.may_die, FAULT_PROXY)
    deaths = [(n, d) for n, d in _deaths(facts) if d.at_s >= since_s]
    died = [(n, d) for n, d in deaths if d.service not in excused]
    proxy = [(n, d) for n, d in deaths if d.service == FAULT_PROXY]
    inconclusive = facts.inconclusive_fault
    if inconclusive is not None:
        value, reason = Value.UNKNOWN, f"collateral: {inconclusive.inconclusive_reason}"
    elif proxy and not died:
        value, reason = Value.UNKNOWN, f"the harness's own fault proxy died at {proxy[0][1].at_s:.2f} s"
        died = proxy
    elif died:
        # Nothing but a lack of memory makes a machine kill: other signals are the stack's own.
        causes = [
            facts.disturbed.behind(Span(d.at_s, d.at_s)) if d.signal in (None, SIGKILL) else None for _, d in died
        ]
        first, cause = next(
            ((d, why) for (_, d), why in zip(died, causes, strict=True) if why is None), (died[0][1], causes[0])
        )
        how = f"signal {first.signal}" if first.signal else f"exit code {first.exit_code}"
        value = Value.FAIL if cause is None else Value.UNKNOWN
        reason = but(f"collateral: {first.service} died at {first.at_s:.2f} s ({how}), and no fault killed it", cause)
    else:
        value, reason = Value.PASS, "no process died except by a fault"
    measured = CollateralResult(died=tuple(d.service for _, d in died))
    return ClauseResult.of("collateral", value, reason, measured, (n for n, _ in died))
