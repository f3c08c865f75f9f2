"""A suite as a whole: run its plans, conclude each run, write the report; or report a stored suite again."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.guard.open_runs import must_be_healed
from harness.journal.files import NAME as JOURNAL
from harness.journal.files import read
from harness.model.errors import BackendError, HarnessError, JournalError, ScenarioError
from harness.model.givenfile import read_text
from harness.model.plan import Plan, Twin
from harness.model.verdict import Value
from harness.report import SuiteInfo, write_suite
from harness.report.documents import Interruption, SuiteDocument
from harness.suite import rules
from harness.suite.conclude import ConcludedRun, StoredRun, conclude_all, counting, stored_run
from harness.suite.early_conclusions import EarlyConclusions
from harness.suite.folders import GUARD_S, clear, held, refuse_link, run_folders, runs_in

if TYPE_CHECKING:
    from harness.runner.messages import RunOutcome
    from harness.runner.progress import OnProgress
    from harness.suite.pool import SuiteRequest

AGAIN = "~again"
"""The end of the name of a run that repeats another."""
LARGEST_BYTES = 256 * 2**20
INTERRUPTED = "interrupted; writing the report of what was run"


@dataclass(frozen=True)
class FinishedSuite:
    """A suite with its report."""

    runs: tuple[ConcludedRun, ...]
    document: SuiteDocument
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """The exit code of the suite."""
        return rules.exit_code(counting(self.runs), self.interrupted)


@contextmanager
def prepared(folder: Path) -> Iterator[None]:
    """Clear and hold the folder of a suite. Raises ScenarioError where another suite holds it or it cannot be made."""
    with ExitStack() as holding:
        try:
            holding.enter_context(held(folder))
            clear(folder, "choose another --name")
        except OSError as error:
            raise ScenarioError(
                f"the report cannot be written here: {error.strerror}",
                file=str(error.filename or folder),
                remedy="choose another place with --reports or --name",
            ) from error
        yield


def run_suite(
    request: SuiteRequest, on_progress: OnProgress, on_message: Callable[[str], None], twin: Twin | None = None
) -> FinishedSuite:
    """Run the plans in a prepared folder, conclude each run and write the report. Raises HarnessError."""
    # Reporting a stored suite again imports nothing of what runs one.
    from harness.suite.pool import run_plans

    began_unix, began_s = time.time(), time.monotonic()
    early = EarlyConclusions(on_progress)
    outcomes = run_plans(request, on_progress, on_message, early.ended)
    concluded = conclude_all(_stored(outcomes), known=early.found)
    again = repeats(request.plans, concluded) if request.retry_busy and not _interrupted(outcomes) else []
    if again:
        on_message(f"the machine was too busy: {len(again)} of {len(concluded)} runs are run once more")
        more = run_plans(replace(request, plans=tuple(again), jobs=1), on_progress, on_message, early.ended)
        outcomes += more
        concluded += conclude_all(_stored(more), known=early.found)
    interrupted = _interrupted(outcomes)
    if interrupted:
        on_message(INTERRUPTED)
    info = SuiteInfo(
        name=request.name,
        backend=request.plans[0].backend,
        seed=first_seed(concluded, request.plans[0].seed),
        started=iso(began_unix),
        wall_s=time.monotonic() - began_s,
        runs=[],
        twin=twin,
    )
    return FinishedSuite(tuple(concluded), write_report(request.out_dir, info, concluded), interrupted)


def repeats(plans: Sequence[Plan], runs: Sequence[ConcludedRun]) -> list[Plan]:
    """Return the plans of the runs that the machine was too busy for, to be run once more; a pair stays a pair.

    A run that failed stands, and so does its pair: a repetition must not take its place.
    """
    busy = {run.run_dir.name for run in runs if run.verdict is not None and run.verdict.machine_busy}
    failed = {run.run_dir.name for run in runs if run.verdict is not None and run.verdict.value is Value.FAIL}
    settled = failed | {plan.control_of for plan in plans if plan.run in failed and plan.control_of is not None}
    chosen = (busy | {plan.control_of for plan in plans if plan.run in busy and plan.control_of is not None}) - settled
    found = []
    for plan in plans:
        of = f"{plan.control_of}{AGAIN}" if plan.control_of in chosen else plan.control_of
        if plan.run in settled or plan.control_of in settled:
            continue
        if plan.run in chosen or plan.control_of in chosen:
            again = {"run": f"{plan.run}{AGAIN}", "repeats": plan.run, "control_of": of}
            found.append(plan.model_copy(update=again))
    return found


def _interrupted(outcomes: Iterable[RunOutcome]) -> bool:
    return any(outcome.interrupted for outcome in outcomes)


def first_seed(runs: Iterable[StoredRun | ConcludedRun], default: int) -> int:
    """Return the seed of a suite: that of the first run with a journal, or `default` where there is none."""
    return next((run.plan.seed for run in runs if run.plan is not None), default)


def iso(unix_s: float) -> str:
    """Return a wall-clock moment as a suite's `started` has it."""
    return dt.datetime.fromtimestamp(unix_s, dt.UTC).isoformat(timespec="milliseconds")


