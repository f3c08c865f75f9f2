"""Runs a suite, judges every run, writes the reports and says how it ended."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.cli.exit_codes import BROKEN, FAIL, INTERRUPTED, PASS, UNKNOWN, say
from harness.cli.folders import clear
from harness.cli.progress import progress
from harness.cli.tables import show_table
from harness.model.errors import HarnessError
from harness.model.verdict import Value, Verdict

if TYPE_CHECKING:
    from harness.journal.records import Journal
    from harness.model.plan import Plan, Twin
    from harness.report import JudgedRun
    from harness.report.documents import SuiteDocument
    from harness.runner.run import RunOutcome

Mode = Literal["json", "text"]


def run_and_report(name: str, plans: Sequence[Plan], folder: Path, jobs: int, twin: Twin | None, mode: Mode) -> int:
    """Run the plans, and return the exit code once the report is written."""
    from harness.report import SuiteInfo, write_suite
    from harness.runner.suite import SuiteRequest, run_suite

    clear(folder)
    started, began_s = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"), time.monotonic()
    with progress([plan.run for plan in plans], mode) as shown:
        outcomes = run_suite(SuiteRequest(name, tuple(plans), folder, jobs), shown)
    wall_s = time.monotonic() - began_s
    if any(outcome.interrupted for outcome in outcomes):
        say("interrupted; writing the report of what was run")
    runs = judged(outcomes)
    suite = SuiteInfo(
        name=name,
        backend=plans[0].backend,
        seed=plans[0].seed,
        started=started,
        wall_s=wall_s,
        runs=runs,
        twin=twin,
    )
    document = write_suite(folder, suite)
    show(document, folder, mode)
    if any(outcome.interrupted for outcome in outcomes):
        return INTERRUPTED
    return exit_code(runs)


def judged(outcomes: Sequence[RunOutcome]) -> list[JudgedRun]:
    """Judge every run, each against its control where that was run too, and write its own report."""
    journals = {outcome.plan.run: _journal(outcome) for outcome in outcomes}
    controls = {o.plan.run.removesuffix("~control"): o.plan.run for o in outcomes if o.plan.twin == "control"}
    runs = []
    for outcome in outcomes:
        journal, trouble = journals[outcome.plan.run]
        beside = controls.get(outcome.plan.run)
        control = journals[beside][0] if beside is not None else None
        error = outcome.error or trouble
        runs.append(_judged(outcome.run_dir, journal, control, None if error is None else str(error)))
    return runs


def _journal(outcome: RunOutcome) -> tuple[Journal | None, HarnessError | None]:
    from harness.journal.files import read

    if outcome.interrupted and not outcome.run_dir.exists():
        return None, HarnessError("interrupted before it began")
    try:
        return read(outcome.run_dir), None
    except HarnessError as error:
        return None, error


def _judged(run_dir: Path, journal: Journal | None, control: Journal | None, error: str | None) -> JudgedRun:
    from harness.judge import judge
    from harness.report import JudgedRun, write_run

    if journal is None:
        return JudgedRun(run_dir, None, None, error)
    verdict = judge(journal, control)
    document = write_run(run_dir, journal, verdict, control)
    return JudgedRun(run_dir, journal, verdict, error, document)


def exit_code(runs: Sequence[JudgedRun]) -> int:
    """Return the code of a suite: a failure of the harness beats fail, which beats unknown, which beats pass."""
    codes = {BROKEN if run.error is not None or run.verdict is None else verdict_code(run.verdict) for run in runs}
    return next((code for code in (BROKEN, FAIL, UNKNOWN) if code in codes), PASS)


def verdict_code(verdict: Verdict) -> int:
    """Return the code of one verdict. A sabotage twin is right to fail, and wrong if nobody noticed."""
    if verdict.value is Value.UNKNOWN:
        return UNKNOWN
    if verdict.twin == "sabotage":
        return PASS if verdict.value is Value.FAIL and verdict.caught else FAIL
    return PASS if verdict.value is Value.PASS else FAIL


def show(document: SuiteDocument, folder: Path, mode: Mode) -> None:
    """Write the result: the table for people, or all of `suite.json` on one line for programs."""
    from harness.report.table import COLUMNS, row

    index = folder / "index.html"
    if mode == "json":
        data = document.model_dump(mode="json", by_alias=True)
        click.echo(json.dumps({"kind": "suite", "report": str(index), **data}))
        return
    show_table(COLUMNS, [row(run).cells for run in document.scenarios])
    for run in document.scenarios:
        for reason in run.reasons if run.verdict is not Value.PASS else ():
            click.echo(f"{run.name}: {reason}")
    counts = document.counts
    said = f"{counts.passed} pass, {counts.fail} fail, {counts.unknown} unknown in {document.wall_s:.1f} s"
    click.echo(f"{said}; report: {index}")
