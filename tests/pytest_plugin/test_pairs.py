"""Paired sessions: each run is judged with its own control, for files and for tests written by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from projects import Run, outcomes, write

from harness.journal.files import read

TINY = Path(__file__).parents[1] / "runner" / "tiny"
ALERTS = '  alert_sources: [{kind: prometheus, url: "http://server:18001", heartbeat: evaluations_total}]\n'
SCENARIO = """
schema: 1
scenario: lost
summary: The node of a bystander is lost.
stack: ./tiny/compose.yaml
timeline:
  - {id: gone, at: 0s, fault: node.loss, target: {node: b}, for: 500ms}
expect: {churn_at_most: [{id: steady, service: server, at_most: 9}]}
"""
BY_HAND = """
import pytest

calls = []


@pytest.fixture
def lost(chaos):
    return lambda: chaos.fault("node.loss", node="b", id="gone")


@pytest.mark.stack("./tiny/compose.yaml")
def test_lost(lost, chaos):
    calls.append(1)
    with lost():
        pass
    chaos.expect("churn_at_most", id="steady", service="server", at_most=9)


def test_it_was_called_for_the_control_too():
    assert len(calls) == 2
"""


@pytest.mark.stack_run
@pytest.mark.timeout(400)
def test_runs_and_their_controls_are_judged_as_pairs(project: pytest.Pytester, run: Run) -> None:
    shutil.copytree(TINY, project.path / "tiny")
    compose = project.path / "tiny" / "compose.yaml"
    text = compose.read_text("utf-8")
    assert "  workload:\n" in text
    compose.write_text(text.replace("  workload:\n", f"{ALERTS}  workload:\n"), "utf-8")
    write(project, "lost.scenario.yaml", SCENARIO)
    write(project, "test_lost.py", BY_HAND)
    result = run("--harness-paired", "--harness-seed", "7", "-p", "no:randomly")
    assert outcomes(result) == {"passed": 3}
    suite = json.loads((project.path / "reports/pytest/suite.json").read_text("utf-8"))
    runs = {one["run_dir"]: (one["twin"], one["verdict"]) for one in suite["scenarios"]}
    assert runs == {
        "lost": (None, "pass"), "lost~control": ("control", "pass"),
        "test_lost": (None, "pass"), "test_lost~control": ("control", "pass"),
    }  # fmt: skip
    for name in ("lost", "test_lost"):
        control = read(project.path / "reports/pytest" / f"{name}~control").plan
        assert (control.control_of, control.seed, control.faults_on) == (name, 7, False)
        assert (project.path / "reports/pytest" / name / "report.html").is_file()
