"""`harness run` on a real, tiny stack that its fault breaks: a guardrail ends the run, and every report says so."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.journal.files import read
from harness.judge.aborting import aborted
from harness.judge.facts import gather
from harness.runner.safekeeping.latch import STATE

pytestmark = pytest.mark.slow

TINY = Path(__file__).parents[1] / "runner" / "tiny"
HARNESS = str(Path(sys.executable).parent / "harness")
RULE = "{probe: availability, at_most: 0.5, over: 500ms}"
SCENARIO = """
schema: 1
scenario: lost
summary: The server is lost.
stack: stack/compose.yaml
timeline:
  - {id: gone, at: 100ms, fault: node.loss, target: {node: a}, for: 50s}
expect:
  stays:
    - {id: serving, probe: availability, at_least: 0.1, over: 40s, min_samples: 5}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(TINY, tmp_path / "stack", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv(STATE, str(tmp_path / "state"))
    return tmp_path


def run(project: Path, scenario: str, *arguments: str) -> tuple[int, str]:
    (project / "lost.scenario.yaml").write_text(scenario)
    command: Sequence[str] = [HARNESS, "run", "lost.scenario.yaml", "-j", "1", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    return done.returncode, said


@pytest.mark.parametrize("place", ["scenario", "stack", "command line"])
def test_the_run_ends_early_and_fails(project: Path, place: str) -> None:
    scenario, arguments = SCENARIO, ()
    if place == "scenario":
        scenario += f"abort_if: [{RULE}]\n"
    elif place == "stack":
        file = project / "stack" / "compose.yaml"
        file.write_text(
            file.read_text().replace("  stack: tiny\n", f"  stack: tiny\n  guardrails: {{abort_if: [{RULE}]}}\n")
        )
    else:
        arguments = ("--abort-if", RULE)
    code, said = run(project, scenario, *arguments)
    assert "aborted by guardrail: availability at most 0.5 over 500ms (" in said
    suite = project / "reports" / "latest"
    journal = read(suite / "lost")
    assert journal.closed is not None
    assert journal.closed.reason == "aborted"
    reverted = journal.fault_stage("gone", "reverted")
    assert reverted is not None
    assert reverted[1].hi_s < 40
    found = aborted(gather(journal))
    assert found is not None
    assert found.value == "fail"
    # A machine that makes the harness itself late leaves the run as a whole unknown.
    assert code == (3 if "harness late" in said else 1)
    for report in ("junit.xml", "summary.md", "index.html", "lost/report.html", "lost/verdict.json"):
        assert "aborted by guardrail" in (suite / report).read_text("utf-8"), report
    page = (suite / "lost" / "report.html").read_text("utf-8")
    assert "a guardrail is crossed: availability at most 0.5 over 500ms" in page
    [clause] = [
        one for one in json.loads((suite / "lost/verdict.json").read_text())["clauses"] if one["kind"] == "abort"
    ]
    assert clause["measured"]["rule"] == "availability at most 0.5 over 500ms"


def test_what_must_never_be_touched_is_refused_before_anything_starts(project: Path) -> None:
    file = project / "stack" / "compose.yaml"
    file.write_text(file.read_text().replace("  stack: tiny\n", "  stack: tiny\n  never_touch: [server]\n"))
    code, said = run(project, SCENARIO)
    assert code == 2
    assert "lost.scenario.yaml:7: timeline.0.target: node.loss touches the service 'server'" in said
    assert not (project / "reports").exists()


def test_a_plan_beyond_a_limit_of_the_command_line_is_refused_before_anything_starts(project: Path) -> None:
    code, said = run(project, SCENARIO, "--limit", "fault_time=5s")
    assert code == 2
    assert "lost.scenario.yaml:7: timeline.0.for: faults are in for 50s, all in all" in said
    assert not (project / "reports").exists()
