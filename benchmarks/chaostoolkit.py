"""Beside Chaos Toolkit with its Toxiproxy driver, on an equivalent run: one latency fault on one link, two probes.

The same target on both sides, the same latency for the same time. Chaos Toolkit reads its probes before and after the
fault. The harness reads them ten times a second throughout, waits for a steady state, confirms the fault and its
absence, observes for another second, judges, and writes reports. So the figures are a price list, not a race. Both
sides take turns in one run, and each figure is a median.

`python -m benchmarks.chaostoolkit [--quick]`
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.chaostoolkit_arm import TINY, experiment
from benchmarks.chaostoolkit_tools import chaos, toxiproxy_server, versions
from benchmarks.figures import Cell, Table, median, ratio, table
from benchmarks.measured import cost
from benchmarks.results import ROOT, CannotMeasureError, Options, Result, main, say
from benchmarks.suites import harness
from harness.journal.files import read

SCENARIO = TINY / "slow-link.scenario.yaml"
ARM = ROOT / "benchmarks" / "chaostoolkit_arm.py"
FAULT_S = 3.0
LATENCY_MS = 200
RUNS, STARTS = 7, 15
QUICK_RUNS, QUICK_STARTS = 1, 3
PHASES = ("starting", "gate", "baseline", "fault", "observing", "observed", "stopping")

Sample = dict[str, float]


def measure(options: Options) -> Result:
    """Run both sides in turns, then the starts of both command lines."""
    runs, starts = (QUICK_RUNS, QUICK_STARTS) if options.quick else (RUNS, STARTS)
    known = versions()
    ours: list[Sample] = []
    theirs: list[Sample] = []
    for k in range(1, runs + 1):
        theirs.append(their_sample())
        ours.append(_ours(options.out))
        say(f"{k}: wall, s: theirs {theirs[-1]['wall_s']:.2f}, ours {ours[-1]['wall_s']:.2f}")
    memory = {"ours": _memory(_our_command(options.out)), "theirs": _memory(their_command())}
    lines = _starts(starts)
    rows = [
        _row("wall time of all, s", ours, theirs, "wall_s"),
        _row("of it beyond the plan of 3 s", ours, theirs, "beyond_s"),
        _row("CPU of all, s", ours, theirs, "cpu_s"),
        ["peak memory of all, MiB", memory["theirs"], memory["ours"], ratio(memory["ours"], memory["theirs"])],
        *([name, t, o, ratio(o, t)] for name, t, o in lines),
    ]
    name = f"Chaos Toolkit {known['chaostoolkit']} with Toxiproxy {known['toxiproxy']}"
    main_table = table(
        f"Beside {name}, medians of {runs}", ("one latency fault, two probes", "theirs", "ours", "ratio"), rows
    )
    figures = {"versions": known, "ours": ours, "theirs": theirs, "peak_mib": memory}
    figures["command_lines_s"] = {name: {"theirs": t, "ours": o} for name, t, o in lines}
    return Result([main_table, _their_parts(theirs), _our_parts(ours)], figures)


def _row(name: str, ours: Sequence[Sample], theirs: Sequence[Sample], key: str) -> list[Cell]:
    o, t = median([sample[key] for sample in ours]), median([sample[key] for sample in theirs])
    return [name, t, o, ratio(o, t)]


def their_command() -> list[str]:
    """Return the command of their whole run."""
    return [sys.executable, str(ARM), chaos(), toxiproxy_server(), str(FAULT_S), str(LATENCY_MS)]


def their_sample() -> Sample:
    """Run their side once. Raises CannotMeasureError where it did not complete."""
    figures: dict[str, Any] = json.loads(cost(their_command()).stdout.splitlines()[-1])
    if figures["exit_code"] != 0 or figures["status"] != "completed" or figures["deviated"]:
        raise CannotMeasureError(f"Chaos Toolkit did not complete: {figures}")
    parts: dict[str, float] = figures["cpu_s"]
    # The little program that starts the parts is no part of what is compared.
    return {
        "wall_s": figures["wall_s"],
        "beyond_s": figures["wall_s"] - FAULT_S,
        "tool_s": figures["tool_s"],
        "tool_beyond_s": figures["tool_s"] - FAULT_S,
        "cpu_s": sum(parts.values()),
        **{f"{name}_cpu_s": used for name, used in parts.items()},
    }


def _our_command(out: Path) -> list[str]:
    return [harness(), "run", str(SCENARIO), "--reports", str(out), "--name", "tiny", "-j", "1"]


def _ours(out: Path) -> Sample:
    found = cost(_our_command(out))
    journal = read((out if out.is_absolute() else ROOT / out) / "tiny" / "slow-link")
    began = {phase: journal.phase_s(phase) for phase in PHASES}
    ended_s = journal.lines[-1].t_s
    phases = [(phase, began_s) for phase, began_s in began.items() if began_s is not None]
    until = [began_s for _, began_s in phases[1:]] + [ended_s]
    spans = {f"{phase}_s": to_s - from_s for (phase, from_s), to_s in zip(phases, until, strict=True)}
    beyond = {"beyond_s": found.wall_s - FAULT_S, "around_s": found.wall_s - ended_s}
    return {"wall_s": found.wall_s, "cpu_s": found.cpu_s, **beyond, **spans}


def _memory(command: list[str]) -> float | None:
    return cost(command, memory=True).peak_mib


def _starts(times: int) -> list[tuple[str, float | None, float | None]]:
    """Return what the start of each command line takes: its help, and the check of a file."""
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        file = Path(folder) / "experiment.json"
        made = experiment("http://127.0.0.1:8474", "http://127.0.0.1:18102", FAULT_S, LATENCY_MS)
        file.write_text(json.dumps(made))
        commands = {
            "--help": ([chaos(), "--no-version-check", "--help"], [harness(), "--help"]),
            "validate / check": (
                [chaos(), "--no-version-check", "validate", str(file)],
                [harness(), "check", str(SCENARIO)],
            ),
        }
        found = []
        for name, (theirs, ours) in commands.items():
            taken: dict[str, list[float]] = {"theirs": [], "ours": []}
            for _ in range(times):
                for whose, command in (("theirs", theirs), ("ours", ours)):
                    taken[whose].append(cost(command, cwd=Path(folder)).wall_s)
            found.append((f"command line: {name}, s", median(taken["theirs"]), median(taken["ours"])))
    return found


def _their_parts(theirs: Sequence[Sample]) -> Table:
    parts: dict[str, Callable[[Sample], float]] = {
        "chaos run: wall beyond the plan, s": lambda s: s["tool_beyond_s"],
        "chaos run: CPU, s": lambda s: s["tool_cpu_s"],
        "Toxiproxy's server: CPU, s": lambda s: s["proxy_cpu_s"],
        "target: CPU, s": lambda s: s["target_cpu_s"],
    }
    rows = [(name, median([of(sample) for sample in theirs])) for name, of in parts.items()]
    return table("Theirs, part by part", ("", "median"), rows)


def _our_parts(ours: Sequence[Sample]) -> Table:
    names = {
        "around_s": "command line, worker, judging and report",
        "starting_s": "start of the stack",
        "gate_s": "steady-state gate",
        "baseline_s": "until the fault is due",
        "fault_s": "the fault, which is the plan",
        "observing_s": "looking on after revert",
        "observed_s": "reading the ledger",
        "stopping_s": "stopping the stack",
    }
    rows = [(label, median([sample[key] for sample in ours if key in sample])) for key, label in names.items()]
    return table("Ours, part by part: wall time", ("", "median, s"), rows)


if __name__ == "__main__":
    sys.exit(main("chaostoolkit", measure))
