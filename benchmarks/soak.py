"""Many short runs, one after the other: what of a run is still there after the next ones? Exits 1 where anything grows.

`python -m benchmarks.soak [--runs 200] [--minutes M] [--backend local|compose]`

One suite has up to a hundred runs, so that its two processes live long: their open files, memory and children are
sampled all the while. The temporary folder is a private one. With `--backend compose`, containers, networks and volumes
that carry the label of the soak's folder are counted too. Nothing may be left in the end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.figures import Cell, table
from benchmarks.results import OUT, ROOT, Options, Result, run_part, say

MARK = "HARNESS_SOAK"
A_SUITE = 100
EVERY_S = 0.5
END_S = 60.0
MORE_FILES = 5
MORE_MEMORY = 1.2
"""How many times the memory of the second quarter of a suite the last one may have."""
STACKS = {
    "local": ("benchmarks/tiny_stack/compose.yaml", "consumer -> echo", "answering"),
    "compose": ("tests/backends/stack/compose.yaml", "relay -> echo", "soaked"),
}
_SCENARIO = """\
schema: 1
scenario: soak-{number:03}
summary: One of many short runs.
stack: {stack}
timeline:
  - {{id: slow, at: 0s, fault: network.latency, target: {{link: "{link}"}}, with: {{latency: 50ms}}, for: 600ms}}
expect:
  stays:
    - {{id: up, probe: {probe}, at_least: 1, over: 300ms}}
"""
_WITH_A_PROBE = """\
x-harness:
  schema: 1
  stack: soak
  base: [{base}]
  probes: !override
    soaked: {{http: {{url: "http://relay:17102/ask", read: up}}}}
"""


@dataclass(frozen=True)
class Sample:
    """What the processes of a suite have at one time."""

    runs: int
    files: dict[str, int]
    """Open files of the suite's process and of its worker."""
    memory_mib: dict[str, float]
    processes: int
    temporary: int
    on_engine: int


def measure(runs: int, minutes: float, backend: str) -> Result:
    """Run suites until there were so many runs, or until the time is over."""
    until_s = time.monotonic() + minutes * 60
    samples: list[list[Sample]] = []
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp") as made:
        folder = Path(made)
        counted = _engine_counter(folder) if backend == "compose" else lambda: 0
        before_on_engine = counted()
        scenarios = _scenarios(folder, min(runs, A_SUITE), backend)
        while sum(suite[-1].runs for suite in samples) < runs and time.monotonic() < until_s:
            left = runs - sum(suite[-1].runs for suite in samples)
            suite, trouble = _suite(folder, scenarios[:left], backend, until_s, counted)
            wrong += trouble
            if not suite or suite[-1].runs == 0:
                wrong.append(f"the suite ended without a run: {(folder / 'output.txt').read_text()[-500:]}")
                break
            samples.append(suite)
            say(f"{sum(one[-1].runs for one in samples)} of {runs} runs")
        wrong += _left(folder, counted() - before_on_engine)
    for suite in samples:
        wrong += grown(suite)
    rows = [row for k, suite in enumerate(samples, start=1) for row in _rows(k, suite)]
    total = sum(suite[-1].runs for suite in samples)
    columns = ("suite", "of", "first quarter", "second quarter", "last quarter", "most")
    note = f"{total} runs. Left in the end: {', '.join(wrong) if wrong else 'nothing'}."
    return Result([table(f"Soak: {backend}", columns, rows, note)], {"runs": total, "backend": backend}, wrong)


def _scenarios(folder: Path, count: int, backend: str) -> list[Path]:
    stack, link, probe = STACKS[backend]
    file = str(ROOT / stack)
    if backend == "compose":
        over = folder / "stack.yaml"
        over.write_text(_WITH_A_PROBE.format(base=file), encoding="utf-8")
        file = str(over)
    found = []
    for number in range(count):
        path = folder / f"soak-{number:03}.scenario.yaml"
        path.write_text(_SCENARIO.format(number=number, stack=file, link=link, probe=probe), encoding="utf-8")
        found.append(path)
    return found