def _stored(outcomes: Sequence[RunOutcome]) -> list[StoredRun]:
    if not _interrupted(outcomes):
        for outcome in outcomes:  # the report of a run that was killed says what its guard took out
            must_be_healed(outcome.run_dir, GUARD_S)
    return [_of(outcome) for outcome in outcomes]


def _of(outcome: RunOutcome) -> StoredRun:
    if not outcome.interrupted:
        return stored_run(outcome.run_dir, outcome.error)
    if not (outcome.run_dir / JOURNAL).exists():
        return StoredRun(outcome.run_dir, None, outcome.error, "not run")
    return replace(stored_run(outcome.run_dir, outcome.error), interrupted="cut off")


def report_suite(
    folder: Path, info: SuiteInfo, runs: Sequence[StoredRun], *, interrupted: bool = False
) -> FinishedSuite:
    """Conclude the runs of a suite and write its report; `info` describes the suite, without its runs."""
    concluded = conclude_all(runs)
    return FinishedSuite(tuple(concluded), write_report(folder, info, concluded), interrupted)


def write_report(folder: Path, info: SuiteInfo, runs: Iterable[ConcludedRun]) -> SuiteDocument:
    """Write the report of a suite whose runs are concluded."""
    return write_suite(folder, replace(info, runs=[run.reported for run in runs]))


def report_again(folder: Path) -> FinishedSuite:
    """Conclude the stored runs of a suite again and rewrite its report. Raises JournalError, ScenarioError.

    Runs that the report lists and that left no journal stay in it: a suite that was interrupted stays interrupted.
    """
    for written in (folder, *run_folders(folder)):
        refuse_link(written)
    before = _suite_before(folder)
    listed = {str(scenario.get("run_dir")): scenario for scenario in before.get("scenarios", ())}
    there = [run.name for run in (run_folders(folder) if listed else runs_in(folder))]
    names = dict.fromkeys((*listed, *there))
    stored = [_run_before(folder / name, listed.get(name), there=name in there) for name in names]
    journals = [run.journal for run in stored if run.journal is not None]
    first = journals[0].plan if journals else None
    lengths_s = [journal.lines[-1].t_s for journal in journals if journal.lines]
    info = SuiteInfo(
        name=str(before.get("suite", folder.resolve().name)),
        backend=first.backend if first is not None else str(before.get("backend")),
        seed=int(before.get("seed", first.seed if first is not None else 0)),
        started=str(before.get("started", min((journal.header.started for journal in journals), default=""))),
        wall_s=float(before.get("wall_s", max(lengths_s, default=0.0))),
        runs=[],
        twin=before.get("twin"),
    )
    return report_suite(folder, info, stored, interrupted=any(run.interrupted is not None for run in stored))


def _run_before(run_dir: Path, scenario: dict[str, Any] | None, *, there: bool) -> StoredRun:
    """Return a run with what its suite listed of it, if it did; one that left no journal is not `there`."""
    error, interrupted = _error_before(scenario), _interruption_before(scenario)
    if there:
        return StoredRun(run_dir, read(run_dir), error, interrupted)
    if error is None and interrupted is None:
        error = JournalError("the journal of this run is gone", file=str(run_dir))
    return StoredRun(run_dir, None, error, interrupted)


def _suite_before(folder: Path) -> dict[str, Any]:
    """Return the `suite.json` that is there; nothing where none can be read."""
    try:
        data = json.loads(read_text(folder / "suite.json", LARGEST_BYTES, ScenarioError))
    except (HarnessError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _error_before(scenario: dict[str, Any] | None) -> HarnessError | None:
    error = scenario.get("error") if scenario is not None else None
    return BackendError(str(error)) if error is not None else None


def _interruption_before(scenario: dict[str, Any] | None) -> Interruption | None:
    before = scenario.get("interrupted") if scenario is not None else None
    return None if before is None else "not run" if before == "not run" else "cut off"
