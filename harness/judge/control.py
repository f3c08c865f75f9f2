"""The control twin: the same run without the fault. An alert that fires in it too does not detect the fault."""

from __future__ import annotations

from harness.journal.records import Journal
from harness.judge.facts import gather
from harness.model.alert_clauses import Detected, DetectionResult
from harness.model.verdict import ClauseResult, Value


def belongs(journal: Journal, control: Journal) -> bool:
    """Whether a control is that run's own: same scenario, same seed, same stretch of data, and no fault in it."""
    run, other = journal.plan, control.plan
    same = (run.scenario.scenario, run.seed, run.scenario.start_at, run.matrix, run.stack.name)
    return other.twin == "control" and same == (
        other.scenario.scenario,
        other.seed,
        other.scenario.start_at,
        other.matrix,
        other.stack.name,
    )


def void(found: ClauseResult, expected: Detected, control: Journal) -> ClauseResult:
    """Turn the pass of a detection into unknown where its alert fired in the control too."""
    if found.value is not Value.PASS or not isinstance(found.measured, DetectionResult):
        return found
    facts = gather(control)
    for episode in facts.episodes:
        over = episode.end is not None and episode.end.hi <= facts.gate_s
        if episode.is_of(expected.alert, expected.labels) is not False and not over:
            at_s = f"{episode.start.hi:.2f} s"
            reason = f"{expected.alert} fired in the control too, at {at_s}: it does not detect the fault"
            measured = found.measured.model_copy(update={"met": None})
            return found.model_copy(update={"value": Value.UNKNOWN, "reason": reason, "measured": measured})
    return found
