"""A guard in a container beside the stack: it takes out what is in though the run and its machine are out of reach."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from attached_runs import HARNESS, SLOW, STOPPED, Going, long_lived_stack, run_attached, statuses, toxics
from images import base_image

from harness.backends.compose.engine import client
from harness.guard.beside import GUARDS
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
    (beside,) = guards(project)
    assert beside.endswith(" running")
    os.kill(going.guard, signal.SIGKILL)  # one after the other, before the run has seen it
    going.kill(going.worker)
    going.process.wait(60)
    assert statuses(project) != before
    wait_for(project, statuses, before, 60)
    assert not toxics(project)
    wait_for(project, guards, [beside.replace("running", "exited")], 120)
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
    (beside,) = guards(project)
    engine = client()
    engine.api.remove_container(beside.split()[0], force=True)
    wait_for(project, guards, [beside], 60)
    told = engine.api.get_archive(beside.split()[0], "/harness-guard/undo/0001.slow.undo.json")
    assert told[1]["size"] > 100, "it was told what was in before"
    engine.close()


class Wire:
    """The way to an engine on another machine: a TCP port that leads to its socket, until it is cut."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut = False
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._done(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])

    def _done(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, to_there = await asyncio.open_unix_connection("/var/run/docker.sock")
        try:
            await asyncio.wait(
                [asyncio.create_task(_pour(reader, to_there)), asyncio.create_task(_pour(there, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self._tasks.discard(task)
            writer.close()
            to_there.close()

    def cut(self, *, cut: bool) -> None:
        async def end() -> None:
            self._cut = cut
            for task in list(self._tasks) if cut else ():
                task.cancel()

        self._done(end())

    def close(self) -> None:
        self.cut(cut=True)
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


def test_a_cut_network_leaves_no_fault_in_on_an_engine_elsewhere(
    project: str, go: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = statuses(project)
    wire = Wire()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{wire.port}")
        elsewhere.setenv("HARNESS_ENGINE_REACH", "direct")
        going = go(STOPPED)
    try:
        going.wait_for("stop confirmed")
        assert len(guards(project)) == 1
        wire.cut(cut=True)
        wait_for(project, statuses, before, 60)
        assert going.process.wait(180) == 4
        wire.cut(cut=False)
        code, said = heal(going.run)
        assert code == 0, said
        assert statuses(project) == before
        assert guards(project) == []
    finally:
        wire.close()
