"""The demo's scenarios on local processes and in containers, in turn: the same verdicts, and how far detection differs.

A detection is an interval: the last poll that did not show the alert, the first that did. Two backends can differ by as
much as their polls are apart without there being a difference to see; the table shows both.

`python -m benchmarks.backends [--quick]`; it needs a Docker engine and the images of the reference stack.
"""

from __future__ import annotations

import statistics
import sys

from benchmarks.figures import Cell, table
from benchmarks.results import Options, Result, main
from benchmarks.suites import SCENARIOS, Suite, run_suite
from harness.report.documents import SuiteScenario

RUNS, QUICK_RUNS = 3, 1
BACKENDS = ("local", "compose")


def measure(options: Options) -> Result:
    """Run the demo on both, one run at a time, several times."""
    runs = QUICK_RUNS if options.quick else RUNS
    suites: dict[str, list[Suite]] = {backend: [] for backend in BACKENDS}
    for k in range(1, runs + 1):
        for backend in BACKENDS if k % 2 else reversed(BACKENDS):
            name = f"{backend}-{k}"
            suites[backend].append(run_suite([SCENARIOS], options.out, name, jobs=1, tag="demo", backend=backend))
    names = [run.name for run in suites["local"][0].runs]
    rows: list[list[Cell]] = []
    figures: dict[str, object] = {}
    wrong = []
    for name in names:
        found = {backend: [_of(suite, name) for suite in suites[backend]] for backend in BACKENDS}
        verdicts = {backend: sorted({run.verdict for run in found[backend]}) for backend in BACKENDS}
        if verdicts["local"] != verdicts["compose"]:
            wrong.append(
                f"{name}: {', '.join(verdicts['local'])} locally, {', '.join(verdicts['compose'])} in containers"
            )
        middles = {backend: _middles(found[backend]) for backend in BACKENDS}
        widths = {backend: _widths(found[backend]) for backend in BACKENDS}
        figures[name] = {"verdicts": verdicts, "detected_s": middles, "interval_s": widths}
        local, compose = (statistics.median(middles[b]) if middles[b] else None for b in BACKENDS)
        apart = abs(compose - local) if local is not None and compose is not None else None
        spread = max(max(m) - min(m) if m else 0.0 for m in middles.values())
        polls = sum(max(w, default=0.0) for w in widths.values())
        rows.append([name, _said(verdicts), local, compose, apart, polls, spread])
    columns = ("scenario", "verdicts", "local, s", "containers, s", "apart, s", "polls apart, s", "spread of runs, s")
    return Result([table("Detection on both backends, medians", columns, rows)], figures, wrong)


def _of(suite: Suite, name: str) -> SuiteScenario:
    return next(run for run in suite.runs if run.name == name)


def _middles(runs: list[SuiteScenario]) -> list[float]:
    """The middle of the interval of each run's first detection."""
    seen = [run.detection[0] for run in runs if run.detection]
    return [((one.after_lo_s or 0.0) + one.after_s) / 2 for one in seen if one.after_s is not None]


def _widths(runs: list[SuiteScenario]) -> list[float]:
    seen = [run.detection[0] for run in runs if run.detection]
    return [one.after_s - (one.after_lo_s or 0.0) for one in seen if one.after_s is not None]


def _said(verdicts: dict[str, list[str]]) -> str:
    return ", ".join("/".join(verdicts[backend]) for backend in BACKENDS)


if __name__ == "__main__":
    sys.exit(main("backends", measure))
