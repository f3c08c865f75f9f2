"""`python -m tests.fuzz --seconds N [TARGET …]`: coverage-guided fuzzing of every reader of foreign input, in turn.

Needs atheris (`pip install atheris`), which is no dependency of the harness. Prints a table of executions and findings;
exits 1 where there is a finding. Inputs of findings and the corpus stay in --out.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import TARGETS

LONGEST_INPUT_S = 5
MOST_MEMORY_MIB = 1024
LONGEST_INPUT_BYTES = 32_768
GRACE_S = 120


@dataclass
class Fuzzed:
    """What came of one target."""

    name: str
    executions: int = 0
    edges: int = 0
    seconds: float = 0.0


def fuzz(name: str, folder: Path, seconds: int) -> Fuzzed:
    """Fuzz one target for so long, again and again where an input ends the process."""
    result, began_s = Fuzzed(name), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    while (left_s := round(seconds - result.seconds)) > 0:
        options = [
            f"-max_total_time={left_s}", f"-timeout={LONGEST_INPUT_S}", f"-rss_limit_mb={MOST_MEMORY_MIB}",
            f"-max_len={LONGEST_INPUT_BYTES}", f"-artifact_prefix={folder / 'findings'}/", "-print_final_stats=1",
        ]  # fmt: skip
        command = [sys.executable, "-m", "tests.fuzz.child", name, str(folder), *options]
        with (folder / "log.txt").open("ab") as log:
            start = log.tell()
            with suppress(subprocess.TimeoutExpired):  # it was done, and did not end: libFuzzer looks after slow inputs
                subprocess.run(command, stdout=log, stderr=log, check=False, timeout=left_s + GRACE_S)
        said = (folder / "log.txt").read_bytes()[start:].decode("utf-8", "replace")
        tried = re.findall(r"stat::number_of_executed_units: (\d+)", said) or re.findall(r"^#(\d+)", said, re.MULTILINE)
        if not tried:
            raise SystemExit(f"{name}: the fuzzer did not start; see {folder / 'log.txt'}")
        result.executions += int(tried[-1])
        result.edges = max([result.edges, *map(int, re.findall(r"cov: (\d+)", said))])
        result.seconds = time.monotonic() - began_s
    return result


def findings_in(name: str, folder: Path) -> list[str]:
    """Return what was found: the first line of each finding, or the name of an input that took too much."""
    files = sorted((folder / "findings").glob("*"))
    texts = [file.read_text("utf-8").split("\n")[0] for file in files if file.suffix == ".txt"]
    slow = [file for file in files if file.name.startswith(("timeout-", "slow-unit-")) and takes_long(name, file)]
    return texts + [file.name for file in files if file in slow or file.name.startswith(("oom-", "crash-"))]


def takes_long(name: str, file: Path) -> bool:
    """Whether an input takes too long by itself: libFuzzer goes by the clock, and the machine may have been busy."""
    code = (
        "import pathlib, sys, time\nfrom tests.fuzz.targets import TARGETS, run\n"
        "data, began_s = pathlib.Path(sys.argv[2]).read_bytes(), time.process_time()\n"
        f"run(TARGETS[sys.argv[1]], data)\nsys.exit(time.process_time() - began_s > {LONGEST_INPUT_S})"
    )
    command = [sys.executable, "-c", code, name, str(file)]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=GRACE_S).returncode != 0
    except subprocess.TimeoutExpired:  # it waits for something
        return True


def main() -> int:
    """Fuzz the targets and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all of them")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--out", type=Path, default=Path("reports/fuzz"), help="where corpus and findings stay")
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: pip install atheris (it has wheels for Linux on x86-64)")
    wrong = [name for name in given.targets if name not in TARGETS]
    if wrong:
        parser.error(f"there is no target {wrong[0]!r}: {', '.join(TARGETS)}")
    print("| target | seconds | executions | edges covered | findings |\n|--|--|--|--|--|", flush=True)
    found: list[str] = []
    for name in given.targets or TARGETS:
        folder = given.out.absolute() / name
        fuzzed = fuzz(name, folder, given.seconds)
        here = findings_in(name, folder)
        found += [f"{name}: {finding}" for finding in here]
        print(f"| {name} | {fuzzed.seconds:.0f} | {fuzzed.executions:,} | {fuzzed.edges:,} | {len(here)} |", flush=True)
    print("".join(f"\n{finding}" for finding in found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
