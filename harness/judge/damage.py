"""What a run cost: counted before detection, from there to recovery, and after. Reported, never judged."""

from __future__ import annotations

from harness.judge.facts import Facts
from harness.judge.integrity import versions_poisoned
from harness.model.answers import silent_wrong
from harness.model.readings import Hit
from harness.model.verdict import ClauseResult, Damage, FaultReport


def count(facts: Facts, clauses: list[ClauseResult]) -> Damage:
    """Count the damage from the first injection to the end of observation."""
    injected = facts.injected
    if injected is None:
        return Damage()
    answers = [a for _, a in facts.journal.answers if injected.lo <= a.due_s <= facts.end_s]
    detected_s = _moment(clauses, "detected", "detected_at_s", facts.end_s, first=True)
    recovered_s = max(detected_s, _moment(clauses, "recovered", "recovered_at_s", facts.end_s, first=False))
    silent = [a for a in answers if silent_wrong(a)]
    hit = {(str(row.get("entity")), row.get("event_time")) for _, h in facts.journal.of(Hit) for row in h.rows}
    lineage = facts.journal.evidence("lineage")
    poisoned = versions_poisoned(lineage[1].data) if lineage is not None and lineage[1].error is None else []
    return Damage(
        requests=len(answers),
        failed=sum(not a.ok for a in answers),
        slow=sum(a.slow for a in answers),
        wrong_before_detection=sum(a.due_s < detected_s for a in silent),
        wrong_until_recovery=sum(detected_s <= a.due_s < recovered_s for a in silent),
        wrong_after=sum(a.due_s >= recovered_s for a in silent),
        flagged=sum(a.flagged is not None for a in answers),
        unverified=sum(a.wrong is None and a.ok for a in answers),
        seconds=len({int(a.due_s - injected.lo + 1e-6) for a in answers if not a.ok or silent_wrong(a)}),
        rows_hit=sum(len(h.rows) for _, h in facts.journal.of(Hit)),
        answers_from_hit_rows=sum(any((str(a.entity), t) in hit for t in a.stamps.values()) for a in answers),
        versions_poisoned=tuple(poisoned),
    )


def _moment(clauses: list[ClauseResult], kind: str, field: str, otherwise_s: float, first: bool) -> float:
    times = [c.measured.get(field) for c in clauses if c.kind == kind]
    found = [float(t) for t in times if t is not None]
    if not found or (not first and len(found) < len(times)):
        return otherwise_s
    return min(found) if first else max(found)


def fault_reports(facts: Facts) -> tuple[FaultReport, ...]:
    """Return what became of each fault, with the evidence that it landed."""
    reports = []
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
                injected_at_s=seen.injected.lo if seen.injected else None,
                confirmed_at_s=seen.confirmed_s,
                reverted_at_s=seen.reverted.hi if seen.reverted else None,
                evidence=proof[1].evidence if proof is not None else {},
            )
        )
    return tuple(reports)
