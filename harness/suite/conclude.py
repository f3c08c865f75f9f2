"""From a run's folder to its verdict and its report, with its control where there is one.

This is the only place that judges: what ran a moment ago, in another process or last year is concluded by the same
function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.journal.files import NAME as JOURNAL
from harness.journal.files import read
from harness.journal.records import Journal, parse
from harness.model.errors import HarnessError, JournalError
from harness.model.plan import Plan
from harness.model.verdict import Verdict
from harness.suite.folders import run_folder
from harness.suite.rules import with_error, with_interruption

if TYPE_CHECKING:
    from harness.report import JudgedRun
    from harness.report.documents import Interruption, RunDocument


@dataclass(frozen=True)
class StoredRun:
    """The folder of a run, with its journal as far as it can be read. `error` says what failed in the harness."""

    run_dir: Path
    journal: Journal | None
    error: HarnessError | None = None
    interrupted: Interruption | None = None
    """Whether its suite was stopped before it began, or before it was over."""

    @property
    def plan(self) -> Plan | None:
        """The plan in the journal."""
        return self.journal.plan if self.journal is not None else None


@dataclass(frozen=True)
class ConcludedRun:
    """A run with its verdict. `error` is a failure of the harness; then journal and verdict may be missing.

    They are missing, too, of a run that did not begin before the suite was `interrupted`.
    """

    run_dir: Path
    journal: Journal | None = None
    verdict: Verdict | None = None
    document: RunDocument | None = None
    error: HarnessError | None = None
    interrupted: Interruption | None = None

    @property
    def plan(self) -> Plan | None:
        """The plan in the journal."""
        return self.journal.plan if self.journal is not None else None

    @property
    def reported(self) -> JudgedRun:
        """The run as the report of its suite takes it."""
        from harness.report import JudgedRun

        error = None if self.error is None else str(self.error)
        return JudgedRun(self.run_dir, self.journal, self.verdict, error, self.document, self.interrupted)


def stored_run(run_dir: Path, error: HarnessError | None = None) -> StoredRun:
    """Read a run's journal. A journal that cannot be read is an error of the run, unless it has one already."""
    try:
        return StoredRun(run_dir, read(run_dir), error)
    except JournalError as unreadable:
        return StoredRun(run_dir, None, error or unreadable)


def conclude(
    run: StoredRun,
    control: Journal | None = None,
    *,
    report: bool = True,
    written: RunDocument | None = None,
    error: HarnessError | None = None,
    unpaired: bool = False,
) -> ConcludedRun:
    """Judge a run, as a pair where its control is given, and write its report. Raises HarnessError for a bad disk.

    `written` is the report that an earlier call wrote, kept if its verdict still stands; `error` what has failed since
    the run ended. `unpaired` judges one of a pair without its control.
    """
    from harness.judge import judge

    failed = run.error or error
    if run.journal is None:
        return ConcludedRun(run.run_dir, error=failed, interrupted=run.interrupted)
    verdict = with_error(judge(run.journal, control, unpaired=unpaired), failed)
    closed = run.journal.closed
    if run.interrupted is not None and (closed is None or closed.reason != "stopped"):  # that one says so by itself
        verdict = with_interruption(verdict, closed.error if closed is not None else None)
    if report and (written is None or written.verdict is not verdict.value):
        from harness.report import write_run

        written = write_run(run.run_dir, run.journal, verdict, control)
    return ConcludedRun(run.run_dir, run.journal, verdict, written, failed, run.interrupted)


def judge_again(run: Path, control: Path | None = None, *, unpaired: bool = False) -> Verdict:
    """Judge a stored run from its journal alone, with the given control or the one in its suite.

    Raises JournalError, ScenarioError for a path that is no run.
    """
    folder = run_folder(run)
    stored = StoredRun(folder, read(folder))
    if control is not None:
        beside: Path | None = run_folder(control)
    else:
        beside = None if unpaired else _control_beside(stored)
    control_journal = read(beside) if beside is not None else None
    verdict = conclude(stored, control_journal, report=False, unpaired=unpaired).verdict
    assert verdict is not None
    return verdict


def _control_beside(run: StoredRun) -> Path | None:
    """Return the folder of a run's control in the same suite; None where there is none."""
    if run.plan is None or run.plan.twin is not None:
        return None
    for journal in sorted(run.run_dir.resolve().parent.glob(f"*/{JOURNAL}")):
        if not journal.is_file():
            continue
        try:
            with journal.open(encoding="utf-8") as lines:
                plan = parse([lines.readline()], str(journal)).header.plan
        except (OSError, JournalError, UnicodeDecodeError):
            if journal.parent.name == f"{run.run_dir.name}~control":
                return journal.parent  # reading it says what is wrong with it
            continue
        if plan.control_of == run.plan.run:
            return journal.parent
    return None


def conclude_all(
    runs: Sequence[StoredRun],
    written: Mapping[Path, RunDocument] = MappingProxyType({}),
    known: Mapping[Path, ConcludedRun] = MappingProxyType({}),
) -> list[ConcludedRun]:
    """Conclude the runs of a suite, each with its control where that is among them, but for those `known` already."""
    controls = controls_of(runs)
    return [
        known.get(run.run_dir) or conclude(run, control_for(run, controls), written=written.get(run.run_dir))
        for run in runs
    ]


def counting(runs: Sequence[ConcludedRun]) -> list[ConcludedRun]:
    """Return the runs that count: a run that was repeated because the machine was busy does not."""
    repeated = {run.plan.repeats for run in runs if run.plan is not None}
    return [run for run in runs if run.run_dir.name not in repeated]


def controls_of(runs: Iterable[StoredRun]) -> dict[str, Journal]:
    """Return the journal of each run's control, by the name of the run."""
    return {
        run.journal.plan.control_of: run.journal
        for run in runs
        if run.journal is not None and run.journal.plan.control_of is not None
    }


def control_for(run: StoredRun, controls: Mapping[str, Journal]) -> Journal | None:
    """Return the control to judge a run with."""
    return controls.get(run.plan.run) if run.plan is not None and run.plan.twin is None else None
