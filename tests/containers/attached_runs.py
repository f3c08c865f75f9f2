"""Runs on a stack that goes on without them, for tests that kill them, and what is left in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from images import base_image
from small_stack import STACK

from harness.backends.compose.engine import client
from harness.backends.compose.leftovers import remove_run
from harness.backends.compose.proxies import token_of
from harness.backends.compose.snapshots import containers_of
from harness.seams.toxiproxy import ProxyApi

HARNESS = str(Path(sys.executable).with_name("harness"))
SMALL = Path(__file__).with_name("small")
SCENARIO = """schema: 1
scenario: {name}
summary: Faults that stay in.
stack: {stack}
steady_state:
  - {{id: answers, probe: asked, at_least: 1, over: 1s, min_samples: 3}}
timeline:
{timeline}
expect:
  recovered:
    - {{id: again, probe: delay, at_most: 200ms, over: 1s, min_samples: 3, within: 5s}}
"""
SLOW = "  - {id: slow, at: 0s, fault: network.latency, target: {link: relay -> echo}, with: {latency: 300ms}, for: 60s}"
STOPPED = "  - {id: stop, at: 0s, fault: container.stop, target: {service: sleeper}, for: 60s}"
CUT = "  - {id: cut, at: 0s, fault: network.partition, target: {service: relay}, with: {apart_from: [echo]}, for: 60s}"
LOST = "  - {id: lost, at: 1s, fault: node.loss, target: {node: a}, for: 60s}"


@contextlib.contextmanager
def long_lived_stack() -> Iterator[str]:
    """A long-lived stack, started with all its links through proxies. Yields its project."""
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


def run_attached(project: str, reports: Path, scenarios: Path = SMALL) -> list[str]:
    return [HARNESS, "run", str(scenarios), "--attach", project, "--reports", str(reports), "--name", "attached"]


class Going:
    """A run on the project, with faults in that do not end by themselves for a while."""

    def __init__(self, project: str, folder: Path, timeline: str, name: str = "going") -> None:
        text = SCENARIO.format(name=name, stack=SMALL / "stack.yaml", timeline=timeline)
        (folder / f"{name}.scenario.yaml").write_text(text)
        self.command = run_attached(project, folder / "reports", folder / f"{name}.scenario.yaml")
        self.run = folder / "reports" / "attached" / name
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, text=True
        )

    def wait_for(self, *stages: str) -> None:
        """Wait until faults got somewhere: `slow confirmed`."""
        until_s = time.monotonic() + 60
        journal = self.run / "journal.jsonl"
        for stage in stages:
            fault, _, what = stage.partition(" ")
            while f'"fault":"{fault}","stage":"{what}"' not in (journal.read_text() if journal.exists() else ""):
                assert time.monotonic() < until_s, f"{stage} did not come: {self.close()}"
                assert self.process.poll() is None, f"{stage} did not come: {self.close()}"
                time.sleep(0.02)

    @property
    def worker(self) -> int:
        return int(json.loads((self.run / "undo" / "owner.lock").read_text())["pid"])

    @property
    def guard(self) -> int:
        return int((self.run / "undo" / "guard.lock").read_text() or 0)  # a new one has the lock, and no number yet

    def kill(self, *pids: int) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until_s = time.monotonic() + 30
        while any(map(still_runs, pids)):
            assert time.monotonic() < until_s
            time.sleep(0.01)

    def healed(self, within_s: float = 60.0) -> bool:
        until_s = time.monotonic() + within_s
        while not (self.run / "undo" / "ended.json").exists() and time.monotonic() < until_s:
            time.sleep(0.05)
        return (self.run / "undo" / "ended.json").exists()

    def close(self) -> str:
        if self.process.poll() is None:
            kill_with_children(self.process.pid)
        out, _ = self.process.communicate(timeout=60)
        if not self.healed(0.0):
            subprocess.run([HARNESS, "heal", str(self.run)], capture_output=True, timeout=120, check=False)
        return out


def still_runs(pid: int) -> bool:
    """Whether a process runs; one that has ended may go while it is looked at."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def statuses(project: str) -> dict[str, str]:
    """What each container of the project does."""
    engine = client()
    found = {one.service: one.state for one in containers_of(engine, project)}
    engine.close()
    return found


def rules(project: str) -> int:
    """How many rules the containers of the project have in their own networks."""
    engine = client()
    found = 0
    for one in containers_of(engine, project):
        pid = engine.api.inspect_container(one.id)["State"]["Pid"]
        listed = subprocess.run(
            ["nsenter", f"--net=/proc/{pid}/ns/net", "iptables-save"], capture_output=True, text=True, check=True
        )
        found += sum(line.startswith("-A") and "harness" in line for line in listed.stdout.splitlines())
    engine.close()
    return found


def kill_with_children(pid: int) -> None:
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for number in (signal.SIGSTOP, signal.SIGKILL):  # none of them has the time to tidy up after another
        for one in family:
            os.kill(one.pid, number)
    psutil.wait_procs(family)


def toxics(project: str) -> list[str]:
    """The toxics on any link of the project."""
    engine = client()
    found = []
    for box in containers_of(engine, project):
        if box.service.startswith("harness-proxy"):
            api = ProxyApi(f"http://{next(iter(box.addresses.values()))}:18474", token_of(engine, box.id))
            found += [toxic for toxics in api.toxics().values() for toxic in toxics]
    engine.close()
    return found
