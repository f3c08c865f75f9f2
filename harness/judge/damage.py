"""What a run cost: counted before detection, from there to recovery, and after. Reported, never judged.

Recovery is the measured one here: the moment at which the last of the clauses of `recovered` was kept again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.judge.alert_history import answers
from harness.judge.compared import compared
from harness.judge.facts import Facts
from harness.judge.hits import rows_hit, stamps_hit
from harness.judge.lineage import versions_poisoned
from harness.model.alert_clauses import DetectionResult
from harness.model.answers import silent_wrong
from harness.model.clauses import RecoveryResult
from harness.model.ledger import Lineage
from harness.model.readings import Answer
from harness.model.units import Unit, format_amount
from harness.model.verdict import ClauseResult, Damage, FaultReport


def count(facts: Facts, clauses: Sequence[ClauseResult]) -> Damage:
    """Count the damage from the first injection to the end of observation."""
    injected = facts.injected
    if injected is None:
        return Damage()
    answers = _under_fault(facts)
    results = [c.measured for c in clauses]
    detected = [r.detected_at_s for r in results if isinstance(r, DetectionResult)]
    recovered = [r.recovered_at_s for r in results if isinstance(r, RecoveryResult)]
    detected_s = min((t for t in detected if t is not None), default=facts.end_s)
    # Recovered only once everything is.
    back = [t for t in recovered if t is not None]
    recovered_s = max(detected_s, max(back) if back and len(back) == len(recovered) else facts.end_s)
    silent = [a for a in answers if silent_wrong(a)]
    hit = stamps_hit(facts.journal)
    lineage = facts.journal.evidence("lineage")
    ledger = lineage[1].data if lineage is not None else None
    poisoned = versions_poisoned(facts, ledger).surely if isinstance(ledger, Lineage) else ()
    return Damage(
        requests=len(answers),
        failed=sum(not a.ok for a in answers),
        slow=sum(a.slow for a in answers),
        wrong_before_detection=sum(a.due_s < detected_s for a in silent),
        wrong_until_recovery=sum(detected_s <= a.due_s < recovered_s for a in silent),
        wrong_after=sum(a.due_s >= recovered_s for a in silent),
        flagged=sum(a.flagged is not None for a in answers),
        unverified=sum(a.wrong is None and a.ok for a in answers),
        seconds=len({int(max(0.0, a.due_s - injected.lo) + 1e-6) for a in answers if not a.ok or silent_wrong(a)}),
        rows_hit=rows_hit(facts.journal),
        answers_from_hit_rows=sum(any((str(a.entity), t) in hit for t in a.stamps.values()) for a in answers),
        versions_poisoned=poisoned,
    )


def _under_fault(facts: Facts) -> list[Answer]:
    """Return the answers from the first injection to the end of observation."""
    injected = facts.injected
    if injected is None:
        return []
    return [a.answer for a in facts.attributed if injected.lo <= a.at_s and a.answer.due_s <= facts.end_s]


UNNOTICED_S = 15.0
"""For how long a bound is broken that somebody should have been told of. Alerts wait before they fire."""
WORTH_SAYING = 0.01
"""The share of requests above which damage that no clause bounds is named."""
_SILENT = "silent_wrong_answers"
_KINDS: tuple[tuple[str, tuple[tuple[Callable[[Answer], bool], tuple[str, ...]], ...]], ...] = (
    ("not answered", ((lambda a: not a.ok, ("availability", "failed_requests", "slow_answers", "latency_p99")),)),
    ("slow", ((lambda a: a.slow, ("slow_answers", "latency_p99")),)),
    (
        "silently wrong or stale",
        (
            (lambda a: bool(silent_wrong(a)) and a.wrong is True, (_SILENT, "wrong_answers")),
            (lambda a: bool(silent_wrong(a)) and a.stale, (_SILENT, "stale_answers")),
        ),
    ),
    ("flagged", ((lambda a: a.flagged is not None, ("flagged_answers",)),)),
)
"""The kinds of damage: of each what it may be, and the probes of which any bounds that.

A median bounds none: half of the requests may be as bad as they like under it. The guard bounds none either: it looks
at what follows alone.
"""


def unwatched(facts: Facts) -> tuple[str, ...]:
    """Return what was done and no clause looks at: `94 % of the requests were slow`, or that no alert fired."""
    done_to, expect = _under_fault(facts), facts.scenario.expect
    probes = {clause.probe for clause in (*expect.stays, *expect.recovered)}
    found = []
    for kind, ways in _KINDS:
        seen_by = [probes & set(bounds) for _, bounds in ways]
        done = [[is_so(answer) for is_so, _ in ways] for answer in done_to]
        # What two ways are true of is looked at where either is.
        number = sum(any(one) and not any(so and seen for so, seen in zip(one, seen_by, strict=True)) for one in done)
        if number and number / len(done_to) >= WORTH_SAYING:
            found.append(f"{format_amount(number / len(done_to), Unit.RATIO)} of the requests were {kind}")
    return (*found, *_unnoticed(facts))


def _unnoticed(facts: Facts) -> list[str]:
    """Return the bounds that were broken for long while no alert fired at all, where no clause asks for any."""
    injected, expect = facts.injected, facts.scenario.expect
    if injected is None or not facts.sources or expect.detected or expect.noticed:
        return []
    polls = [poll for _, poll in facts.polls if injected.lo <= poll.asked_s < facts.end_s]
    fired = any(one.end is None or one.end.hi >= injected.lo for one in facts.episodes)
    if fired or not polls or not all(map(answers, polls)):
        return []
    found = []
    for clause in expect.recovered:
        bad = [point for point in compared(clause, facts).points if point.good is False and point.hi_s >= injected.lo]
        if bad and bad[-1].hi_s - bad[0].lo_s >= UNNOTICED_S:
            found.append(f"no alert fired while {clause.probe} was beyond its bound")
    return found


def fault_reports(facts: Facts) -> tuple[FaultReport, ...]:
    """Return each fault with its times and the evidence of its confirmation."""
    reports, plan = [], facts.journal.plan
    for step in facts.scenario.timeline:
        seen = facts.faults[step.id]
        confirmed = facts.journal.fault_stage(step.id, "confirmed")
        tried = facts.journal.fault_stage(step.id, "effect")
        proof = confirmed or tried
        reports.append(
            FaultReport(
                id=step.id,
                kind=step.fault,
                target=str(step.target),
                meant=str(plan.meant_by(step)) if plan.meant else None,
                injected_at_s=seen.injected.lo if seen.injected else None,
                confirmed_at_s=seen.confirmed_s,
                reverted_at_s=seen.reverted.hi if seen.reverted else None,
                evidence=proof[1].evidence if proof is not None else {},
            )
        )
    return tuple(reports)
