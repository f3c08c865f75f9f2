"""Guardrails in a session of pytest: an abort fails the test, and what must never be touched is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from projects import outcomes, write

from harness.runner.safekeeping.latch import STATE

pytestmark = pytest.mark.slow

TINY = Path(__file__).parents[1] / "runner" / "tiny"
SCENARIO = """
schema: 1
scenario: one
summary: The server is lost.
stack: stack/compose.yaml
timeline:
  - {id: gone, at: 100ms, fault: node.loss, target: {node: a}, for: 50s}
expect:
  stays:
    - {id: serving, probe: availability, at_least: 0.9, min_samples: 5}
"""
BY_HAND = """
import pytest


@pytest.mark.stack("stack/compose.yaml", abort_if=[{"probe": "availability", "at_most": 0.5, "over": "500ms"}])
def test_by_hand(chaos):
    with chaos.fault("node.loss", node="a"):
        chaos.observe("50s")
    raise AssertionError("it must not come so far")
"""


@pytest.fixture
def tiny(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    shutil.copytree(TINY, project.path / "stack", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv(STATE, str(project.path / "state"))
    return project


def test_an_abort_ends_a_test_by_hand(tiny: pytest.Pytester) -> None:
    write(tiny, "test_by_hand.py", BY_HAND)
    result = tiny.runpytest_subprocess(timeout=100)
    assert outcomes(result) == {"failed": 1}
    text = result.stdout.str()
    assert "aborted by guardrail: availability at most 0.5 over 500ms (" in text
    assert "it must not come so far" not in text.partition("short test summary")[2]


def test_what_must_never_be_touched_is_an_error_of_the_file_or_at_the_call(tiny: pytest.Pytester) -> None:
    file = tiny.path / "stack" / "compose.yaml"
    file.write_text(file.read_text().replace("  stack: tiny\n", "  stack: tiny\n  never_touch: [server]\n"))
    write(tiny, "one.scenario.yaml", SCENARIO)
    write(tiny, "test_by_hand.py", BY_HAND)
    result = tiny.runpytest_subprocess("--continue-on-collection-errors", timeout=100)
    assert outcomes(result) == {"error": 1, "failed": 1}
    text = result.stdout.str()
    assert "one.scenario.yaml:6: timeline.0.target: node.loss touches the service 'server'" in text
    assert text.count("node.loss touches the service 'server'") >= 2
    assert not list(tiny.path.glob("reports/pytest/*/journal.jsonl")), "nothing was started"
