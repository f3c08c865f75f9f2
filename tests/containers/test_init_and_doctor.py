"""From an ordinary compose file to `harness doctor`, on a stack that it starts and on an attached one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from images import base_image

from harness.backends.compose.labels import STACK as STACK_LABEL

pytestmark = pytest.mark.docker

PROGRAM = Path(__file__).parents[1] / "cli" / "doctor_stack" / "doctor_stack_server.py"
COMPOSE = """\
version: "3.8"
x-service: &service
  image: ${CLINIC_IMAGE}
  volumes: ["./program.py:/program.py:ro"]
  restart: always
  stop_grace_period: 1s
services:
  store:
    <<: *service
    command: [python3, /program.py, 0.0.0.0, "18002"]
    expose: ["18002"]
    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:18002/"], interval: 1s, retries: 30}
  serving:
    <<: *service
    command: [python3, /program.py, 0.0.0.0, "18001"]
    environment: {STORE: "http://store:18002", PORT: "18001"}
    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:18001/ping"], interval: 1s, retries: 30}
"""
LATE_STORE = """\
schema: 1
scenario: late-store
summary: The store answers late.
stack: ../compose.harness.yaml
timeline:
  - {id: late, at: 1s, fault: network.latency, target: {link: serving -> store}, with: {latency: 100ms}, for: 5s}
expect: {stays: [{id: up, probe: serving_up, at_least: 1}]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a team's compose file and the output of `harness init`."""
    folder = tmp_path / f"clinic{uuid.uuid4().hex[:6]}"
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE)
    shutil.copy(PROGRAM, folder / "program.py")
    for name in ("CLINIC_IMAGE", "HARNESS_PROXY_IMAGE", "HARNESS_TOOLS_IMAGE"):
        monkeypatch.setenv(name, base_image())
    code, out = harness(folder, "init")
    assert code == 0, out
    code, out = harness(folder, "check")
    assert code == 0, out
    return folder


def harness(folder: Path, *arguments: str) -> tuple[int, str]:
    """Call the command line in a folder; return its exit code and output."""
    done = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; raise SystemExit(main())", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout or done.stderr


def visit(folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    options = ("--backend", "compose", "--watch", "2s", "--json")
    code, out = harness(folder, "doctor", "compose.harness.yaml", "scenarios", *options, *arguments)
    assert code in (0, 1), out
    return code, {f"{one['area']} {one['name']}": one for one in json.loads(out)["findings"]}


def test_doctor_on_a_stack_that_it_starts(project: Path) -> None:
    code, found = visit(project, "--start")
    wrong = {name: one["says"] for name, one in found.items() if one["state"] == "wrong" and one["area"] != "machine"}
    assert wrong == {}
    assert found["link serving -> store"]["says"].startswith("runs through the proxy")
    assert found["probe serving_up"]["says"].startswith("1 ")
    assert found["scenario crashed-serving"]["says"] == "nothing is missing"
    assert found["machine engine"]["state"] == "ok"
    assert code == (1 if any(one["state"] == "wrong" for one in found.values()) else 0)
    assert left_of(project) == []


@pytest.fixture
def running(project: Path) -> Iterator[Path]:
    """The team's stack, started by their own command, without the harness."""
    compose = ["docker-compose", "-p", project.name, "-f", "compose.yaml"]
    call = {"cwd": project, "capture_output": True, "text": True, "timeout": 120, "env": dict(os.environ)}
    try:
        subprocess.run([*compose, "up", "-d"], check=True, **call)  # type: ignore[call-overload]
        yield project
    finally:
        subprocess.run([*compose, "down", "-v", "-t", "1"], check=False, **call)  # type: ignore[call-overload]


def left_of(project: Path) -> list[str]:
    """Return the containers, networks and volumes that the harness left on the engine for this stack."""
    mine = ["--filter", f"label={STACK_LABEL}={project.name}", "-q"]
    listings = (["docker", "ps", "-a", *mine], ["docker", "network", "ls", *mine], ["docker", "volume", "ls", *mine])
    outputs = [subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in listings]
    return " ".join(outputs).split()


def containers(project: Path) -> list[tuple[str, str]]:
    """Return every container of the project with its start time."""
    ids = subprocess.run(
        ["docker", "ps", "-aq", "--no-trunc", "--filter", f"label=com.docker.compose.project={project.name}"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    inspected = json.loads(
        subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True).stdout
    )
    return sorted((one["Id"], one["State"]["StartedAt"]) for one in inspected)


def test_doctor_on_a_running_stack_leaves_it_unchanged(running: Path) -> None:
    (running / "scenarios" / "late-store.scenario.yaml").write_text(LATE_STORE)
    before = containers(running)
    _, found = visit(running, "--attach", running.name)
    assert containers(running) == before
    assert found[f"stack {running.name}"]["says"] == f"attached to the project {running.name}"
    assert found["service serving"]["state"] == "ok"
    link = found["link serving -> store"]
    assert (link["state"], link["confirms"]) == ("note", [])
    assert "; could be confirmed through one: network.latency, " in link["says"], "its service was asked directly"
    why = "network.latency cannot be confirmed on the link serving -> store: runs directly"
    assert why in found["scenario late-store"]["says"]
    subprocess.run(["docker", "stop", "-t", "1", f"{running.name}_store_1"], check=True, capture_output=True)
    code, found = visit(running, "--attach", running.name)
    assert code == 1
    assert (found["service store"]["state"], found["service serving"]["state"]) == ("wrong", "ok")
    assert found["probe store_up"]["state"] == "wrong"
    assert "probe store_up" in found["scenario crashed-serving"]["says"]
    assert left_of(project) == []


def test_doctor_on_a_project_that_does_not_run(project: Path) -> None:
    code, out = harness(project, "doctor", "compose.harness.yaml", "--backend", "compose", "--attach", "nobody")
    assert code == 4
    assert "no containers of the compose project 'nobody'" in out
