"""A suite on the command line: its progress while it runs, then its result.

The display of progress is a live table on a terminal, plain lines elsewhere, JSON lines for programs. Progress goes to
stderr, so that stdout is the result alone; with --json it goes to stdout, one object a line.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from harness.cli.exit_codes import say
from harness.cli.tables import show_table
from harness.cli.terminal import echo, echo_json, leave_closed
from harness.model.verdict import Value

if TYPE_CHECKING:
    from harness.model.plan import Plan, Twin
    from harness.report.documents import SuiteDocument
    from harness.runner.progress import Progress
    from harness.suite.pool import SuiteRequest

MOST_MARGINS = 3
Mode = Literal["json", "text"]


def run_and_print(request: SuiteRequest, twin: Twin | None, mode: Mode) -> int:
    """Run the plans, print the result and return the exit code."""
    from harness.suite.conclude import counting
    from harness.suite.suite import prepared, run_suite

    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # A terminal that is closed ends the command as Ctrl-C does, at whatever it is.
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    with prepared(request.out_dir):
        try:
            with progress(request.plans, mode) as on_progress:
                finished = run_suite(request, on_progress, say, twin)
            print_suite(finished.document, request.out_dir, mode)
        finally:  # also where the report cannot be written
            _say_what_is_left([request.out_dir / plan.run for plan in request.plans])
    counted = counting(finished.runs)
    judged = [run.verdict for run in counted if run.verdict is not None and run.interrupted is None]
    busy = sum(verdict.machine_busy for verdict in judged)
    if busy:
        say(f"the machine was too busy for {busy} of {len(counted)} runs: {_against_a_busy_machine(request)}")
    return finished.exit_code


def _say_what_is_left(runs: Sequence[Path]) -> None:
    """Say which runs may have left something in, and the command that finishes it."""
    from harness.guard.open_runs import must_be_healed
    from harness.guard.start import has_guard
    from harness.journal.undo_folder import heal_command

    for run in runs:
        why = must_be_healed(run)
        if why is not None:
            who = "its guard is at work" if has_guard(run) else "it has no guard"
            say(f"{run} was cut off: {why}; {who} — run `{heal_command(run)}`")


def _against_a_busy_machine(request: SuiteRequest) -> str:
    """Return what else can be done, of what was not done already."""
    ways = [] if request.jobs == 1 or len(request.plans) == 1 else ["run fewer at a time (-j 1)"]
    ways += [] if request.wait_for_quiet_s > 0 else ["wait for a quiet machine (--wait-for-quiet 60s)"]
    ways += [] if request.retry_busy else ["repeat such runs (--retry-busy)"]
    return ", or ".join(ways) or "other programs kept it busy all the same; stop them, or use another machine"


def print_suite(document: SuiteDocument, folder: Path, mode: Mode) -> None:
    """Print the table for people, or all of `suite.json` on one line for programs."""
    from harness.report.documents import to_json
    from harness.report.margins import nearest
    from harness.report.table import COLUMNS, row
    from harness.report.words import advice_lines, per_cent, unbounded_text

    index = folder / "index.html"
    if mode == "json":
        data = json.loads(to_json(document))
        echo_json({"kind": "suite", "report": str(index), **data}, indent=None)
        return
    show_table(COLUMNS, [row(run).cells for run in document.scenarios])
    for run in document.scenarios:
        for reason in run.reasons if run.verdict is not Value.PASS else ():
            echo(f"{run.run_dir}: {reason}")
        for line in advice_lines(run.advice):
            echo(f"{run.run_dir}: {line}")
        if run.unbounded:
            echo(f"{run.run_dir}: passed. {unbounded_text(run.unbounded)}")
    near = ", ".join(f"{run} {margin.id} {per_cent(margin.used)}" for run, margin in nearest(document)[:MOST_MARGINS])
    if near:
        echo(f"nearest to their bounds (share of the bound used): {near} (all of them: harness margins {folder})")
    counts = document.counts
    stopped = sum(run.interrupted is not None and run.verdict is Value.UNKNOWN for run in document.scenarios)
    unknown = f"{counts.unknown} unknown" + (f" ({stopped} interrupted or not run)" if stopped else "")
    summary = f"{counts.passed} pass, {counts.fail} fail, {unknown} in {document.wall_s:.1f} s"
    echo(f"{summary}; report: {index}")


class Display(Protocol):
    """Takes each step of progress as it happens."""

    def __call__(self, step: Progress, /) -> None: ...


@contextmanager
def progress(plans: Sequence[Plan], mode: Literal["json", "text"]) -> Iterator[Display]:
    """Display progress on a terminal, in a log, or as JSON."""
    if mode == "json":
        yield _json_lines
    elif sys.stderr is None or not sys.stderr.isatty():
        yield _plain_lines([plan.run for plan in plans])
    else:
        with _live(plans) as display:
            yield display


def _json_lines(step: Progress) -> None:
    data = {"kind": "progress", "run": step.run, "at_s": round(step.at_s, 3), "what": step.what, "text": step.text}
    with suppress(OSError):  # a reader that went away must not end the run
        echo_json({**data, "data": step.data}, indent=None)


def _plain_lines(runs: Sequence[str]) -> Display:
    width = max((len(run) for run in runs), default=0)

    def display(step: Progress) -> None:
        text = " ".join(step.text.split())
        with suppress(OSError):
            echo(f"{step.at_s:7.2f} s  {step.run.ljust(width)}  {step.what:7}  {text}", err=True)

    return display


@contextmanager
def _live(plans: Sequence[Plan]) -> Iterator[Display]:
    from rich.console import Console
    from rich.live import Live

    from harness.cli.live_table import LiveTable

    table = LiveTable(plans)
    console = Console(stderr=True)
    with Live(get_renderable=lambda: table.render(console.height), console=console, refresh_per_second=8):
        try:
            yield table
        finally:
            leave_closed()  # the table is drawn once more
