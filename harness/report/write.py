"""What a run and a suite leave behind: the fields that other programs read, and the files themselves.

The same verdict and journal give the same fields. Files are written whole or not at all, so that a reader never finds
half of one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.journal.records import Journal
from harness.judge.kinds import KINDS
from harness.model.alert_clauses import QuietResult
from harness.model.errors import HarnessError
from harness.model.fields import Frozen
from harness.model.verdict import ClauseResult, Value, Verdict, met
from harness.report.ci import junit_xml, summary_md
from harness.report.documents import (
    ENTRIES,
    SCHEMA,
    Counts,
    Interruption,
    KnownWeak,
    MarginEntry,
    Quality,
    RunDocument,
    RunRecord,
    SuiteDocument,
    SuiteScenario,
    to_json,
)
from harness.report.quality import quality
from harness.report.run_page import run_html
from harness.report.suite_page import suite_html, thumbnail_svg


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


def suite_scenario(
    document: RunDocument, run_dir: str, error: str | None, interrupted: Interruption | None = None
) -> SuiteScenario:
    """Return a run as `suite.json` lists it."""
    fields = {name: getattr(document, name) for name in RunRecord.model_fields}
    return SuiteScenario(**fields, run_dir=run_dir, error=error, interrupted=interrupted, repeated_by=None)


def unjudged(
    name: str, run_dir: str, error: str | None, twin: str | None, interrupted: Interruption | None = None
) -> SuiteScenario:
    """Return a run without a verdict: unknown, and why."""
    stopped = None if interrupted is None else f"{interrupted}: the suite was interrupted"
    reason = error or stopped or "the run left no verdict"
    return SuiteScenario(
        name=name,
        verdict=Value.UNKNOWN,
        reasons=(reason,),
        twin=twin,
        caught=None,
        run_dir=run_dir,
        error=None if stopped == reason else reason,
        interrupted=interrupted,
        repeated_by=None,
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
        "unbounded": verdict.unbounded,
        "margins": _margins(verdict),
        "advice": verdict.advice,
        "known_weakness": None
        if weakness is None
        else KnownWeak(
            reason=weakness.reason,
            ticket=weakness.ticket,
            until=weakness.until.isoformat(),
        ),
    }


def _margins(verdict: Verdict) -> tuple[MarginEntry, ...]:
    found = [MarginEntry(id=c.id, kind=c.kind, used=c.used) for c in verdict.clauses if c.used is not None]
    return tuple(sorted(found, key=lambda margin: (-margin.used, margin.id)))


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


@dataclass(frozen=True)
class JudgedRun:
    """One run of a suite. `error` is a failure of the harness itself; then there may be no journal and no verdict.

    `document` is what `write_run` returned; without it the fields are made anew, without a comparison with a control.
    """

    run_dir: Path
    journal: Journal | None
    verdict: Verdict | None
    error: str | None = None
    document: RunDocument | None = None
    interrupted: Interruption | None = None


@dataclass(frozen=True)
class SuiteInfo:
    """A suite that has come to its end."""

    name: str
    backend: str
    seed: int
    started: str
    wall_s: float
    runs: list[JudgedRun]
    twin: str | None = None


def write_run(run_dir: Path, journal: Journal, verdict: Verdict, control: Journal | None = None) -> RunDocument:
    """Write a run's `verdict.json` and `report.html`. Raises HarnessError where the disk does not take them."""
    document = run_document(journal, verdict, quality(journal, verdict, control))
    _write(run_dir / "verdict.json", to_json(document))
    _write(run_dir / "report.html", run_html(run_dir, journal, verdict, document))
    return document


def write_suite(out_dir: Path, suite: SuiteInfo) -> SuiteDocument:
    """Write `suite.json`, `junit.xml`, `summary.md` and `index.html` of a suite whose runs are written."""
    listed = [_scenario(out_dir, run, suite.twin) for run in suite.runs]
    plans = [run.journal.plan for run in suite.runs if run.journal is not None]
    repeated = {plan.repeats: plan.run for plan in plans if plan.repeats is not None}
    scenarios = [s.model_copy(update={"repeated_by": repeated.get(Path(s.run_dir).name)}) for s in listed]
    counting = [s for s in scenarios if s.repeated_by is None]
    document = SuiteDocument(
        schema=SCHEMA,
        suite=suite.name,
        backend=suite.backend,
        seed=suite.seed,
        started=suite.started,
        wall_s=round(suite.wall_s, 3),
        counts=Counts(**{v.value: sum(s.verdict is v for s in counting) for v in Value}),
        scenarios=tuple(scenarios),
        twin=suite.twin,
        errors=sum(s.error is not None for s in counting),
    )
    folders = [s.run_dir for s in scenarios]
    times_s = {
        f: r.journal.lines[-1].t_s for f, r in zip(folders, suite.runs, strict=True) if r.journal and r.journal.lines
    }
    pictures = {
        f: thumbnail_svg(r.journal, r.verdict)
        for f, r in zip(folders, suite.runs, strict=True)
        if r.journal is not None and r.verdict is not None
    }
    reports = {f for f, r in zip(folders, suite.runs, strict=True) if (r.run_dir / "report.html").is_file()}
    _write(out_dir / "suite.json", to_json(document))
    _write(out_dir / "junit.xml", junit_xml(document, times_s))
    _write(out_dir / "summary.md", summary_md(document))
    _write(out_dir / "index.html", suite_html(document, pictures, reports))
    return document


def _scenario(out_dir: Path, run: JudgedRun, twin: str | None) -> SuiteScenario:
    folder = Path(os.path.relpath(run.run_dir, out_dir)).as_posix()
    if run.journal is None or run.verdict is None:
        name = run.journal.plan.scenario.scenario if run.journal is not None else run.run_dir.name
        return unjudged(name, folder, run.error, twin, run.interrupted)
    document = run.document or run_document(run.journal, run.verdict, quality(run.journal, run.verdict))
    return suite_scenario(document, folder, run.error, run.interrupted)


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)  # whatever it leads to is not ours
        with beside.open("x", encoding="utf-8", errors="replace") as file:
            file.write(text)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise HarnessError(
            f"the report cannot be written: {error.strerror or error}",
            file=str(path),
            remedy="choose a place that can be written and has room with --reports",
        ) from error
