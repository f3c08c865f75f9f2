"""Suites run as a user runs them: `harness run` in a separate process, then read back from its reports."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import ROOT, CannotMeasureError, say
from harness.journal.files import read
from harness.journal.records import Journal
from harness.report.documents import SuiteDocument, SuiteScenario

SCENARIOS = ROOT / "scenarios"
WITHIN_S = 1800.0


@dataclass(frozen=True)
class Suite:
    """One finished suite. `wall_s` is of the whole process, from its start to its exit."""

    folder: Path
    exit_code: int
    wall_s: float
    document: SuiteDocument

    @property
    def runs(self) -> tuple[SuiteScenario, ...]:
        """The judged runs."""
        return self.document.scenarios

    def journal(self, run: SuiteScenario) -> Journal:
        """Read the journal of one of its runs."""
        return read(self.folder / run.run_dir)


def harness() -> str:
    """Return where the program `harness` of this environment is."""
    program = Path(sys.executable).parent / "harness"
    if not program.exists():
        raise CannotMeasureError(f"{program} is missing; run make install")
    return str(program)


def run_suite(
    paths: Sequence[Path],
    out: Path,
    name: str,
    *,
    jobs: int,
    tag: str | None = None,
    seed: int | None = None,
    backend: str = "local",
    twin: str | None = None,
    may_break: bool = False,
) -> Suite:
    """Run a suite and wait for its end. Raises CannotMeasureError where the harness itself failed.

    `may_break`: a run that the harness could not bring to its end is part of what is measured.
    """
    command = [harness(), "run", *map(str, paths), "--reports", str(out), "--name", name, "-j", str(jobs)]
    command += ["--backend", backend]
    command += ["--tag", tag] if tag is not None else []
    command += ["--seed", str(seed)] if seed is not None else []
    command += ["--twin", twin] if twin is not None else []
    began_s = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    wall_s = time.monotonic() - began_s
    folder = out if out.is_absolute() else ROOT / out
    file = folder / name / "suite.json"
    if done.returncode not in (0, 1, 3, *([4] if may_break else [])) or not file.exists():
        output = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CannotMeasureError(f"harness run ended with {done.returncode}: {output}")
    suite = Suite(folder / name, done.returncode, wall_s, SuiteDocument.model_validate_json(file.read_text()))
    verdicts = ", ".join(f"{run.name} {run.verdict}" for run in suite.runs)
    say(f"{name}: {wall_s:.1f} s: {verdicts}")
    return suite


def copies(folder: Path, times: int, tag: str = "demo", scenarios: Path = SCENARIOS) -> list[Path]:
    """Write so many copies of the scenarios with a tag, each under its own name, and return the files."""
    found = []
    for file in sorted(scenarios.rglob("*.scenario.yaml")):
        text = file.read_text()
        name = re.search(r"^scenario: *(\S+) *$", text, re.MULTILINE)
        tags = re.search(r"^tags: *\[(.*)\]", text, re.MULTILINE)
        if name is None or tags is None or tag not in re.split(r",\s*", tags[1]):
            continue
        for k in range(1, times + 1):
            renamed = f"{name[1]}-{k}"
            copy = folder / f"{renamed}.scenario.yaml"
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(f"{text[: name.start()]}scenario: {renamed}{text[name.end() :]}")
            found.append(copy)
    if not found:
        raise CannotMeasureError(f"no scenario under {scenarios} has the tag {tag}")
    return found


def original(name: str) -> str:
    """Return the name of the scenario that a copy was made from."""
    return re.sub(r"-\d+$", "", name)
