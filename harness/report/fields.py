"""A verdict and its journal turned into the fields that other programs read: the same two give the same fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.journal.records import Journal
from harness.model.verdict import ClauseResult, Value, Verdict
from harness.report.documents import (
    SCHEMA,
    Clearing,
    Detection,
    Guarantee,
    KnownWeak,
    Quality,
    QuietAlert,
    RecoveryEntry,
    RunDocument,
    RunRecord,
    Stayed,
    SuiteScenario,
)

_MET: Mapping[Value, bool | None] = {Value.PASS: True, Value.FAIL: False, Value.UNKNOWN: None}


def run_document(journal: Journal, verdict: Verdict, quality: Quality | None) -> RunDocument:
    """Return what `verdict.json` says of a run."""
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
    """Return a run that never came to a verdict: unknown, and why."""
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
        "detection": tuple(
            Detection(id=c.id, alert=_text(c, "alert"), **_timed(c)) for c in verdict.of_kind("detected")
        ),
        "quiet": tuple(q for c in verdict.of_kind("quiet") for q in _quiet(c)),
        "stays": tuple(_stayed(c) for c in verdict.of_kind("stays")),
        "recovery": tuple(
            RecoveryEntry(id=c.id, probe=_text(c, "probe"), **_timed(c)) for c in verdict.of_kind("recovered")
        ),
        "damage": verdict.damage,
        "twin": verdict.twin,
        "sabotage": verdict.sabotage,
        "caught": verdict.caught,
        "cleared": tuple(Clearing(id=c.id, alert=_text(c, "alert"), **_timed(c)) for c in verdict.of_kind("cleared")),
        "integrity": tuple(Guarantee(id=c.id, met=met(c), reason=c.reason) for c in verdict.of_kind("integrity")),
        "quality": quality,
        "known_weakness": None
        if weakness is None
        else KnownWeak(
            reason=weakness.reason,
            ticket=weakness.ticket,
            until=weakness.until.isoformat(),
        ),
    }


def met(clause: ClauseResult) -> bool | None:
    """Return whether a clause was met: what was measured says, or else its value."""
    told = clause.measured.get("met", _MET[clause.value])
    return told if isinstance(told, bool) else None


def number(clause: ClauseResult, key: str) -> float | None:
    """Return a measured number; None where it never came."""
    value = clause.measured.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(clause: ClauseResult, key: str) -> str:
    return str(clause.measured.get(key, ""))


def _timed(clause: ClauseResult) -> dict[str, Any]:
    return {key: number(clause, key) for key in ("within_s", "after_lo_s", "after_s")} | {"met": met(clause)}


def _stayed(clause: ClauseResult) -> Stayed:
    return Stayed(
        id=clause.id,
        probe=_text(clause, "probe"),
        limit=_text(clause, "limit"),
        worst=number(clause, "worst"),
        met=met(clause),
    )


def _quiet(clause: ClauseResult) -> list[QuietAlert]:
    seen = clause.measured.get("alerts", ())
    return [QuietAlert(alert=str(a["alert"]), fired=int(a["fired"]), met=a.get("met")) for a in seen]