def _suite(
    folder: Path, scenarios: Sequence[Path], backend: str, until_s: float, counted: Callable[[], int]
) -> tuple[list[Sample], list[str]]:
    """Run one suite and sample it."""
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    words = [sys.executable, "-m", "harness", "run", *map(str, scenarios), "-j", "1", "--backend", backend]
    words += ["--name", "soak", "--reports", str(folder / "reports")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch), MARK: str(folder)}
    samples: list[Sample] = []
    with (folder / "output.txt").open("w") as out:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                if time.monotonic() > until_s:
                    process.send_signal(signal.SIGINT)
                    process.wait(END_S)
                    break
                with contextlib.suppress(psutil.Error, OSError):
                    samples.append(_sample(process.pid, folder, counted))
                time.sleep(EVERY_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    bad = process.returncode not in (0, 1, 3, 130)
    return samples, [f"the suite ended with exit code {process.returncode}"] if bad else []


def _sample(pid: int, folder: Path, counted: Callable[[], int]) -> Sample:
    suite = psutil.Process(pid)
    files, memory_mib = {"suite": suite.num_fds()}, {"suite": suite.memory_info().rss / 2**20}
    family = suite.children(recursive=True)
    for child in family:
        with contextlib.suppress(psutil.Error):
            if "harness.runner.execution.worker" in child.cmdline():
                files["worker"] = child.num_fds()
                memory_mib["worker"] = child.memory_info().rss / 2**20
    begun = len(list((folder / "reports" / "soak").glob("*/journal.jsonl")))
    return Sample(begun, files, memory_mib, len(family), len(list(_temporary(folder))), counted())


def _temporary(folder: Path) -> Iterator[Path]:
    """Yield what lies in the temporary folder; that of the user in it is made once."""
    for entry in (folder / "tmp").glob("*"):
        yield from entry.iterdir() if entry.is_dir() and entry.name.startswith("ml-chaos-") else [entry]


def _left(folder: Path, on_engine: int) -> list[str]:
    """Return what is left when all suites have ended."""
    mark = f"{MARK}={folder}".encode()
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if mark in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                left.append(f"the process {' '.join(process.cmdline())[-80:]}")
    left += [f"the temporary entry {entry.name}" for entry in _temporary(folder)]
    return left + ([f"{on_engine} containers, networks or volumes"] if on_engine else [])


def _engine_counter(folder: Path) -> Callable[[], int]:
    from harness.backends.compose.engine import client
    from harness.backends.compose.labels import FOLDER

    engine = client()
    mine = {"label": f"{FOLDER}={os.path.realpath(folder)}"}

    def counted() -> int:
        found = len(engine.api.containers(all=True, filters=mine)) + len(engine.api.networks(filters=mine))
        return found + len(engine.api.volumes(filters=mine).get("Volumes") or [])

    return counted


def quarters(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """Return the first, the second and the last quarter of a suite, by its runs."""
    runs = max(1, samples[-1].runs)
    found: list[list[Sample]] = [[], [], [], []]
    for one in samples:
        found[min(3, 4 * one.runs // runs)].append(one)
    return found[0] or found[-1], found[1] or found[-1], found[-1]


def grown(samples: Sequence[Sample]) -> list[str]:
    """Return what grew in the course of a suite. One of a few runs shows nothing."""
    if samples[-1].runs < 8:
        return []
    first, second, last = quarters(samples)
    wrong = []
    for name in ("suite", "worker"):
        if not all(any(name in one.files for one in part) for part in (first, second, last)):
            continue
        files = [statistics.median(one.files[name] for one in part if name in one.files) for part in (first, last)]
        if files[1] > files[0] + MORE_FILES:
            wrong.append(f"open files of the {name}: {files[0]:g} in the first quarter, {files[1]:g} in the last")
        memory = [statistics.median(one.memory_mib[name] for one in part if name in one.memory_mib)
                  for part in (second, last)]  # fmt: skip
        if memory[1] > memory[0] * MORE_MEMORY:
            wrong.append(
                f"memory of the {name}: {memory[0]:.0f} MiB in the second quarter, {memory[1]:.0f} in the last"
            )
    for what in ("processes", "temporary", "on_engine"):
        least = [min(getattr(one, what) for one in part) for part in (second, last)]
        if least[1] > least[0] + 1:
            wrong.append(f"{what}: {least[0]} at least in the second quarter, {least[1]} in the last")
    return wrong


def _rows(number: int, samples: Sequence[Sample]) -> Iterator[list[Cell]]:
    parts = quarters(samples)

    def row(title: str, value: Callable[[Sample], float | None]) -> list[Cell]:
        cells: list[Cell] = []
        for part in parts:
            found = [x for one in part if (x := value(one)) is not None]
            cells.append(round(statistics.median(found), 1) if found else None)
        most = [x for one in samples if (x := value(one)) is not None]
        return [number, title, *cells, max(most) if most else None]

    for name in ("suite", "worker"):
        yield row(f"open files, {name}", lambda one, name=name: one.files.get(name))  # type: ignore[misc]
        yield row(f"memory of the {name}, MiB", lambda one, name=name: one.memory_mib.get(name))  # type: ignore[misc]
    yield row("processes below the suite", lambda one: one.processes)
    yield row("temporary entries", lambda one: one.temporary)
    yield row("on the engine", lambda one: one.on_engine)


def main() -> int:
    """Run by itself."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--runs", type=int, default=200, help="how many runs (200)")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so many minutes (60)")
    parser.add_argument("--backend", choices=sorted(STACKS), default="local")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"where figures go ({OUT})")
    given = parser.parse_args()
    name = "soak" if given.backend == "local" else "soak-compose"
    return run_part(name, lambda _: measure(given.runs, given.minutes, given.backend), Options(out=given.out))


if __name__ == "__main__":
    raise SystemExit(main())
