"""Faults on the links of a real, small stack: they act on every port that is used, and count only where it is used."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.stack_run]

STACK = Path(__file__).parent / "two_ports"
HARNESS = str(Path(sys.executable).parent / "harness")
SCENARIO = """
schema: 1
scenario: late
summary: The back answers late.
stack: stack/compose.yaml
timeline:
  - {{id: late, at: 1s, fault: network.latency, with: {{latency: 400ms}}, target: {{link: "{link}"}}, for: 4s}}
expect:
  recovered:
    - {{id: quick, probe: latency_p99, at_most: 250ms, within: 8s}}
"""


def verdict(folder: Path, link: str) -> dict[str, Any]:
    shutil.copytree(STACK, folder / "stack", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "late.scenario.yaml").write_text(SCENARIO.format(link=link))
    command = [HARNESS, "run", "late.scenario.yaml", "-j", "1", "--retry-busy", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1])["scenarios"][0])


def test_a_fault_on_a_link_meets_the_port_that_the_consumer_uses(tmp_path: Path) -> None:
    found = verdict(tmp_path, "front -> back")
    assert found["verdict"] == "pass", found["reasons"]


def test_a_fault_on_a_link_that_nobody_uses_is_never_confirmed(tmp_path: Path) -> None:
    found = verdict(tmp_path, "reader -> back")
    assert found["verdict"] == "unknown"
    assert "no traffic of 'reader' met it" in found["reasons"][0]
