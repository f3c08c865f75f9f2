"""The scenarios in `scenarios/` on the real stack: they pass, their twins pass, their sabotages are caught.

Each suite runs once, by the command line, and the test reads its `suite.json`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEMO = {"stale-data", "corrupted-features", "slow-storage", "node-loss"}
pytestmark = [pytest.mark.stack_run, pytest.mark.timeout(900)]


def suite(tmp_path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run scenarios one after another and return the exit code and the suite's document, with the runs that count."""
    command = [str(Path(sys.executable).parent / "harness"), "run", str(ROOT / "scenarios"), "--reports", str(tmp_path)]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [*command, "--name", "suite", "-j", "1", "--retry-busy", *options],
        capture_output=True,
        text=True,
        env=environment,
        timeout=880,
    )
    file = tmp_path / "suite" / "suite.json"
    assert file.is_file(), done.stderr[-2000:]
    found = json.loads(file.read_text())
    found["scenarios"] = [run for run in found["scenarios"] if run["repeated_by"] is None]
    return done.returncode, found


def test_demo_scenarios_detect_and_recover(tmp_path: Path) -> None:
    code, found = suite(tmp_path, "--tag", "demo")
    by_name = {s["name"]: s for s in found["scenarios"]}
    assert set(by_name) == DEMO
    assert {name: (s["verdict"], s["reasons"]) for name, s in by_name.items()} == {n: ("pass", []) for n in DEMO}
    assert code == 0
    for scenario in by_name.values():
        for fault in scenario["faults"]:
            assert fault["injected_at_s"] < fault["confirmed_at_s"] < fault["reverted_at_s"]
            assert fault["evidence"]
        assert all(d["met"] and d["after_s"] is not None for d in scenario["detection"])
        assert scenario["detection"]
        assert all(r["met"] and r["after_s"] is not None for r in scenario["recovery"])
        assert scenario["recovery"]
    assert by_name["corrupted-features"]["damage"]["rows_hit"] > 0
    assert by_name["stale-data"]["damage"]["flagged"] > 0


def test_no_alert_fires_in_control_runs(tmp_path: Path) -> None:
    code, found = suite(tmp_path, "--twin", "control")
    assert {s["name"]: (s["verdict"], s["reasons"]) for s in found["scenarios"]} == {
        s["name"]: ("pass", []) for s in found["scenarios"]
    }
    assert {s["name"] for s in found["scenarios"]} >= DEMO
    assert not [q for s in found["scenarios"] for q in s["quiet"] if q["fired"]]
    assert code == 0


def test_every_sabotage_is_caught(tmp_path: Path) -> None:
    code, found = suite(tmp_path, "--twin", "sabotage")
    results = {f"{s['name']}: {s['sabotage']}": (s["verdict"], s["caught"], s["reasons"]) for s in found["scenarios"]}
    assert {name: (verdict, caught) for name, (verdict, caught, _) in results.items()} == dict.fromkeys(
        results, ("fail", True)
    ), results
    for name in DEMO:
        kinds = {s["sabotage"].split()[0] for s in found["scenarios"] if s["name"] == name}
        assert kinds == {"alert", "recovery"}
    assert code == 0


def test_nothing_passes_in_misfires_that_should_rest_on_the_fault(tmp_path: Path) -> None:
    code, found = suite(tmp_path, "--twin", "misfire")
    assert {s["name"]: (s["verdict"], s["reasons"]) for s in found["scenarios"]} == {
        s["name"]: ("pass", []) for s in found["scenarios"]
    }
    assert {s["name"] for s in found["scenarios"]} >= DEMO
    for scenario in found["scenarios"]:
        for fault in scenario["faults"]:
            assert fault["confirmed_at_s"] is not None
            assert fault["meant"] not in (None, fault["target"])
    assert code == 0


def test_every_scenario_file_is_a_test() -> None:
    command = [sys.executable, "-m", "pytest", "scenarios", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    files = {str(file.relative_to(ROOT)) for file in (ROOT / "scenarios").rglob("*.scenario.yaml")}
    assert {line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line} == files
