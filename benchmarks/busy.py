"""The demo beside other work at normal priority: a good stack never fails, a broken one never passes.

What is undecided must name the machine. The broken stacks are the sabotage twins. Exits 1 where a verdict lied.

`python -m benchmarks.busy [--runs 10] [--loops 0,4,16,32] [--by session|user|container|memory]`
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.figures import Cell, table
from benchmarks.other_work import KINDS, other_work
from benchmarks.results import Options, Result, options_parser, run_part, say
from benchmarks.suites import SCENARIOS, Suite, run_suite
from harness.model.machine import MACHINE_BUSY
from harness.model.verdict import Value

LOOPS = (0, 4, 16, 32)
QUICK_LOOPS = (0, 4)
RUNS = 10
BROKEN_EVERY = 5
"""The sabotage twins are run once for so many runs of the demo: there are more of them."""


def measure(
    options: Options, times: int | None = None, loops: Sequence[int] | None = None, by: str = "session"
) -> Result:
    """Run the demo and its sabotage twins beside each number of busy loops."""
    times = times or (1 if options.quick else RUNS)
    wrong: list[str] = []
    rows: list[list[Cell]] = []
    figures = {}
    for count in loops or (QUICK_LOOPS if options.quick else LOOPS):
        with other_work(by, count):
            say(f"beside {count} busy loops")
            good = [_demo(options, f"busy-{by}-{count}-{k}") for k in range(1, times + 1)]
            broken = [
                _demo(options, f"busy-{by}-{count}-broken-{k}", twin="sabotage")
                for k in range(1, max(1, times // BROKEN_EVERY) + 1)
            ]
        wrong += lies(count, good, broken)
        row = [*_counts(good), _named(good), *_counts(broken), _named(broken)]
        rows.append([count, *row])
        figures[str(count)] = row
    columns = (
        "busy loops", "good: pass", "fail", "unknown", "of these the machine", "broken: pass", "fail", "unknown",
        "of these the machine",
    )  # fmt: skip
    note = (
        f"Kept busy by: {by}. Good: the demo. Broken: its sabotage twins, in which an alert rule or a recovery is "
        "switched off."
    )
    return Result([table(f"Busy: the demo {times} times beside other work", columns, rows, note)], figures, wrong)


def _demo(options: Options, name: str, twin: str | None = None) -> Suite:
    return run_suite([SCENARIOS], options.out, name, jobs=1, tag="demo", seed=1, twin=twin, may_break=True)


def lies(loops: int, good: Sequence[Suite], broken: Sequence[Suite]) -> list[str]:
    """Return each verdict that no machine excuses."""
    found = []
    for suite in good:
        for run in suite.runs:
            if run.verdict is Value.FAIL:
                found.append(f"beside {loops} loops {run.run_dir} failed: {'; '.join(run.reasons)}")
            elif run.verdict is Value.UNKNOWN and loops and not any(MACHINE_BUSY in reason for reason in run.reasons):
                found.append(f"beside {loops} loops {run.run_dir} does not name the machine: {'; '.join(run.reasons)}")
    for suite in broken:
        found += [f"beside {loops} loops {run.run_dir} passed" for run in suite.runs if run.verdict is Value.PASS]
    return found


def _counts(suites: Sequence[Suite]) -> list[int]:
    verdicts = [run.verdict for suite in suites for run in suite.runs]
    return [verdicts.count(value) for value in (Value.PASS, Value.FAIL, Value.UNKNOWN)]


def _named(suites: Sequence[Suite]) -> int:
    unknown = [run for suite in suites for run in suite.runs if run.verdict is Value.UNKNOWN]
    return sum(any(MACHINE_BUSY in reason for reason in run.reasons) for run in unknown)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are no numbers with commas between them") from None


def main() -> int:
    """Run it with its own options more."""
    parser = options_parser("busy")
    parser.add_argument("--runs", type=int, help=f"how often the demo is run beside each number of loops ({RUNS})")
    parser.add_argument("--loops", type=_numbers, help=f"numbers of busy loops ({','.join(map(str, LOOPS))})")
    parser.add_argument("--by", choices=list(KINDS), default="session", help="who keeps the machine busy (session)")
    given = parser.parse_args()
    options = replace(Options(), quick=given.quick, out=given.out)
    return run_part("busy", lambda options: measure(options, given.runs, given.loops, given.by), options)


if __name__ == "__main__":
    sys.exit(main())
