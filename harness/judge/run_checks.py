"""Checks of the run itself: did it come to its end, was the steady state met, was the harness on time, did anything
die?"""

from __future__ import annotations

from harness.journal.records import Journal
from harness.judge.facts import Facts
from harness.model.answers import quantile
from harness.model.readings import AlertsSeen, Answer, ProcessSeen, Reading
from harness.model.verdict import ClauseResult, Value

LATE_S = 0.1


def _result(id_: str, value: Value, reason: str, cites: tuple[int, ...] = (), **measured: object) -> ClauseResult:
    return ClauseResult(id=id_, kind="run", value=value, reason=reason, cites=cites, measured=measured)


def foundations(facts: Facts) -> list[ClauseResult]:
    """Return what is wrong with the ground that every clause stands on; nothing where it is sound."""
    found = [_gate(facts.journal), _lateness(facts), _early_death(facts)]
    return [f for f in found if f is not None]


def ending(journal: Journal) -> ClauseResult | None:
    """Return why the run did not come to its proper end, None if it did."""
    closed = journal.closed
    if closed is None:
        return _result("ended", Value.UNKNOWN, "the run was cut off: its journal was never closed")
    if closed.reason in ("completed", "gate"):
        return None
    why = f"the run ended early: {closed.reason}" + (f" ({closed.error})" if closed.error else "")
    return _result("ended", Value.UNKNOWN, why)


def _gate(journal: Journal) -> ClauseResult | None:
    gate = journal.gate
    if gate is None:
        return _result("gate", Value.UNKNOWN, "the steady state was never judged")
    if gate[1].met:
        return None
    return _result("gate", Value.UNKNOWN, f"the steady state was not met: {gate[1].why}", (gate[0],))


def lateness_s(journal: Journal, from_s: float, to_s: float) -> tuple[float, int] | None:
    """Return the 99th percentile of the harness's own lateness in sending and polling, and over how many."""
    late: list[float] = [a.sent_s - a.due_s for _, a in journal.of(Answer) if from_s <= a.due_s <= to_s]
    polls: list[Reading | AlertsSeen] = [r for _, r in journal.of(Reading)]
    polls.extend(r for _, r in journal.of(AlertsSeen))
    late.extend(r.asked_s - r.planned_s for r in polls if from_s <= r.planned_s <= to_s)
    return (quantile(late, 0.99), len(late)) if late else None


def _lateness(facts: Facts) -> ClauseResult | None:
    late = lateness_s(facts.journal, facts.gate_s, facts.end_s)
    if late is None or late[0] <= LATE_S:
        return None
    p99_ms, most_ms = round(late[0] * 1e3), round(LATE_S * 1e3)
    reason = f"harness late: the 99th percentile of its own lateness was {p99_ms} ms (at most {most_ms} ms)"
    return _result("harness", Value.UNKNOWN, reason, (), p99_s=late[0], samples=late[1])


def _deaths(facts: Facts) -> list[tuple[int, ProcessSeen]]:
    return [
        (n, seen)
        for n, seen in facts.journal.of(ProcessSeen)
        if seen.what == "exited" and seen.asked is None and seen.at_s <= facts.end_s
    ]


def _early_death(facts: Facts) -> ClauseResult | None:
    injected = facts.injected
    since_s = injected.lo if injected is not None else facts.end_s
    early = [(n, d) for n, d in _deaths(facts) if d.at_s < since_s]
    if not early or not facts.journal.plan.faults_on:
        return None
    n, death = early[0]
    reason = f"{death.service} died at {death.at_s:.2f} s, before any fault was in"
    return _result("death", Value.UNKNOWN, reason, (n,))


def collateral(facts: Facts) -> ClauseResult:
    """No process dies that the fault did not kill itself, but those that may."""
    injected = facts.injected
    since_s = injected.lo if injected is not None else facts.gate_s
    may_die = facts.scenario.may_die
    died = [(n, d) for n, d in _deaths(facts) if d.at_s >= since_s and d.service not in may_die]
    if died:
        _, first = died[0]
        how = f"signal {first.signal}" if first.signal else f"exit code {first.exit_code}"
        value, reason = (
            Value.FAIL,
            f"collateral: {first.service} died at {first.at_s:.2f} s ({how}), and no fault killed it",
        )
    else:
        value, reason = Value.PASS, "no process died but by a fault"
    return ClauseResult(
        id="collateral",
        kind="collateral",
        value=value,
        reason=reason,
        cites=tuple(n for n, _ in died),
        measured={"died": [d.service for _, d in died]},
    )
