"""A verdict and its journal turned into the fields that other programs read: the same two give the same fields."""

from __future__ import annotations

from typing import Any

from harness.journal.records import Journal
from harness.judge.kinds import KINDS
from harness.model.alert_clauses import QuietResult
from harness.model.fields import Frozen
from harness.model.verdict import ClauseResult, Value, Verdict, met
from harness.report.documents import ENTRIES, SCHEMA, KnownWeak, Quality, RunDocument, RunRecord, SuiteScenario


def run_document(journal: Journal, verdict: Verdict, quality: Quality | None) -> RunDocument:
    """Return the contents of `verdict.json`."""
    plan = journal.plan
    return RunDocument(
        **_record(journal, verdict, quality),
        schema=SCHEMA,
        run=plan.run,
        harness=journal.header.harness,
        started=journal.header.started,
        backend=plan.backend,
        seed=plan.seed,
        summary=plan.scenario.summary,
        clauses=verdict.clauses,
    )


def suite_scenario(document: RunDocument, run_dir: str, error: str | None) -> SuiteScenario:
    """Return a run as `suite.json` lists it."""
    fields = {name: getattr(document, name) for name in RunRecord.model_fields}
    return SuiteScenario(**fields, run_dir=run_dir, error=error)


def unjudged(name: str, run_dir: str, error: str | None, twin: str | None) -> SuiteScenario:
    """Return a run without a verdict: unknown, and why."""
    reason = error or "the run left no verdict"
    return SuiteScenario(
        name=name,
        verdict=Value.UNKNOWN,
        reasons=(reason,),
        twin=twin,
        caught=None,
        run_dir=run_dir,
        error=reason,
    )


def _record(journal: Journal, verdict: Verdict, quality: Quality | None) -> dict[str, Any]:
    weakness = journal.plan.scenario.known_weakness
    return {
        "name": verdict.scenario,
        "verdict": verdict.value,
        "reasons": verdict.reasons,
        "faults": verdict.faults,
        **_entries(verdict),
        "damage": verdict.damage,
        "twin": verdict.twin,
        "sabotage": verdict.sabotage,
        "caught": verdict.caught,
        "quality": quality,
        "known_weakness": None
        if weakness is None
        else KnownWeak(
            reason=weakness.reason,
            ticket=weakness.ticket,
            until=weakness.until.isoformat(),
        ),
    }


def _entries(verdict: Verdict) -> dict[str, tuple[Frozen, ...]]:
    """Return the results of each kind of expectation under its field."""
    return {
        kind.document: tuple(
            entry for clause in verdict.of_kind(kind.result.KIND) for entry in _of(clause, ENTRIES[kind.document])
        )
        for kind in KINDS
    }


def _of(clause: ClauseResult, entry: type[Frozen]) -> list[Frozen]:
    """Return the entries of one clause: one, but for quiet, which has one an alert."""
    if isinstance(clause.measured, QuietResult):
        return [entry.model_validate(dict(alert)) for alert in clause.measured.alerts]
    known = {"id": clause.id, "reason": clause.reason} | dict(clause.measured) | {"met": met(clause.value)}
    return [entry.model_validate({name: known[name] for name in entry.model_fields})]
