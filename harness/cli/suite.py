"""A suite on the command line: progress while it runs, then its result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.cli.exit_codes import say
from harness.cli.progress import progress
from harness.cli.tables import show_table
from harness.model.verdict import Value

if TYPE_CHECKING:
    from harness.model.plan import Twin
    from harness.report.documents import SuiteDocument
    from harness.suite.pool import SuiteRequest

Mode = Literal["json", "text"]


def run_and_print(request: SuiteRequest, twin: Twin | None, mode: Mode) -> int:
    """Run the plans, print the result and return the exit code."""
    from harness.suite.suite import prepare, run_suite

    prepare(request.out_dir)
    with progress([plan.run for plan in request.plans], mode) as on_progress:
        finished = run_suite(request, on_progress, say, twin)
    print_suite(finished.document, request.out_dir, mode)
    return finished.exit_code


def print_suite(document: SuiteDocument, folder: Path, mode: Mode) -> None:
    """Print the table for people, or all of `suite.json` on one line for programs."""
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
    summary = f"{counts.passed} pass, {counts.fail} fail, {counts.unknown} unknown in {document.wall_s:.1f} s"
    click.echo(f"{summary}; report: {index}")
