"""The sidecar of a run, beside its stack: it takes out what is in though the run and its machine are out of reach."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attached_runs import HARNESS, SLOW, STOPPED, Going, long_lived_stack, run_attached, statuses, toxics
from images import base_image

from harness.backends.compose.engine import client
from harness.guard.sidecars_on_engine import GUARDS
from harness.guard.stack_owner import owner_of_stack

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def project() -> Iterator[str]:
    with long_lived_stack() as found:
        yield found


@pytest.fixture
def go(project: str, small_images: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("HARNESS_GUARD_IMAGE", base_image())
    made: list[Going] = []

    def start(*timeline: str) -> Going:
        made.append(Going(project, tmp_path, "\n".join(timeline)))
        return made[-1]

    yield start
    for one in made:
        one.close()


def guards(project: str) -> list[str]:
    """The containers of guards beside the project, and what each does."""
    engine = client()
    found = engine.api.containers(all=True, filters={"label": f"{GUARDS}={project}"})
    engine.close()
    return [f"{one['Names'][0].strip('/')} {one['State']}" for one in found]


def logs(project: str) -> str:
    engine = client()
    found = engine.api.containers(all=True, filters={"label": f"{GUARDS}={project}"})
    said = "".join(engine.api.logs(one["Id"]).decode() for one in found)
    engine.close()
    return said


def wait_for(project: str, found: Any, wanted: Any, within_s: float) -> None:
    until_s = time.monotonic() + within_s
    while (now := found(project)) != wanted:
        assert time.monotonic() < until_s, f"{now}: {logs(project)}"
        time.sleep(0.1)


def heal(run: Path) -> tuple[int, str]:
    done = subprocess.run([HARNESS, "heal", str(run)], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_it_restores_the_stack_where_the_run_and_its_guard_were_killed(
    project: str, go: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_GUARD", "container")
    before = statuses(project)
    going = go(SLOW, STOPPED)
    going.wait_for("slow confirmed", "stop confirmed")
    (sidecar,) = guards(project)
    assert sidecar.endswith(" running")
    os.kill(going.guard, signal.SIGKILL)  # one after the other, before the run has seen it
    going.kill(going.worker)
    going.process.wait(60)
    assert statuses(project) != before
    wait_for(project, statuses, before, 60)
    wait_for(project, toxics, [], 60)
    wait_for(project, guards, [sidecar.replace("running", "exited")], 120)
    engine = client()
    assert owner_of_stack(engine, project) is None, "the stack is given back"
    engine.close()
    # What the guard has measured is written down here, and it is not needed any more.
    code, said = heal(going.run)
    assert code == 0, said
    assert ("the fault 'slow' is out" in said, "the fault 'stop' is out" in said) == (True, True), said
    assert json.loads((going.run / "undo" / "0002.stop.gone.json").read_text())["body"]["by"] == "guard"
    assert guards(project) == []
    assert heal(going.run) == (0, "1 run checked, 0 left\n")


def test_a_run_that_ends_well_removes_it(
    project: str, go: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_GUARD", "container")
    done = subprocess.run(run_attached(project, tmp_path), capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads(next(tmp_path.glob("attached/*/undo/run.json")).read_text())["body"]
    assert run["guard"].startswith("ml-chaos-harness-guard-")
    assert guards(project) == []


def test_one_that_was_removed_is_started_anew(project: str, go: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_GUARD", "container")
    going = go(SLOW)
    going.wait_for("slow confirmed")
    (sidecar,) = guards(project)
    engine = client()
    engine.api.remove_container(sidecar.split()[0], force=True)
    wait_for(project, guards, [sidecar], 60)
    words = [HARNESS, "status", str(going.run)]
    listed = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    name = sidecar.split()[0]
    assert f"stack {project}: the guard {name} of {going.run} on {socket.gethostname()} watches" in listed
    told = engine.api.get_archive(sidecar.split()[0], "/harness-guard/undo/0001.slow.undo.json")
    assert told[1]["size"] > 100, "it has what was in before"
    engine.close()


def test_a_copy_on_another_machine_does_not_reach_into_a_run_that_goes_on(
    project: str, go: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_GUARD", "container")
    going = go(STOPPED)
    going.wait_for("stop confirmed")
    copy = tmp_path / "copy"
    shutil.copytree(going.run, copy)
    lock = copy / "undo" / "owner.lock"
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {"boot": "another", "host": "another"}))
    os.utime(copy / "undo" / "lease", (0, 0))  # as a copy that keeps the times
    code, said = heal(copy)
    assert "left alone: its guard in a container gets heartbeats" in said
    assert (code, statuses(project)["sleeper"]) == (0, "exited"), said


def test_a_run_that_was_suspended_does_not_go_on_without_its_fault(
    project: str, go: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_GUARD", "container")
    before = statuses(project)
    going = go(STOPPED)
    going.wait_for("stop confirmed")
    machine = (going.guard, going.worker)
    for pid in machine:
        os.kill(pid, signal.SIGSTOP)
    wait_for(project, statuses, before, 60)
    for pid in machine:
        os.kill(pid, signal.SIGCONT)
    assert going.process.wait(120) == 4
    assert "the guard in a container got no heartbeat for too long" in going.close()
    assert statuses(project) == before
    assert guards(project) == []


class Wire:
    """The way to the engine, which can be cut and mended."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.mend()

    def mend(self) -> None:
        words = [sys.executable, str(Path(__file__).with_name("engine_wire.py")), str(self.port)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def cut(self) -> None:
        self._process.kill()
        self._process.communicate()


def test_a_cut_network_leaves_no_fault_in_on_a_remote_engine(
    project: str, go: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = statuses(project)
    wire = Wire()
    with monkeypatch.context() as remote:
        remote.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{wire.port}")
        remote.setenv("HARNESS_ENGINE_REACH", "direct")
        going = go(STOPPED)
    try:
        going.wait_for("stop confirmed")
        assert len(guards(project)) == 1
        wire.cut()
        wait_for(project, statuses, before, 60)
        assert going.process.wait(180) == 4
        wire.mend()
        code, said = heal(going.run)
        assert code == 0, said
        assert statuses(project) == before
        assert guards(project) == []
    finally:
        wire.cut()
