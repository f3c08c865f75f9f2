"""How exactly runs kept to their plans, from their journals alone: injection, sending, polling, and observed alerts.

`python -m benchmarks.timing [--quick] [RUN …]`: of the runs in these folders, else of demo runs made for it one by one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import quantile, table
from benchmarks.results import CannotMeasureError, Options, Result, options_parser, run_part
from benchmarks.suites import SCENARIOS, Suite, run_suite
from harness.journal.files import NAME, read
from harness.journal.records import Journal
from harness.model.alert_clauses import ClearedResult, DetectionResult
from harness.model.readings import AlertsSeen, Answer, Reading

SUITES = 5
QUICK_SUITES = 1
SHARES = (0.5, 0.99, 1.0)


@dataclass
class Errors:
    """Measured differences from the plan, in seconds, by what they are of."""

    injected: list[float] = field(default_factory=list)
    injecting: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    polled: list[float] = field(default_factory=list)
    alerts_polled: list[float] = field(default_factory=list)
    alerts_read: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    def take(self, journal: Journal) -> None:
        """Take in one run. One whose gate was never met has nothing to tell."""
        gate = journal.gate
        if gate is None or not gate[1].met:
            return
        from_s, to_s = gate[1].at_s, journal.phase_s("observed") or journal.lines[-1].t_s
        self.injected += injection_errors_s(journal)
        self.injecting += injection_widths_s(journal)
        self.sent += [a.sent_s - a.due_s for _, a in journal.of(Answer) if from_s <= a.due_s <= to_s]
        self.polled += [r.asked_s - r.planned_s for _, r in journal.of(Reading) if from_s <= r.planned_s <= to_s]
        polls = [p for _, p in journal.of(AlertsSeen) if from_s <= p.planned_s <= to_s]
        self.alerts_polled += [p.asked_s - p.planned_s for p in polls]
        self.alerts_read += [p.answered_s - p.planned_s for p in polls if p.down is None]

    def take_suite(self, suite: Suite) -> None:
        """Take in every run of a suite, with what its judge measured."""
        for run in suite.runs:
            if run.error is None:
                self.take(suite.journal(run))
            seen = [(c.after_lo_s, c.after_s) for c in run.detection]
            seen += [(c.after_lo_s, c.after_s) for c in run.cleared]
            self.widths += [hi_s - lo_s for lo_s, hi_s in seen if lo_s is not None and hi_s is not None]


def injection_errors_s(journal: Journal) -> list[float]:
    """Return how much later than planned the injection of each timed fault began."""
    gate = journal.gate
    found = []
    for step in journal.plan.scenario.timeline:
        injected = journal.fault_stage(step.id, "injected")
        if gate is not None and step.at is not None and injected is not None:
            found.append(injected[1].lo_s - (gate[1].at_s + step.at))
    return found


def injection_widths_s(journal: Journal) -> list[float]:
    """Return the interval that encloses each injection: how long it took to put the fault in."""
    stages = [journal.fault_stage(step.id, "injected") for step in journal.plan.scenario.timeline]
    return [found[1].hi_s - found[1].lo_s for found in stages if found is not None]


def result(errors: Errors, runs: int) -> Result:
    """Return the table of what was taken in."""
    kinds: list[tuple[str, Sequence[float]]] = [
        ("injection: begun after its planned moment", errors.injected),
        ("injection: time to put the fault in", errors.injecting),
        ("workload: sent after it was due", errors.sent),
        ("probes: polled after the planned moment", errors.polled),
        ("alerts: polled after the planned moment", errors.alerts_polled),
        ("alerts: read after the planned moment", errors.alerts_read),
        ("alerts: width of the observed interval", errors.widths),
    ]
    rows = [(name, *(_ms(quantile(values, share)) for share in SHARES), len(values)) for name, values in kinds]
    figures = {name: {"p50_ms": p50, "p99_ms": p99, "max_ms": most, "n": n} for name, p50, p99, most, n in rows}
    title = f"Timing against plan, {runs} runs"
    return Result([table(title, ("error, ms", "p50", "p99", "max", "n"), rows)], {"runs": runs, "errors": figures})


def _ms(value_s: float | None) -> float | None:
    return None if value_s is None else value_s * 1e3


def measure(options: Options) -> Result:
    """Run the demo one run at a time and take its journals."""
    errors, runs = Errors(), 0
    for k in range(1, (QUICK_SUITES if options.quick else SUITES) + 1):
        suite = run_suite([SCENARIOS], options.out, f"timing-{k}", jobs=1, tag="demo")
        errors.take_suite(suite)
        runs += len(suite.runs)
    return result(errors, runs)


def of_folders(folders: Iterable[Path]) -> Result:
    """Take the journals of runs that are there already, judged anew for the intervals of their alerts."""
    from harness.judge import judge

    errors, runs = Errors(), 0
    for file in sorted(file for folder in folders for file in folder.rglob(NAME)):
        journal = read(file)
        errors.take(journal)
        runs += 1
        for clause in judge(journal).clauses:
            measured = clause.measured
            if not isinstance(measured, DetectionResult | ClearedResult):
                continue
            if measured.after_lo_s is not None and measured.after_s is not None:
                errors.widths.append(measured.after_s - measured.after_lo_s)
    if not runs:
        raise CannotMeasureError("there is no journal in these folders")
    return result(errors, runs)


def main() -> int:
    """Measure the runs that are given, else make some."""
    parser = options_parser("timing")
    parser.add_argument("runs", nargs="*", type=Path, help="folders with journals, instead of new runs")
    given = parser.parse_args()
    options = Options(given.quick, given.out)
    return run_part("timing", (lambda _: of_folders(given.runs)) if given.runs else measure, options)


if __name__ == "__main__":
    sys.exit(main())
