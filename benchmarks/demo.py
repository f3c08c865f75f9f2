"""The whole demo after installation: `harness run scenarios --tag demo -j 2`, the whole process.

`python -m benchmarks.demo [--quick]`
"""

from __future__ import annotations

import sys

from benchmarks.figures import spread_cells, table
from benchmarks.results import Options, Result, main
from benchmarks.suites import SCENARIOS, Suite, run_suite

RUNS = 5
QUICK_RUNS = 1
JOBS = 2
TARGET_S = 90.0


def measure(options: Options) -> Result:
    """Run the demo several times."""
    runs = QUICK_RUNS if options.quick else RUNS
    suites = [run_suite([SCENARIOS], options.out, f"demo-{k}", jobs=JOBS, tag="demo") for k in range(1, runs + 1)]
    walls = [suite.wall_s for suite in suites]
    rows = [(f"whole process, -j {JOBS}", *spread_cells(walls), f"< {TARGET_S:g}")]
    rows.append(("of it, in the suite", *spread_cells([s.document.wall_s for s in suites]), ""))
    columns = ("wall time, s", "median", "min", "max", "runs", "target")
    verdicts = table("The demo: verdicts", ("scenario", "pass", "fail", "unknown", "reasons"), _verdicts(suites))
    figures = {"wall_s": walls, "suite_s": [s.document.wall_s for s in suites], "jobs": JOBS, "target_s": TARGET_S}
    figures["exit_codes"] = [suite.exit_code for suite in suites]
    return Result([table("The demo", columns, rows), verdicts], figures)


def _verdicts(suites: list[Suite]) -> list[tuple[str, int, int, int, str]]:
    rows = []
    for name in [run.name for run in suites[0].runs]:
        runs = [run for suite in suites for run in suite.runs if run.name == name]
        counts = [sum(run.verdict == value for run in runs) for value in ("pass", "fail", "unknown")]
        reasons = dict.fromkeys(reason for run in runs if run.verdict != "pass" for reason in run.reasons[:1])
        rows.append((name, counts[0], counts[1], counts[2], "; ".join(reasons)))
    return rows


if __name__ == "__main__":
    sys.exit(main("demo", measure))
