"""The parts of `examples/` that need no engine: its requests, and its settings with and without `.env`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from example_images import EXAMPLES, Example

from harness.description.interpolation import interpolate
from harness.probes.request_file import read_requests

every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


@every_example
def test_the_requests_are_those_that_make_requests_writes(example: Example) -> None:
    script = example.folder / "make_requests.py"
    made = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert made.stdout == (example.folder / "requests.jsonl").read_text(encoding="utf-8")


@every_example
def test_half_of_the_expected_answers_are_yes(example: Example) -> None:
    """A model that always gives the same answer is wrong half of the time."""
    read = read_requests(example.folder / "requests.jsonl", rate=20)
    expected = [request.expect.values[example.decision] for request in read.requests if request.expect]
    assert len(expected) == 400
    assert sum(expected) == 200


@every_example
def test_env_sets_only_variables_of_the_compose_file(example: Example) -> None:
    """A variable that the compose file no longer has would leave the tests with production intervals."""
    compose = (example.folder / "compose.yaml").read_text(encoding="utf-8")
    lines = (example.folder / ".env").read_text(encoding="utf-8").splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    unused = [name for name in settings if f"${{{name}:-" not in compose and not name.startswith("COMPOSE_")]
    assert not unused
    assert interpolate("${HEALTH_INTERVAL:-10s}", settings) == settings["HEALTH_INTERVAL"] == "5s"
