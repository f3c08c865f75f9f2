"""A latch in a session of pytest: it ends the run that goes on, and keeps those that follow from starting."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from projects import outcomes, write

from harness.journal.files import read
from harness.runner.safekeeping.latch import STATE, set_latch

pytestmark = pytest.mark.slow

TINY = Path(__file__).parents[1] / "runner" / "tiny"
SCENARIO = """
schema: 1
scenario: {name}
summary: A bystander is lost.
stack: stack/compose.yaml
timeline:
  - {{id: gone, at: 100ms, fault: node.loss, target: {{node: b}}, for: 50s}}
expect:
  stays:
    - {{id: serving, probe: availability, at_least: 0.9, min_samples: 5}}
"""
BY_HAND = """
import pytest


@pytest.mark.stack("stack/compose.yaml")
def test_by_hand(chaos):
    with chaos.fault("node.loss", node="b"):
        chaos.observe("50s")
"""

NESTED = """
import sys
import pytest

WORDS = ["sh", "-c"]


def by_commands(name, first=":"):
    return {
        "prepare": [*WORDS, f"cp conf bak{name}"],
        "inject": [*WORDS, f"echo {name} > conf"],
        "confirm": [*WORDS, f"grep -q {name} conf"],
        "revert": [*WORDS, f"{first}; cp bak{name} conf"],
        "absent": [*WORDS, f"! grep -q {name} conf"],
    }


@pytest.mark.stack("stack/compose.yaml")
def test_by_hand(chaos):
    with chaos.fault("command", service="server", **by_commands("one")):
        with chaos.fault("command", service="bystander", **by_commands("two", "sleep 1")):
            chaos.observe("50s")
"""


@pytest.fixture
def tiny(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    shutil.copytree(TINY, project.path / "stack", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv(STATE, str(project.path / "state"))
    return project


def stopped_with(project: pytest.Pytester, name: str, faults: int = 1) -> tuple[int, str]:
    """Run a file, and stop all runs once that many faults are in. Returns the exit code and what was said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", name],
        cwd=project.path,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        deadline_s = time.monotonic() + 60
        while injected(project) < faults:
            assert time.monotonic() < deadline_s
            assert process.poll() is None
            time.sleep(0.05)
        set_latch("all")
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode, out


def injected(project: pytest.Pytester) -> int:
    files = project.path.glob("reports/pytest/*/*.jsonl")
    return sum(file.read_text("utf-8").count('"stage":"injected"') for file in files)


def test_no_run_starts_and_the_latch_is_named(tiny: pytest.Pytester) -> None:
    write(tiny, "one.scenario.yaml", SCENARIO.format(name="one"))
    write(tiny, "test_by_hand.py", BY_HAND)
    set_latch("tiny", "an incident")
    result = tiny.runpytest_subprocess(timeout=100)
    assert outcomes(result) == {"error": 1, "failed": 1}
    text = result.stdout.str()
    assert text.count("runs of 'tiny' are stopped (by ") >= 2
    assert "harness stop --release tiny" in text
    assert not list(tiny.path.glob("reports/pytest/*/journal.jsonl"))


@pytest.mark.parametrize("name", ["one.scenario.yaml", "test_by_hand.py"])
def test_the_run_that_goes_on_reverts_and_ends(tiny: pytest.Pytester, name: str) -> None:
    write(tiny, name, BY_HAND if name.endswith(".py") else SCENARIO.format(name="one"))
    code, out = stopped_with(tiny, name)
    assert code == 1
    assert "UNKNOWN" in out
    assert "stopped by " in out
    [file] = tiny.path.glob("reports/pytest/*/journal.jsonl")
    journal = read(file)
    assert journal.closed is not None
    assert journal.closed.reason == "stopped"
    assert journal.fault_stage(journal.plan.scenario.timeline[0].id, "reverted") is not None


def test_faults_that_lie_on_one_another_come_out_newest_first(tiny: pytest.Pytester) -> None:
    conf = tiny.path / "stack" / "conf"
    conf.write_text("as it was\n", encoding="utf-8")
    write(tiny, "test_by_hand.py", NESTED)
    stopped_with(tiny, "test_by_hand.py", faults=2)
    assert conf.read_text(encoding="utf-8") == "as it was\n"
    assert len(list(tiny.path.glob("reports/pytest/*/undo/*.gone.json"))) == 2
    assert list(tiny.path.glob("reports/pytest/*/undo/ended.json"))
