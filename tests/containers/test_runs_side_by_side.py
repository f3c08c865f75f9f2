"""Runs side by side on one engine: they do not interfere, and only the leftovers of a killed run are removed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from images import base_image
from small_stack import STACK

from harness.backends.compose.engine import client
from harness.backends.compose.labels import RUN
from harness.backends.compose.leftovers import labels_of_runs

pytestmark = pytest.mark.docker
OWNER = Path(__file__).with_name("stack_owner.py")
HARNESS = Path(sys.executable).with_name("harness")
COUNT = 4


class Owner:
    """One of the processes, with the addresses of its stack."""

    def __init__(self, folder: Path) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, str(OWNER), str(STACK), str(folder)]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.addresses: dict[str, str] = {}

    def ready(self) -> None:
        assert self.process.stdout is not None
        self.addresses = json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate(timeout=60)


@pytest.fixture
def bystander() -> Iterator[dict[str, Any]]:
    """A container, a network and a volume without the label."""
    engine = client()
    volume = engine.volumes.create("harness-test-bystander")
    network = engine.networks.create("harness-test-bystander")
    container = engine.containers.run(
        base_image(), ["sleep", "1000"], detach=True, network=network.name, volumes={volume.name: {"bind": "/kept"}}
    )
    yield {"container": container, "network": network, "volume": volume}
    container.remove(force=True)
    network.remove()
    volume.remove()
    engine.close()


def inspected(bystander: dict[str, Any]) -> dict[str, Any]:
    for one in bystander.values():
        one.reload()
    return {name: one.attrs for name, one in bystander.items()}


def labelled(run: str) -> int:
    engine = client()
    mine = {"label": f"{RUN}={run}"}
    found = len(engine.api.containers(all=True, filters=mine)) + len(engine.api.networks(filters=mine))
    found += len(engine.api.volumes(filters=mine).get("Volumes") or [])
    engine.close()
    return found


def test_four_runs_one_killed(tmp_path: Path, small_images: None, bystander: dict[str, Any]) -> None:
    before = inspected(bystander)
    owners = [Owner(tmp_path / str(k)) for k in range(COUNT)]
    for owner in owners:
        owner.ready()
    assert len({owner.addresses["project"] for owner in owners}) == COUNT
    killed, *others = owners
    killed.process.send_signal(signal.SIGKILL)
    killed.process.communicate()
    for owner in others:
        for place, path in ((owner.addresses["echo"], "/healthz"), (owner.addresses["relay"], "/ask")):
            with urllib.request.urlopen(f"http://{place}{path}", timeout=10) as answer:
                assert answer.status == 200

    assert labelled(killed.addresses["project"])
    subprocess.run([HARNESS, "down", killed.addresses["project"]], check=True, capture_output=True)
    assert not labelled(killed.addresses["project"]), "removed by its name"
    assert all(labelled(owner.addresses["project"]) for owner in others), "the others were kept"

    os.kill(others[0].process.pid, signal.SIGKILL)
    others[0].process.communicate()
    others[1].end()
    assert not labelled(others[1].addresses["project"])
    left = [others[0].addresses["project"], others[2].addresses["project"]]
    subprocess.run([HARNESS, "down", *left], check=True, capture_output=True)
    engine = client()
    assert not set(left) & set(labels_of_runs(engine)), "not one container, network or volume with the label"
    engine.close()
    others[2].process.communicate(timeout=60)
    assert inspected(bystander) == before
