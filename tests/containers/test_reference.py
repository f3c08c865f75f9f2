"""The reference stack in containers: the scenarios of `make demo` have the same verdicts as with local processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from images import variables

ROOT = Path(__file__).parents[2]
DEMO = {"stale-data", "corrupted-features", "slow-storage", "node-loss"}
pytestmark = [pytest.mark.docker, pytest.mark.stack_run, pytest.mark.timeout(900)]


def suite(tmp_path: Path, *options: str) -> dict[str, Any]:
    """Run scenarios by the command line, and return the suite's document."""
    command = [str(Path(sys.executable).parent / "harness"), "run", *options, "--reports", str(tmp_path)]
    environment = {**os.environ, **variables()}
    done = subprocess.run(
        [*command, "--name", "suite", "-j", "1"], capture_output=True, text=True, env=environment, timeout=880
    )
    file = tmp_path / "suite" / "suite.json"
    assert file.is_file(), done.stderr[-2000:]
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_demo_scenarios_have_the_same_verdicts_as_with_processes(tmp_path: Path, nothing_left: None) -> None:
    found = suite(tmp_path / "1", str(ROOT / "scenarios"), "--tag", "demo", "--backend", "compose")
    by_name = {s["name"]: s for s in found["scenarios"]}
    # A busy machine makes a run `unknown`; it is repeated. A `fail` is final.
    for again in ("2", "3"):
        open_ones = [name for name, s in by_name.items() if s["verdict"] == "unknown"]
        if open_ones:
            expression = " or ".join(open_ones)
            repeated = suite(tmp_path / again, str(ROOT / "scenarios"), "-k", expression, "--backend", "compose")
            by_name |= {s["name"]: s for s in repeated["scenarios"]}
    assert set(by_name) == DEMO
    assert {name: (s["verdict"], s["reasons"]) for name, s in by_name.items()} == dict.fromkeys(DEMO, ("pass", []))
    for scenario in by_name.values():
        assert all(f["injected_at_s"] < f["confirmed_at_s"] < f["reverted_at_s"] for f in scenario["faults"])
        assert all(d["met"] for d in scenario["detection"])
        assert all(r["met"] for r in scenario["recovery"])


def test_alerts_of_a_real_prometheus_and_alertmanager(
    tmp_path: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from example_images import MLFLOW

    for name, value in MLFLOW.variables().items():
        monkeypatch.setenv(name, value)
    stack = str(ROOT / "compose" / "compose.prometheus.yaml")
    scenario = str(ROOT / "scenarios" / "data" / "stale-data.scenario.yaml")
    for again in ("1", "2", "3"):
        found = suite(tmp_path / again, scenario, "--stack", stack, "--backend", "compose")["scenarios"][0]
        if found["verdict"] != "unknown":
            break
    detected = {d["id"]: d["met"] for d in found["detection"]}
    assert detected == {"seen": True}, found["reasons"]
    assert found["verdict"] == "pass", found["reasons"]
    journal = tmp_path / again / "suite" / "stale-data" / "journal.jsonl"
    records = [json.loads(line) for line in journal.read_text("utf-8").splitlines()]
    sources = {
        record["source"]
        for record in records
        if record["kind"] == "alerts" and "FeaturesStale" in {alert["name"] for alert in record.get("firing", ())}
    }
    assert sources == {"http://prometheus:19090", "http://alertmanager:19093"}
