"""The demo scenarios many times with one seed: the same plan, the same corrupted rows, never unknown, never another
verdict. Prints the bound on the rate of flakes, and exits 1 if any run differed.

`python -m benchmarks.flakes [--runs 10] [-j 2]`
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.figures import Cell, table
from benchmarks.manifests import Rows, Shared, compare, rows_of, undecided
from benchmarks.results import Options, Result, options_parser, run_part
from benchmarks.suites import SCENARIOS, Suite, run_suite
from harness.model.plan import Plan
from harness.model.verdict import Value

RUNS = 10
QUICK_RUNS = 2
JOBS = 2
SEED = 1
CONFIDENCE = 0.95


def flake_bound(runs: int, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided upper bound on the rate of flakes if none occurred in so many runs: 1 − (1 − c)^(1/n)."""
    return float(1 - (1 - confidence) ** (1 / runs))


def measure(options: Options, times: int | None = None, jobs: int = JOBS) -> Result:
    """Run the demo so many times and compare."""
    times = times or (QUICK_RUNS if options.quick else RUNS)
    suites = [
        run_suite([SCENARIOS], options.out, f"flakes-{k}", jobs=jobs, tag="demo", seed=SEED)
        for k in range(1, times + 1)
    ]
    return of_suites(suites)


def of_suites(suites: Sequence[Suite]) -> Result:
    """Compare suites that are there."""
    wrong: list[str] = []
    rows: list[list[Cell]] = []
    figures = {}
    for name in [run.name for run in suites[0].runs]:
        runs = [(suite, run) for suite in suites for run in suite.runs if run.name == name]
        verdicts = [run.verdict for _, run in runs]
        wrong += wrong_verdicts(name, verdicts, [run.reasons[0] if run.reasons else "" for _, run in runs])
        journals = [suite.journal(run) for suite, run in runs if run.error is None]
        plans = {_plan_text(journal.plan) for journal in journals}
        if len(plans) != 1 or len(journals) != len(suites):
            wrong.append(f"{name}: {len(plans)} different plans in {len(journals)} journals of {len(suites)} runs")
        manifests = [rows_of(journal) for journal in journals]
        shared = compare(manifests)
        wrong += [f"{name}: {what}" for what in (*shared.different, *undecided(journals[0].plan, manifests))]
        counts = [verdicts.count(value) for value in Value]
        rows.append([name, len(runs), *counts, len(plans), *_row_cells(manifests, shared)])
        figures[name] = {
            "verdicts": verdicts,
            "plans": len(plans),
            "rows": [len(rows) for rows in manifests],
            "pairs": shared.pairs,
            "hit_by_both": shared.both,
            "hit_by_one": shared.one_only,
            "different": len(shared.different),
        }
    total = sum(len(suite.runs) for suite in suites)
    bound = flake_bound(total)
    note = (
        f"No flake in {total} runs: with 95 % confidence the rate of flakes is below {bound:.1%}."
        if not wrong
        else f"{len(wrong)} differences in {total} runs, so there is no bound."
    )
    columns = ("scenario", "runs", "pass", "fail", "unknown", "plans", "rows hit", "of common, by both", "by one only")
    summary = table(f"Flakes: the demo {len(suites)} times, seed {SEED}", columns, rows, note)
    return Result([summary], {"runs": total, "bound": bound if not wrong else None, "scenarios": figures}, wrong)


def wrong_verdicts(name: str, verdicts: Sequence[Value], reasons: Sequence[str]) -> list[str]:
    """Return what is wrong with the verdicts of one scenario: unknown ones, and different ones."""
    wrong = [
        f"{name}: run {k} is unknown: {reason}"
        for k, (value, reason) in enumerate(zip(verdicts, reasons, strict=True), start=1)
        if value is Value.UNKNOWN
    ]
    settled = [value for value in dict.fromkeys(verdicts) if value is not Value.UNKNOWN]
    if len(settled) > 1:
        counts = ", ".join(f"{verdicts.count(value)} {value}" for value in settled)
        wrong.append(f"{name}: the verdict changed: {counts}; {next(filter(None, reasons), '')}")
    return wrong


def _plan_text(plan: Plan) -> str:
    return plan.model_dump_json(by_alias=True)


def _row_cells(manifests: Sequence[Rows], shared: Shared) -> tuple[str, str, str]:
    lengths = [len(rows) for rows in manifests]
    if not any(lengths):
        return "", "", ""
    common = shared.both + shared.one_only
    part = f" ({shared.both / common:.0%})" if common else ""
    return f"{min(lengths)}–{max(lengths)}", f"{shared.both}{part}", str(shared.one_only)


def main() -> int:
    """Run it with its own two options more."""
    parser = options_parser("flakes")
    parser.add_argument("--runs", type=int, help=f"how often the demo is run ({RUNS})")
    parser.add_argument("-j", "--jobs", type=int, default=JOBS, help=f"runs side by side ({JOBS})")
    given = parser.parse_args()
    if given.runs is not None and given.runs < 2:
        parser.error("--runs must be 2 or more: a single run has nothing to be compared with")
    options = replace(Options(), quick=given.quick, out=given.out)
    return run_part("flakes", lambda options: measure(options, given.runs, given.jobs), options)


if __name__ == "__main__":
    sys.exit(main())
