"""An attached stack with a service that the engine restarts: a run waits until it is whole, and says for what."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from attached_runs import HARNESS
from images import base_image

from harness.backends.compose.engine import client
from harness.backends.compose.snapshots import containers_of

pytestmark = pytest.mark.docker
LOOKS = 6
COMPOSE = """\
version: "3.8"
x-harness:
  schema: 1
  stack: loop
  compose: {ready_within: READY_WITHIN}
  probes:
    up: {http: {url: "http://web:8000/", read: up}}
services:
  web:
    image: IMAGE
    init: true
    command: [python3, -m, http.server, "8000"]
    x-harness: {port: 8000, health: {http: /}}
  job:
    image: IMAGE
    init: true
    volumes: ["./flag:/flag:ro"]
    command: [sh, -c, "sleep 0.2; test -e /flag/well || { echo no flag; exit 7; }; exec python3 -m http.server 8001"]
    restart: always
    x-harness: {port: 8001, health: {http: /}}
"""
SCENARIO = """\
schema: 1
scenario: paused
summary: The server stands still.
stack: compose.yaml
steady_state: [{id: well, probe: up, at_least: 1, over: 1s, min_samples: 3}]
timeline: [{id: paused, at: 1s, fault: container.pause, target: {service: web}, for: 2s}]
expect: {recovered: [{id: again, probe: up, at_least: 1, over: 1s, min_samples: 3, within: 10s}]}
"""


@pytest.fixture
def folder(tmp_path: Path, small_images: None) -> Path:
    made = tmp_path / f"loop{uuid.uuid4().hex[:6]}"
    (made / "flag").mkdir(parents=True)
    (made / "paused.scenario.yaml").write_text(SCENARIO)
    return made


@pytest.fixture
def project(folder: Path) -> Iterator[str]:
    """Somebody's stack, one service of which fails whenever it is started, until there is a flag."""
    text = COMPOSE.replace("IMAGE", base_image())
    folder.joinpath("compose.yaml").write_text(text.replace("READY_WITHIN", "60s"))
    compose = ["docker-compose", "-p", folder.name, "-f", "compose.yaml"]
    try:
        subprocess.run([*compose, "up", "-d"], cwd=folder, check=True, capture_output=True, timeout=120)
        wait_for_back_off(folder.name)
        yield folder.name
    finally:
        subprocess.run([*compose, "down", "-v", "-t", "1"], cwd=folder, check=False, capture_output=True, timeout=120)


def wait_for_back_off(project: str) -> None:
    """Wait until the job has failed so often that the engine waits for more than a second before the next time."""
    engine = client()
    until_s = time.monotonic() + 60
    restarts = 0
    while restarts < 5:
        assert time.monotonic() < until_s
        (job,) = [one for one in containers_of(engine, project) if one.service == "job"]
        restarts = engine.api.inspect_container(job.id)["RestartCount"]
        time.sleep(0.1)
    engine.close()


def run(folder: Path, project: str) -> subprocess.Popen[str]:
    words = [HARNESS, "run", "paused.scenario.yaml", "--attach", project, "--name", "attached", "--reports", "reports"]
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_run_waits_for_a_service_that_is_being_restarted(folder: Path, project: str) -> None:
    with run(folder, project) as process:
        assert process.stdout is not None
        said = next((line for line in process.stdout if "waiting until the stack is whole: job " in line), "")
        folder.joinpath("flag", "well").touch()
        out, _ = process.communicate(timeout=150)
    assert said, out
    suite = json.loads(folder.joinpath("reports", "attached", "suite.json").read_text())
    assert [(one["verdict"], one["reasons"]) for one in suite["scenarios"]] == [("pass", [])], out


def test_a_run_says_what_keeps_the_stack_from_being_whole(folder: Path, project: str) -> None:
    file = folder / "compose.yaml"
    file.write_text(file.read_text().replace("ready_within: 60s", "ready_within: 2s"))
    with run(folder, project) as process:
        out, _ = process.communicate(timeout=150)
    assert process.returncode == 4, out
    journal = folder.joinpath("reports", "attached", "paused", "journal.jsonl").read_text()
    closed = json.loads(journal.splitlines()[-1])
    assert "the attached stack is not whole after 2 s: job has " in json.dumps(closed), out
    assert "no flag" in json.dumps(closed)
    assert '"injected"' not in journal
    assert "the attached stack is not whole after 2 s: job has " in out


def test_doctor_says_that_it_has_no_address_meanwhile(folder: Path, project: str) -> None:
    file = folder / "compose.yaml"
    file.write_text(file.read_text().replace("http://web:8000/", "http://job:8001/"))
    why = "'job' has no address while its container is restarting"
    said: list[str] = []
    while not any(why in one for one in said):
        assert len(said) < LOOKS, said
        done = subprocess.run(
            [HARNESS, "doctor", "compose.yaml", "--attach", project, "--json"],
            cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert "scale it to one" not in done.stdout
        found = {f"{one['area']} {one['name']}": one for one in json.loads(done.stdout)["findings"]}
        assert found["service job"]["state"] == "wrong"
        said.append(found["probe up"]["says"])
        # It may run at that moment, for the fifth of a second in which it answers nothing yet.
        assert why in said[-1] or not said[-1].startswith("1")
