"""An attached stack: faults and scenarios on it, and it is left unchanged, even by a killed run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attached_runs import (
    CUT,
    HARNESS,
    LOST,
    SLOW,
    STOPPED,
    Going,
    long_lived_stack,
    rules,
    run_attached,
    statuses,
    toxics,
)
from small_stack import STACK

from harness.backends.compose.attached import AttachedBackend
from harness.backends.compose.engine import client
from harness.backends.compose.proxies import token_of
from harness.backends.compose.snapshots import containers_of
from harness.backends.http_request import request
from harness.description.stackfile import load_stack
from harness.model.backend import StackPlan
from harness.model.errors import BackendError, FaultError
from harness.model.fields import Link
from harness.seams import Seams
from harness.seams.greetings import greeting
from harness.seams.toxiproxy import ToxicSpec

pytestmark = pytest.mark.docker
LINK = Link("relay", "echo")


@pytest.fixture(scope="module")
def project() -> Iterator[str]:
    with long_lived_stack() as found:
        yield found


def stable(project: str) -> dict[str, Any]:
    """State that must be unchanged afterwards: containers, their configuration, and when they started."""
    engine = client()
    containers = {}
    for one in containers_of(engine, project):
        about = engine.api.inspect_container(one.id)
        state = {key: about["State"][key] for key in ("Status", "Pid", "StartedAt")}
        containers[one.service] = {"id": one.id, "state": state, "config": about["Config"], "host": about["HostConfig"]}
    engine.close()
    return containers


async def test_a_fault_leaves_the_stack_unchanged(project: str, small_images: None, tmp_path: Path) -> None:
    before = stable(project)
    stack = load_stack(STACK)
    async with AttachedBackend(stack, project) as backend:
        info = await backend.start(StackPlan(stack, tmp_path, (LINK,)))
        assert (info.owned, info.project) == (False, project)
        assert {s.state for s in await backend.status()} == {"running"}
        link = Seams(backend, stack).link("relay -> echo")[0]
        link.api.add_toxic(link.proxy_name, ToxicSpec("late", "latency", "downstream", {"latency": 200}))
        through = await link.exchange(greeting(None, "/healthz"), 5.0)
        assert through.outcome == "answered"
        assert through.time_s >= 0.2
        link.api.remove_toxic(link.proxy_name, "late")
        await backend.pause(["sleeper"])
        assert await backend.process_states(["sleeper"]) == {"sleeper": "T"}
        await backend.resume(["sleeper"])
    assert stable(project) == before


async def test_unsupported_plans_are_rejected(project: str, small_images: None, tmp_path: Path) -> None:
    stack = load_stack(STACK)
    async with AttachedBackend(stack, project) as backend:
        with pytest.raises(BackendError, match="cannot be started at 2013"):
            await backend.start(StackPlan(stack, tmp_path, start_at="2013-06-14T06:00"))
        with pytest.raises(BackendError, match="no sabotage twins"):
            await backend.start(StackPlan(stack, tmp_path, environment={"echo": {"X": "1"}}))
    async with AttachedBackend(stack, "nobodys-project") as backend:
        with pytest.raises(BackendError, match=f"no containers of the compose project 'nobodys-project'.*{project}"):
            await backend.start(StackPlan(stack, tmp_path))


def test_a_scenario_passes_and_leaves_the_stack_unchanged(project: str, small_images: None, tmp_path: Path) -> None:
    before = stable(project)
    done = subprocess.run(run_attached(project, tmp_path), capture_output=True, text=True, timeout=120, check=False)
    suite = json.loads((tmp_path / "attached" / "suite.json").read_text())
    assert [(s["verdict"], s["reasons"]) for s in suite["scenarios"]] == [("pass", [])], done.stdout + done.stderr
    assert done.returncode == 0
    assert stable(project) == before


def test_a_partition_cuts_what_goes_through_the_proxies_of_the_stack(go: Any, project: str) -> None:
    """No link is planned for it, and no rule for the addresses of services meets what goes through a proxy."""
    before = toxics(project)
    going = go(CUT)
    going.wait_for("cut confirmed")
    assert toxics(project) != before
    os.kill(going.process.pid, signal.SIGINT)
    assert going.healed()
    assert (toxics(project), rules(project)) == (before, 0)


@pytest.fixture
def go(project: str, small_images: None, tmp_path: Path) -> Iterator[Any]:
    made: list[Going] = []

    def start(*timeline: str, name: str = "going") -> Going:
        made.append(Going(project, tmp_path, "\n".join(timeline), name))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_the_guard_takes_out_what_a_killed_process_left_in(project: str, go: Any) -> None:
    before = statuses(project)
    going = go(SLOW, STOPPED, CUT)
    going.wait_for("slow injected", "stop confirmed", "cut injected")
    going.kill(going.worker)
    assert going.healed()
    assert not toxics(project)
    assert statuses(project) == before
    assert rules(project) == 0
    assert "was killed by SIGKILL" in going.close()
    # Nothing is left to do, neither for heal nor for a run of the same name.
    healed = subprocess.run([HARNESS, "heal", str(going.run)], capture_output=True, text=True, timeout=60, check=False)
    assert (healed.returncode, healed.stdout) == (0, "1 run checked, 0 left\n")


def test_heal_finishes_where_the_guard_was_killed_too(project: str, go: Any) -> None:
    before = statuses(project)
    going = go(STOPPED, LOST)
    going.wait_for("stop confirmed", "lost confirmed")
    owner, guard = going.worker, going.guard
    os.kill(guard, signal.SIGKILL)  # one after the other, before the run has seen it
    going.kill(owner)
    going.process.wait(60)
    assert statuses(project) != before
    refused = subprocess.run(going.command, capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, f"harness heal {going.run}" in refused.stderr) == (2, True), refused.stderr
    elsewhere = [
        part if part != str(going.run.parents[1]) else str(going.run.parents[2] / "other") for part in going.command
    ]
    refused = subprocess.run(elsewhere, capture_output=True, text=True, timeout=120, check=False)
    assert f"run `harness heal {going.run}` first" in refused.stdout + refused.stderr
    assert refused.returncode == 2, "as where the first one goes on"
    (going.run / "journal.jsonl").unlink()  # it is not needed, and neither is the compose file
    healed = subprocess.run([HARNESS, "heal", str(going.run)], capture_output=True, text=True, timeout=120, check=False)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert statuses(project) == before
    assert not toxics(project)


def test_a_dead_guard_is_replaced(project: str, go: Any) -> None:
    going = go(STOPPED)
    going.wait_for("stop confirmed")
    first = going.guard
    going.kill(first)
    until_s = time.monotonic() + 30
    while going.guard in (0, first):
        assert time.monotonic() < until_s
        time.sleep(0.05)
    going.kill(going.worker)
    assert going.healed()


def test_a_second_run_is_refused_with_the_name_of_the_first(project: str, go: Any, tmp_path: Path) -> None:
    first = go(SLOW)
    first.wait_for("slow injected")
    second = run_attached(project, tmp_path / "second", tmp_path / "going.scenario.yaml")
    refused = subprocess.run(second, capture_output=True, text=True, timeout=120, check=False)
    said = refused.stdout + refused.stderr
    assert f"the stack {project!r} is owned by the run {first.run}, process {first.worker} on" in said
    assert refused.returncode == 2
    skipped = subprocess.run([HARNESS, "heal", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert skipped.returncode == 0
    assert f"left alone: its owner, process {first.worker} on" in skipped.stdout
    assert toxics(project), "its fault is still in"
    listed = subprocess.run(
        [HARNESS, "status", str(tmp_path), "--json"], capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(listed.stdout)
    assert [one["faults"] for one in found["runs"]] == [["slow (network.latency)"]]
    assert str(first.run) in [one["run"] for one in found["stacks"]]


def test_heal_after_a_restart_of_the_proxy(project: str, go: Any, tmp_path: Path) -> None:
    """The fault went with it; the link is there, and so is the way to the proxy."""
    going = go(SLOW)
    going.wait_for("slow confirmed")
    os.kill(going.guard, signal.SIGKILL)
    going.kill(going.worker)
    engine = client()
    box = next(one for one in containers_of(engine, project) if one.service.startswith("harness-proxy"))
    token = token_of(engine, box.id)
    relay = next(one for one in containers_of(engine, project) if one.service == "relay")
    engine.close()
    restart_proxy(project)
    wait_for_answer(next(iter(relay.addresses.values())), 17102, "/ask")
    healed = subprocess.run([HARNESS, "heal", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert not toxics(project)
    said = going.close()
    written = [file.read_text("utf-8", "replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert token is not None
    assert len(written) > 2
    assert not [text for text in (*written, said, healed.stdout, healed.stderr) if token in text]


def test_a_restart_of_the_proxy_during_a_run_is_noticed(project: str, go: Any) -> None:
    going = go(SLOW)
    going.wait_for("slow confirmed")
    restart_proxy(project)
    assert going.process.wait(120) == 4
    (scenario,) = json.loads((going.run.parent / "suite.json").read_text())["scenarios"]
    assert scenario["verdict"] == "unknown"
    why = "the fault proxy died", "the fault failed"
    assert any(text in reason for text in why for reason in scenario["reasons"]), scenario["reasons"]
    wait_until_free_of_toxics(project)


def restart_proxy(project: str) -> None:
    engine = client()
    box = next(one for one in containers_of(engine, project) if one.service.startswith("harness-proxy"))
    engine.api.restart(box.id, timeout=1)
    engine.close()


def wait_until_free_of_toxics(project: str) -> None:
    deadline_s = time.monotonic() + 30
    found: object = None
    while found != []:
        assert time.monotonic() < deadline_s, found
        try:
            found = toxics(project)
        except FaultError as error:
            found = error


def test_a_run_on_another_host_is_refused_too(project: str, go: Any, tmp_path: Path) -> None:
    """Another host name, another network and another disk, and the same engine."""
    first = go(SLOW)
    first.wait_for("slow injected")
    (tmp_path / "disk").mkdir()
    second = run_attached(project, Path("reports"), tmp_path / "disk" / "going.scenario.yaml")
    scenario = (tmp_path / "going.scenario.yaml").read_text()
    script = 'hostname other-host && mount -t tmpfs none "$0" && cd "$0" && cat > going.scenario.yaml && "$@"'
    words = ["unshare", "--uts", "--mount", "--net", "sh", "-c", script, str(tmp_path / "disk"), *second]
    refused = subprocess.run(words, input=scenario, capture_output=True, text=True, timeout=120, check=False)
    said = refused.stdout + refused.stderr
    assert (
        f"the stack {project!r} is owned by the run {first.run}, process {first.worker} on {socket.gethostname()}"
        in said
    )
    assert refused.returncode == 2
    assert toxics(project), "the fault of the first one is still in"


def wait_for_answer(address: str, port: int, path: str) -> None:
    deadline_s = time.monotonic() + 30
    why: object = None
    while why != 200:
        assert time.monotonic() < deadline_s, why
        try:
            why = asyncio.run(request("GET", address, port, path))[0]
        except (OSError, ValueError) as error:
            why = error
