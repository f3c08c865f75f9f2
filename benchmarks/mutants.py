"""Who watches the judge: one-token mutants of what reaches a verdict, each put before its own tests.

A mutant that no test notices is a boundary, a default or a condition for which no test states the right value. Exits 1
where fewer than 95 % of a sample are noticed. A sample depends on the seed and on each mutant alone, so it stays the
same when tests are added, and nearly so when code changes elsewhere.

`python -m benchmarks.mutants [--sample N] [--seed N] [--at FILE[:LINE] …] [--tests PATH …] [--within S] [--list]`
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import Cell, table
from benchmarks.mutant_runs import Outcome, PackageCopy
from benchmarks.mutation import Mutant, mutants, sample
from benchmarks.results import ROOT, CannotMeasureError, Options, Result, options_parser, run_part, say

PACKAGE = "harness"
WATCHED = (
    "judge/*.py",
    "journal/*.py",
    *(
        f"model/{name}.py"
        for name in (
            "alert_clauses",
            "answers",
            "binomial",
            "clauses",
            "expectations",
            "guard",
            "ledger",
            "machine",
            "readings",
            "series",
            "shares",
            "units",
            "verdict",
        )
    ),
)
"""What reaches a verdict, below the package."""
JUDGE = f"{PACKAGE}/judge/"
BELOW_THE_JUDGE = (f"{PACKAGE}.journal.records", f"{PACKAGE}.model.verdict")
TESTS = ("tests/judge", "tests/journal", "tests/model")
SAMPLE, QUICK_SAMPLE, SEED = 200, 10, 1
TO_REACH = 0.95
WITHIN_S = 40.0
"""How long the tests may take that one mutant is put before: those that take the longest are left out first."""
NOTICED = ("killed", "timed out")


def watched(root: Path = ROOT) -> list[Mutant]:
    """Return every mutant of what reaches a verdict."""
    files = [file for pattern in WATCHED for file in sorted((root / PACKAGE).glob(pattern))]
    return [one for file in files for one in mutants(file.read_bytes(), str(file.relative_to(root)))]


def at(found: Sequence[Mutant], places: Sequence[str]) -> list[Mutant]:
    """Return the mutants of files, or of lines of them. Raises CannotMeasureError where there is none."""
    chosen = [one for one in found if one.file in places or one.place in places]
    if not chosen:
        raise CannotMeasureError(f"no mutant at {', '.join(places)}; write it as harness/judge/bounds.py:161")
    return chosen


def measure(chosen: Sequence[Mutant], tests: Sequence[str] = TESTS, within_s: float = WITHIN_S) -> Result:
    """Put each mutant before its tests."""
    with PackageCopy(ROOT, PACKAGE, [ROOT / test for test in tests]).made() as copy:
        say("all tests without a mutant")
        baseline = copy.baseline()
        say(f"{len(baseline.took_s)} tests, {sum(baseline.took_s.values()):.0f} s")
        outcomes: list[tuple[Mutant, Outcome]] = []
        # What the judge is built on comes first; then it need not be imported anew for each mutant of the judge.
        last = sorted(chosen, key=lambda one: one.file.startswith(JUDGE))
        warm = False
        for number, mutant in enumerate(last, start=1):
            if not warm and mutant.file.startswith(JUDGE):
                copy.warm(BELOW_THE_JUDGE)
                warm = True
            outcome = copy.judged(mutant, baseline, within_s)
            outcomes.append((mutant, outcome))
            say(f"{number}/{len(chosen)} {told(mutant, outcome)}")
    return summary(outcomes)


def told(mutant: Mutant, outcome: Outcome) -> str:
    """Return what became of a mutant, as one line."""
    by = f" by {outcome.by}" if outcome.by else ""
    change = f"{mutant.before}  ->  {mutant.after}"
    return f"{outcome.status} in {outcome.took_s:.1f} s: {mutant.place} ({mutant.operator}) {change}{by}"


def summary(outcomes: Sequence[tuple[Mutant, Outcome]]) -> Result:
    """Count what was noticed, and list what was not."""
    noticed = sum(outcome.status in NOTICED for _, outcome in outcomes)
    by_package: Counter[tuple[str, str]] = Counter(
        (str(Path(mutant.file).parent), outcome.status) for mutant, outcome in outcomes
    )
    columns = ("package", "mutants", "killed", "timed out", "survived", "not reached")
    rows: list[tuple[Cell, ...]] = []
    for package in sorted({package for package, _ in by_package}):
        counts = [by_package[package, status] for status in columns[2:]]
        rows.append((package, sum(counts), *counts))
    share = noticed / len(outcomes)
    note = f"{noticed} of {len(outcomes)} were noticed: {share:.1%}, to reach {TO_REACH:.0%}."
    left = [(m.place, m.operator, m.before, m.after) for m, outcome in outcomes if outcome.status not in NOTICED]
    tables = [table("Mutants", columns, rows, note)]
    if left:
        tables.append(table("Mutants that no test noticed", ("place", "change of", "before", "after"), left))
    wrong = [] if share >= TO_REACH else [f"only {share:.1%} of the mutants were noticed"]
    figures = {"mutants": len(outcomes), "noticed": noticed, "left": [list(row) for row in left]}
    return Result(tables, figures, wrong)


def main() -> int:
    """Run it with its own options more."""
    parser = options_parser("mutants")
    parser.add_argument("--sample", type=int, help=f"how many mutants are drawn ({SAMPLE})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"which ones ({SEED})")
    parser.add_argument("--at", action="append", metavar="FILE[:LINE]", help="instead: all mutants there")
    parser.add_argument("--tests", nargs="+", default=TESTS, metavar="PATH", help=f"({' '.join(TESTS)})")
    parser.add_argument(
        "--within", type=float, default=WITHIN_S, metavar="S", help=f"seconds of tests for each ({WITHIN_S:g})"
    )
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    given = parser.parse_args()
    try:
        chosen = at(watched(), given.at) if given.at else sample(watched(), _size(given), given.seed)
    except CannotMeasureError as error:
        parser.error(str(error))
    if given.list:
        for one in chosen:
            print(f"{one.place} ({one.operator}) {one.before}  ->  {one.after}")
        return 0
    options = replace(Options(), quick=given.quick, out=given.out)
    return run_part("mutants", lambda _: measure(chosen, given.tests, given.within), options)


def _size(given: argparse.Namespace) -> int:
    return int(given.sample or (QUICK_SAMPLE if given.quick else SAMPLE))


if __name__ == "__main__":
    sys.exit(main())
