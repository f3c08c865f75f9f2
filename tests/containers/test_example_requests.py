"""The parts of `examples/mlflow` that need no engine: its requests, and its settings with and without `.env`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness.description.interpolation import interpolate
from harness.probes.request_file import read_requests

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mlflow"


def test_the_requests_are_those_that_make_requests_writes() -> None:
    made = subprocess.run([sys.executable, EXAMPLE / "make_requests.py"], capture_output=True, text=True, check=True)
    assert made.stdout == (EXAMPLE / "requests.jsonl").read_text(encoding="utf-8")


def test_half_of_the_requests_are_about_late_deliveries() -> None:
    read = read_requests(EXAMPLE / "requests.jsonl", rate=20)
    expected = [request.expect.values["predictions.0"] for request in read.requests if request.expect]
    assert len(expected) == 400
    assert sum(expected) == 200


def test_env_sets_only_variables_of_the_compose_file() -> None:
    """A variable that the compose file no longer has would leave the tests with production intervals."""
    compose = (EXAMPLE / "compose.yaml").read_text(encoding="utf-8")
    lines = (EXAMPLE / ".env").read_text(encoding="utf-8").splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    unused = [name for name in settings if f"${{{name}:-" not in compose and not name.startswith("COMPOSE_")]
    assert not unused
    assert interpolate("${RETRAIN_EVERY_S:-3600}", settings) == settings["RETRAIN_EVERY_S"]
