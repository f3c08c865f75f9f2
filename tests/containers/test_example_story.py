"""The stories of the READMEs in `examples/` by their own commands: a pass, a finding and the fix.

Five runs on an engine; the rest of the tables takes half an hour and is run by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from example_images import FEAST, MLFLOW, RAY_SERVE, Example
from images import base_image

from harness.model.machine import MACHINE_BUSY

pytestmark = [pytest.mark.docker, pytest.mark.stack_run, pytest.mark.timeout(1700)]
TRIES = 3
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run one scenario of an example by the command line; return the exit code and its entry in `suite.json`.

    Images are built locally, and ports are free ones. A run on a busy machine is `unknown`, says so, and is repeated.
    """

    def command(example: Example, scenario: str, *options: str) -> tuple[int, dict[str, Any]]:
        images = example.variables() | {"HARNESS_PROXY_IMAGE": base_image(), "HARNESS_TOOLS_IMAGE": base_image()}
        environment = {**os.environ, **images, **dict.fromkeys(example.ports, "0")}
        for _ in range(TRIES):
            code, found = once(example.folder, environment, scenario, *options)
            if not any(word in reason for reason in found["reasons"] for word in ("harness late", MACHINE_BUSY)):
                break
        return code, found

    def once(folder: Path, environment: dict[str, str], scenario: str, *options: str) -> tuple[int, dict[str, Any]]:
        argv = ["run", f"scenarios/{scenario}.scenario.yaml", "--backend", "compose", "--reports", str(tmp_path)]
        done = subprocess.run(
            [sys.executable, "-c", "from harness.cli import main; raise SystemExit(main())", *argv, *options],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        suite = tmp_path / "latest" / "suite.json"
        assert suite.is_file(), done.stdout + done.stderr
        (found,) = json.loads(suite.read_text(encoding="utf-8"))["scenarios"]
        return done.returncode, found

    return command


def test_a_hanging_tracking_server_is_detected_and_affects_no_user(run: Run) -> None:
    code, found = run(MLFLOW, "tracking-hangs")
    assert (code, found["verdict"]) == (0, "pass"), found["reasons"]
    assert [one["alert"] for one in found["detection"] if one["met"]] == ["MlflowDown"]


def test_a_feed_that_is_cut_off_is_not_detected(run: Run) -> None:
    code, found = run(MLFLOW, "feed-cut-off")
    assert (code, found["verdict"]) == (1, "fail"), found["reasons"]
    assert found["reasons"] == ["DataStale did not fire within 15 s of injection, nor later"]


def test_with_the_missing_rule_it_is_detected(run: Run) -> None:
    code, found = run(MLFLOW, "feed-cut-off", "--stack", "compose.fixed.harness.yaml")
    assert (code, found["verdict"]) == (0, "pass"), found["reasons"]


def test_a_source_of_features_that_stands_still_is_not_detected(run: Run) -> None:
    code, found = run(FEAST, "source-stopped")
    assert (code, found["verdict"]) == (1, "fail"), found["reasons"]
    assert "DriversStale did not fire within 45 s of injection, nor later" in found["reasons"]


def test_a_payment_without_a_profile_is_flagged_and_detected(run: Run) -> None:
    code, found = run(RAY_SERVE, "redis-lost", "--stack", "compose.fixed.harness.yaml")
    assert (code, found["verdict"]) == (0, "pass"), found["reasons"]
    assert [one["alert"] for one in found["detection"] if one["met"]] == ["ProfilesMissing"]
    assert found["damage"]["flagged"] > 0
