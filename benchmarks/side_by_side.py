"""Runs side by side: scenario-seconds finished per wall second at -j 1 to 4, and what that does to what is measured.

The same runs at each -j. A run counts with its length at -j 1 (from the opening of its journal to its closing), so a
run that takes longer because of its neighbours is not more work. A run that ends as unknown was not finished: both
figures are shown, with and without those.

`python -m benchmarks.side_by_side [--quick]`
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.figures import Cell, Table, median, table
from benchmarks.results import Options, Result, main
from benchmarks.suites import Suite, copies, original, run_suite
from harness.model.verdict import Value
from harness.report.documents import SuiteScenario

JOBS = (1, 2, 3, 4)
COPIES = 3
QUICK_COPIES = 1


def measure(options: Options) -> Result:
    """Run the same suite at each -j."""
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        copies(Path(folder), QUICK_COPIES if options.quick else COPIES)
        suites = {
            jobs: run_suite([Path(folder)], options.out, f"side-by-side-{jobs}", jobs=jobs, seed=1) for jobs in JOBS
        }
    alone_s = {run.name: length_s(suites[1], run) for run in suites[1].runs}
    tables = [_throughput(suites, alone_s), _detections(suites), _unknown(suites)]
    figures = {
        str(jobs): {
            "wall_s": suite.wall_s,
            "scenario_s": worth_s(suite.runs, alone_s),
            "decided_s": worth_s(decided(suite.runs), alone_s),
            "verdicts": {run.name: run.verdict for run in suite.runs},
            "reasons": {run.name: list(run.reasons) for run in suite.runs if run.reasons},
            "detected_after_s": {name: list(values) for name, values in detections(suite.runs).items()},
        }
        for jobs, suite in suites.items()
    }
    return Result(tables, figures)


def length_s(suite: Suite, run: SuiteScenario) -> float:
    """Return how long a run took, from the opening of its journal to its last line."""
    return 0.0 if run.error is not None else suite.journal(run).lines[-1].t_s


def worth_s(runs: Sequence[SuiteScenario], alone_s: Mapping[str, float]) -> float:
    """Return the scenario-seconds of some runs, each as long as it is alone."""
    return sum(alone_s.get(run.name, 0.0) for run in runs if run.error is None)


def decided(runs: Sequence[SuiteScenario]) -> list[SuiteScenario]:
    """Return the runs that came to a verdict other than unknown."""
    return [run for run in runs if run.verdict is not Value.UNKNOWN]


def detections(runs: Sequence[SuiteScenario]) -> dict[str, list[float]]:
    """Return the detection times by scenario and clause, of all copies of the scenario."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for clause in run.detection:
            times = found.setdefault(f"{original(run.name)}: {clause.alert}", [])
            if clause.after_s is not None:
                times.append(clause.after_s)
    return found


def _throughput(suites: Mapping[int, Suite], alone_s: Mapping[str, float]) -> Table:
    rows: list[list[Cell]] = []
    for jobs, suite in suites.items():
        counts = [sum(run.verdict is value for run in suite.runs) for value in Value]
        all_s, decided_s = worth_s(suite.runs, alone_s), worth_s(decided(suite.runs), alone_s)
        rows.append([f"-j {jobs}", suite.wall_s, all_s / suite.wall_s, decided_s / suite.wall_s, *counts])
    columns = ("", "wall, s", "scenario-s per wall s", "of decided runs", "pass", "fail", "unknown")
    return table(f"Side by side: {len(alone_s)} runs at each -j", columns, rows)


def _detections(suites: Mapping[int, Suite]) -> Table:
    by_jobs = {jobs: detections(suite.runs) for jobs, suite in suites.items()}
    rows: list[list[Cell]] = []
    for clause in by_jobs[1]:
        base = median(by_jobs[1][clause])
        row: list[Cell] = [clause, base]
        for jobs in JOBS[1:]:
            found = median(by_jobs[jobs].get(clause, []))
            row.append(None if found is None else f"{found:.2f}" + ("" if base is None else f" ({found - base:+.2f})"))
        rows.append(row)
    columns = ("detected after, s (median)", *(f"-j {jobs}" for jobs in JOBS))
    return table("Side by side: detection times, and their difference to -j 1", columns, rows)


def _unknown(suites: Mapping[int, Suite]) -> Table:
    counted: dict[tuple[str, str, str], int] = {}
    for jobs, suite in suites.items():
        for run in suite.runs:
            if run.verdict is not Value.PASS:
                reason = run.error or (run.reasons[0] if run.reasons else "")
                key = (f"-j {jobs}", original(run.name), f"{run.verdict}: {reason}")
                counted[key] = counted.get(key, 0) + 1
    rows = [(*key, times) for key, times in counted.items()]
    columns = ("", "scenario", "verdict and first reason", "times")
    return table("Side by side: runs that did not pass", columns, rows or [("none", "", "", 0)])


if __name__ == "__main__":
    sys.exit(main("side_by_side", measure))
