"""The price list of the harness: what a run, a command and a suite cost, each beside what it is compared with.

A group of lines that cannot be measured is reported, and the others are still measured. `--before` names another
checkout with its own environment (`DIR/.venv`); the same commands are then run there too, taking turns.

`python -m benchmarks.cost [--quick] [--out DIR] [--before DIR]`: about 12 minutes on an idle machine, 16 with `before`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import judging
from benchmarks.chaostoolkit import FAULT_S, LATENCY_MS, their_command, their_sample
from benchmarks.chaostoolkit_arm import experiment
from benchmarks.chaostoolkit_tools import chaos
from benchmarks.figures import NOTHING, median, table
from benchmarks.measured import Cost, cost
from benchmarks.results import ROOT, CannotMeasureError, Options, Result, options_parser, run_part, say
from benchmarks.suites import copies, harness, original

OBSERVED_S = 1.0
"""How long the scenario compared with Chaos Toolkit is observed after the revert."""
TINY = "benchmarks/tiny_stack/slow-link.scenario.yaml"
VERDICTS = (0, 1, 3)
"""Exit codes of a suite that was run and judged."""
JOBS = (2, 3, 4)
SUITE_OF = 60


@dataclass(frozen=True)
class Arm:
    """One version of the harness: its program, and the checkout with its scenarios."""

    name: str
    program: str
    root: Path

    def run(self, *arguments: str, memory: bool = False, accept: Iterable[int] = (0,)) -> Cost:
        """Run a command of this version. Raises CannotMeasureError."""
        return cost([self.program, *arguments], memory=memory, cwd=self.root, accept=accept)


@dataclass(frozen=True)
class CostLine:
    """One line of the table. `base` is what `ours` is divided by: the other tool's figure, or a bound."""

    measure: str
    ours: float | None
    before: float | None
    base: float | None
    base_name: str
    limit: float | None
    command: str
    at_least: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours over what it is compared with."""
        return None if self.ours is None or not self.base else self.ours / self.base

    @property
    def reached(self) -> str:
        """Whether the line is where it should be."""
        if self.ratio is None or self.limit is None:
            return NOTHING
        return "yes" if (self.ratio >= self.limit if self.at_least else self.ratio <= self.limit) else "no"


@dataclass(frozen=True)
class SuiteCost:
    """One finished suite, read from the files that every version writes."""

    wall_s: float
    cpu_s: float
    lengths_s: dict[str, float]
    verdicts: dict[str, str]
    detected_s: dict[str, list[float]]

    @property
    def scenario_s(self) -> float:
        """The length of all runs together."""
        return sum(self.lengths_s.values())


class Bill:
    """Measures one group of lines after the other."""

    def __init__(self, options: Options, before: Path | None) -> None:
        self._options = options
        self._out = (options.out if options.out.is_absolute() else ROOT / options.out).resolve()
        self._ours = Arm("ours", harness(), ROOT)
        self._before = None if before is None else Arm("before", _program(before), before.resolve())
        self.lines: list[CostLine] = []
        self.notes: list[str] = []
        self.figures: dict[str, Any] = {}

    @property
    def _arms(self) -> list[Arm]:
        return [self._ours] if self._before is None else [self._ours, self._before]

    def measure(self) -> None:
        """Measure everything; what cannot be measured becomes a note."""
        for group in (self._beside_chaostoolkit, self._command_lines, self._stored_run, self._suites):
            say(group.__name__.strip("_").replace("_", " "))
            try:
                self.lines += group()
            except (CannotMeasureError, subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
                self.notes.append(f"not measured: {group.__name__.strip('_')}: {str(error)[-600:]}")

    def _beside_chaostoolkit(self) -> list[CostLine]:
        times = 1 if self._options.quick else 5
        run = ("run", TINY, "--reports", str(self._out), "--name", "cost-tiny", "-j", "1")
        samples: dict[str, list[dict[str, float]]] = {}
        for _ in range(times):
            theirs = their_sample()
            samples.setdefault("theirs", []).append({"beyond": theirs["beyond_s"], "cpu": theirs["cpu_s"]})
            for arm in self._arms:
                found = arm.run(*run)
                beyond_s = found.wall_s - FAULT_S - OBSERVED_S
                samples.setdefault(arm.name, []).append({"beyond": beyond_s, "cpu": found.cpu_s})
        for _ in range(1 if self._options.quick else 3):
            samples["theirs"].append({"memory": cost(their_command(), memory=True).peak_mib or 0.0})
            for arm in self._arms:
                samples[arm.name].append({"memory": arm.run(*run, memory=True).peak_mib or 0.0})
        self.figures["chaostoolkit"] = samples
        command = "harness run slow-link.scenario.yaml -j 1; chaos run experiment.json"

        def line(measure: str, key: str, limit: float) -> CostLine:
            medians = {
                who: median([sample[key] for sample in found if key in sample]) for who, found in samples.items()
            }
            return CostLine(
                measure, medians["ours"], medians.get("before"), medians["theirs"], "Chaos Toolkit", limit, command
            )

        return [
            line("one run: wall time beyond plan and observation, s", "beyond", 1.0),
            line("one run: CPU of all processes, s", "cpu", 1.5),
            line("one run: peak memory of all processes, MiB", "memory", 1.2),
        ]

    def _command_lines(self) -> list[CostLine]:
        times = 3 if self._options.quick else 11
        found = []
        with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
            file = Path(folder) / "experiment.json"
            made = experiment("http://127.0.0.1:8474", "http://127.0.0.1:18102", FAULT_S, LATENCY_MS)
            file.write_text(json.dumps(made))
            theirs = {
                "--help": [chaos(), "--no-version-check", "--help"],
                "validate": [chaos(), "--no-version-check", "validate", str(file)],
            }
            for ours, base in (
                (("--help",), "--help"),
                (("list", "faults"), "--help"),
                (("list", "probes"), "--help"),
                (("list", "alerts"), "--help"),
                (("check", TINY), "validate"),
            ):
                calls: dict[str, Callable[[], Cost]] = {arm.name: _call(arm, ours) for arm in self._arms}
                calls["theirs"] = _theirs(theirs[base], Path(folder))
                walls = {who: median(_walls(call, times)) for who, call in calls.items()}
                name = f"harness {ours[0]}" + (f" {ours[1]}" if ours[0] == "list" else "")
                found.append(
                    CostLine(
                        f"{name}, s", walls["ours"], walls.get("before"), walls["theirs"], f"chaos {base}", 1.0, name
                    )
                )
        return found

    def _stored_run(self) -> list[CostLine]:
        medians: dict[str, float] = judging.measure(self._options).figures["cpu_s"]
        self.figures["judging"] = medians
        command = "python -m benchmarks.judging"
        names = {"read + judge": "judging a stored run of 4,000 lines, CPU s", "report": "its report, CPU s"}
        return [
            CostLine(text, medians[key], None, judging.LIMIT_S, "bound", 1.0, command) for key, text in names.items()
        ]

    def _suites(self) -> Iterator[CostLine]:
        demo = ("run", "scenarios", "--tag", "demo", "-j", "1")
        alone = {arm.name: self._suite(arm, "cost-demo", *demo) for arm in self._arms}
        per_s = {who: suite.cpu_s / suite.scenario_s for who, suite in alone.items()}
        yield CostLine(
            "CPU of stack and harness per scenario-second (demo)",
            per_s["ours"],
            per_s.get("before"),
            per_s.get("before", 0.6),
            "before" if "before" in per_s else "before, by issue 8",
            0.5,
            "harness run scenarios --tag demo -j 1",
        )
        lengths_s = {original(name): value for name, value in alone["ours"].lengths_s.items()}
        few, many = (1, 1) if self._options.quick else (2, 5)
        speeds: dict[str, float] = {}
        with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
            small, large = Path(folder) / "small", Path(folder) / "large"
            small_runs, large_runs = len(copies(small, few)), len(copies(large, many))
            before = None
            if self._before is not None:
                # An older version runs its own scenarios: it does not know what has been added to these.
                older = Path(folder) / "older"
                copies(older, few, scenarios=self._before.root / "scenarios")
                before = self._side_by_side(self._before, older, "2", lengths_s)
            for jobs in JOBS:
                speeds[str(jobs)] = self._side_by_side(self._ours, small, str(jobs), lengths_s)[1]
            auto = "auto" in self._ours.run("run", "--help").stdout
            best = "auto" if auto else max(speeds, key=lambda jobs: speeds[jobs])
            wall_s, speeds[f"{best}, {large_runs} runs"] = self._side_by_side(self._ours, large, best, lengths_s)
        jobs, speed = max(speeds.items(), key=lambda item: item[1])
        self.notes.append(
            f"scenario-seconds per wall second, {small_runs} runs at each -j: "
            + "; ".join(f"-j {name}: {value:.2f}" for name, value in speeds.items())
        )
        yield CostLine(
            f"scenario-seconds per wall second, best (-j {jobs})",
            speed,
            None if before is None else before[1],
            1.0,
            "",
            3.0,
            f"harness run COPIES -j {jobs}",
            at_least=True,
        )
        projected_min = wall_s / large_runs * SUITE_OF / 60
        yield CostLine(
            f"suite of {SUITE_OF}, projected from {large_runs} at -j {best}, min",
            projected_min,
            None if before is None else before[0] / small_runs * SUITE_OF / 60,
            8.0,
            "bound",
            1.0,
            f"harness run COPIES -j {best}",
        )

    def _side_by_side(self, arm: Arm, folder: Path, jobs: str, lengths_s: dict[str, float]) -> tuple[float, float]:
        """Return wall time, and scenario-seconds per wall second: a run counts as long as it is alone."""
        name = f"cost-{folder.name}-{jobs}"
        suite = self._suite(arm, name, "run", str(folder), "-j", jobs, "--seed", "1")
        done = sum(lengths_s[original(run)] for run, verdict in suite.verdicts.items() if verdict != "unknown")
        counts = Counter(suite.verdicts.values())
        if set(counts) != {"pass"}:
            bad = ", ".join(f"{run} {verdict}" for run, verdict in suite.verdicts.items() if verdict != "pass")
            self.notes.append(f"{arm.name}, {name}: not passed: {bad}")
        self.figures[f"{arm.name} {name}"] = {"wall_s": suite.wall_s, "done_s": done, "detected_s": suite.detected_s}
        return suite.wall_s, done / suite.wall_s

    def _suite(self, arm: Arm, name: str, *arguments: str) -> SuiteCost:
        out = self._out / arm.name
        found = arm.run(*arguments, "--reports", str(out), "--name", name, accept=VERDICTS)
        suite = read_suite(out / name, found)
        verdicts = ", ".join(f"{n} {v}" for n, v in Counter(suite.verdicts.values()).items())
        say(f"{arm.name} {name}: {found.wall_s:.1f} s, {found.cpu_s:.1f} s of CPU: {verdicts}")
        return suite


def read_suite(folder: Path, found: Cost) -> SuiteCost:
    """Read what a suite left behind: verdicts, detection times, and the length of each run by its journal."""
    lengths_s, verdicts, detected_s = {}, {}, dict[str, list[float]]()
    for run in json.loads((folder / "suite.json").read_text())["scenarios"]:
        verdicts[run["name"]] = run["verdict"]
        last = (folder / run["run_dir"] / "journal.jsonl").read_text().splitlines()[-1]
        lengths_s[run["name"]] = float(json.loads(last)["t"])
        for clause in run.get("detection", ()):
            if clause["after_s"] is not None:
                detected_s.setdefault(f"{original(run['name'])}: {clause['alert']}", []).append(clause["after_s"])
    return SuiteCost(found.wall_s, found.cpu_s, lengths_s, verdicts, detected_s)


def _call(arm: Arm, arguments: tuple[str, ...]) -> Callable[[], Cost]:
    return lambda: arm.run(*arguments)


def _theirs(command: list[str], folder: Path) -> Callable[[], Cost]:
    return lambda: cost(command, cwd=folder)


def _walls(call: Callable[[], Cost], times: int) -> list[float]:
    call()  # the first one reads files from the disk
    return [call().wall_s for _ in range(times)]


def _program(root: Path) -> str:
    program = root / ".venv" / "bin" / "harness"
    if not program.exists():
        raise CannotMeasureError(f"{program} is missing; install that checkout into its own environment")
    return str(program.absolute())


def measure(options: Options, before: Path | None = None) -> Result:
    """Measure every line of the table."""
    bill = Bill(options, before)
    bill.measure()
    rows = [
        (
            line.measure,
            line.ours,
            line.before,
            line.base,
            line.base_name,
            line.ratio,
            NOTHING if line.limit is None else f"{'≥' if line.at_least else '≤'} {line.limit:g}",
            line.reached,
        )
        for line in bill.lines
    ]
    columns = ("measure", "ours", "before", "compared with", "which is", "ratio", "to reach", "reached")
    commands = "; ".join(dict.fromkeys(line.command for line in bill.lines))
    note = "\n".join([f"Commands: {commands}.", *(f"- {text}" for text in bill.notes)])
    return Result([table("What it costs", columns, rows, note)], bill.figures)


def main() -> int:
    """Measure and print the table."""
    parser = options_parser("cost")
    parser.add_argument("--before", type=Path, metavar="DIR", help="a checkout of an older version, with its .venv")
    given = parser.parse_args()
    return run_part("cost", lambda options: measure(options, given.before), Options(given.quick, given.out))


if __name__ == "__main__":
    sys.exit(main())
