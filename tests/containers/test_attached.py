"""An attached stack: faults and scenarios on it, and it is left unchanged, even by a killed run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_stack import STACK

from harness.backends.compose.attached import AttachedBackend
from harness.backends.compose.engine import client
from harness.backends.compose.leftovers import remove_run
from harness.backends.compose.snapshots import containers_of
from harness.description.stackfile import load_stack
from harness.model.backend import StackPlan
from harness.model.errors import BackendError
from harness.model.fields import Link
from harness.seams import Seams
from harness.seams.greetings import greeting
from harness.seams.toxiproxy import ToxicSpec

pytestmark = pytest.mark.docker
HARNESS = str(Path(sys.executable).with_name("harness"))
SMALL = Path(__file__).with_name("small")
LINK = Link("relay", "echo")


@pytest.fixture(scope="module")
def project() -> Iterator[str]:
    """A long-lived stack, started with all its links through proxies."""
    from images import base_image

    with pytest.MonkeyPatch.context() as patch:
        for name in ("TESTSTACK_IMAGE", "HARNESS_PROXY_IMAGE", "HARNESS_TOOLS_IMAGE"):
            patch.setenv(name, base_image())
        words = [HARNESS, "up", str(STACK), "--backend", "compose", "--links", "all"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        found = re.search(r"compose project (\S+)", done.stdout)
        assert found is not None
        yield found[1]
        engine = client()
        remove_run(engine, found[1])
        engine.close()


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


def run_attached(project: str, reports: Path, scenarios: Path = SMALL) -> list[str]:
    return [HARNESS, "run", str(scenarios), "--attach", project, "--reports", str(reports), "--name", "attached"]


def test_a_scenario_passes_and_leaves_the_stack_unchanged(project: str, small_images: None, tmp_path: Path) -> None:
    before = stable(project)
    done = subprocess.run(run_attached(project, tmp_path), capture_output=True, text=True, timeout=120, check=False)
    suite = json.loads((tmp_path / "attached" / "suite.json").read_text())
    assert [(s["verdict"], s["reasons"]) for s in suite["scenarios"]] == [("pass", [])], done.stdout + done.stderr
    assert done.returncode == 0
    assert stable(project) == before


def test_heal_reverts_the_fault_of_a_killed_run(project: str, small_images: None, tmp_path: Path) -> None:
    text = (SMALL / "slow-link.scenario.yaml").read_text().replace("stack.yaml", str(SMALL / "stack.yaml"))
    lasting = tmp_path / "slow-link.scenario.yaml"
    lasting.write_text(text.replace("for: 3s", "for: 30s"))  # it must not end by itself before it is killed
    going = subprocess.Popen(
        run_attached(project, tmp_path, lasting),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    journal = tmp_path / "attached" / "slow-link" / "journal.jsonl"
    deadline_s = time.monotonic() + 60
    while not (journal.exists() and '"confirmed"' in journal.read_text()):
        assert time.monotonic() < deadline_s, "the fault was not confirmed"
        time.sleep(0.02)
    kill_with_children(going.pid)
    going.wait()
    assert toxics(project), "the fault is still active"
    refused = subprocess.run(run_attached(project, tmp_path), capture_output=True, text=True, timeout=60, check=False)
    assert "harness heal" in refused.stderr
    healed = subprocess.run([HARNESS, "heal", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert not toxics(project)


def kill_with_children(pid: int) -> None:
    import psutil

    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for one in family:
        os.kill(one.pid, signal.SIGKILL)
    psutil.wait_procs(family)


def toxics(project: str) -> list[str]:
    """The toxics on any link of the project."""
    import urllib.request

    engine = client()
    boxes = [one for one in containers_of(engine, project) if one.service.startswith("harness-proxy")]
    engine.close()
    found = []
    for box in boxes:
        place = next(iter(box.addresses.values()))
        with urllib.request.urlopen(f"http://{place}:18474/proxies", timeout=5) as answer:
            found += [toxic["name"] for proxy in json.load(answer).values() for toxic in proxy["toxics"]]
    return found
