"""Stacks that `harness up` keeps have names that can be typed again, and are found again from their folder."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import base_image

from harness.backends.compose.engine import client
from harness.backends.compose.labels import PROJECT
from harness.backends.compose.leftovers import labels_of_runs, remove_run
from harness.guard import stack_owner
from harness.liveness import ProcessId

pytestmark = [pytest.mark.docker, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
LONE = """\
name: lone
services:
  web:
    image: "${TESTSTACK_IMAGE:-python:3.12-slim}"
    command: [python3, -m, http.server, "8000"]
    x-harness: {port: 8000}
x-harness: {schema: 1, stack: lone}
"""


def harness(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def up(folder: Path, *words: str) -> str:
    """Start a stack in a folder. Returns its project."""
    done = harness(folder, "up", "lone.yaml", "--backend", "compose", *words)
    found = re.search(r"as the compose project (\S+)", done.stdout)
    assert (done.returncode, bool(found)) == (0, True), done.stderr
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path, small_images: None) -> Iterator[Path]:
    """A folder with a stack of one service. What was started of it is removed in the end."""
    made = tmp_path / f"Shop of {os.getpid()}"
    made.mkdir()
    (made / "lone.yaml").write_text(LONE)
    engine = client()
    before = set(labels_of_runs(engine))
    yield made
    mark = str(os.getpid())
    for run in set(labels_of_runs(engine)) - before:
        if mark in run or run.startswith("mlch-lone-"):
            remove_run(engine, run)
    engine.close()


def test_the_name_is_taken_from_the_folder_while_it_is_free(folder: Path) -> None:
    nobody = harness(folder, "doctor", "lone.yaml", "--attach", ".")
    assert nobody.returncode == 2
    assert "no stack of containers was started in this folder" in nobody.stderr
    name = f"mlch-lone-shop-of-{os.getpid()}"
    assert up(folder) == name
    seen = harness(folder, "doctor", "lone.yaml", "--attach", ".")
    assert f"attached to the project {name}" in seen.stdout, seen.stderr
    other = up(folder)
    assert re.fullmatch(r"mlch-lone-[0-9a-f]{10}", other), "two of one folder"
    both = harness(folder, "run", "--attach", ".")
    assert both.returncode == 2
    assert "2 stacks of containers were started in this folder" in both.stderr
    assert name in both.stderr
    assert other in both.stderr
    assert harness(folder, "down").returncode == 0
    assert up(folder) == name


def test_a_name_of_which_a_run_is_not_healed_is_not_taken(folder: Path) -> None:
    engine = client()
    name = f"owned-{os.getpid()}"
    process = ProcessId("another", 1, "another", 1).to_text()
    labels = {PROJECT: "", stack_owner.OWNED: name, stack_owner.PROCESS: process, stack_owner.RUN: "/runs/of-theirs"}
    record = engine.api.create_container(base_image(), command=["none"], labels=labels)["Id"]
    try:
        done = harness(folder, "up", "lone.yaml", "--backend", "compose", "--name", name)
        assert done.returncode == 2
        assert f"the stack '{name}' is owned by the run /runs/of-theirs" in done.stderr
    finally:
        engine.api.remove_container(record)
        engine.close()


def test_a_given_name_is_the_projects(folder: Path) -> None:
    name = f"staging-{os.getpid()}"
    assert up(folder, "--name", name) == name
    again = harness(folder, "up", "lone.yaml", "--backend", "compose", "--name", name)
    assert again.returncode == 2
    assert f"the engine has something of a compose project '{name}' already" in again.stderr
    assert f"`harness down {name}`" in again.stderr
    down = harness(folder.parent, "down", name)
    assert (down.returncode, down.stdout.splitlines()[-1]) == (0, "1 stack stopped")


def test_a_name_that_is_somebody_elses_is_left_alone(folder: Path) -> None:
    engine = client()
    name = f"theirs-{os.getpid()}"
    network = engine.networks.create(f"{name}_default", labels={PROJECT: name})
    try:
        done = harness(folder, "up", "lone.yaml", "--backend", "compose", "--name", name)
        assert done.returncode == 2
        assert engine.networks.list(ids=[network.id])
    finally:
        network.remove()
        engine.close()


@pytest.mark.parametrize("name", ["Staging", "a b", "", "-x", "shop-attached", "x" * 61])
def test_a_name_that_cannot_be_one(folder: Path, name: str) -> None:
    done = harness(folder, "up", "lone.yaml", "--backend", "compose", f"--name={name}")
    assert done.returncode == 2
    assert f"{name!r} cannot be the name of a stack of containers" in done.stderr


def test_a_name_is_for_containers(folder: Path) -> None:
    done = harness(folder, "up", "lone.yaml", "--name", "staging")
    assert done.returncode == 2
    assert "add --backend compose" in done.stderr


def test_a_published_port_that_is_taken_is_named_with_who_has_it(folder: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as free:
        port = free.getsockname()[1]
        (folder / "lone.yaml").write_text(LONE.replace("    x-harness:", f'    ports: ["{port}:8000"]\n    x-harness:'))
        refused = harness(folder, "up", "lone.yaml", "--backend", "compose")
        assert refused.returncode == 4
        assert f"port {port}, which the service 'web' publishes, is taken by " in refused.stderr
        assert f"(process {os.getpid()}) — stop that program, or publish another port" in refused.stderr
    first = up(folder)
    again = harness(folder, "up", "lone.yaml", "--backend", "compose")
    assert again.returncode == 4
    assert f"is taken by the stack {first!r} that `harness up` started in {folder}" in again.stderr
    assert f"`harness down {first}` stops it" in again.stderr
    assert "\n1 stack stopped\n" in harness(folder, "down").stdout, "the second left nothing"


def test_an_image_that_was_built_for_a_stack_is_removed_with_it_on_demand(folder: Path) -> None:
    (folder / "Dockerfile").write_text(f"FROM {base_image()}\nENV BUILT=1\n")
    stack = f"lone{os.getpid()}"
    text = LONE.replace('image: "${TESTSTACK_IMAGE:-python:3.12-slim}"', "build: .").replace(
        "stack: lone", f"stack: {stack}"
    )
    (folder / "lone.yaml").write_text(text)
    image = f"mlch-{stack}-web:built"
    project = up(folder)
    listed = harness(folder, "images", "lone.yaml").stdout
    assert re.search(rf"^{image} +\d+ MB +every run in containers +web$", listed, re.MULTILINE), listed
    other = up(folder)
    kept = harness(folder, "down", project, "--images")
    assert f"kept the image {image} " in kept.stdout
    assert f"the container {other}" in kept.stdout, "another stack uses it"
    removed = harness(folder, "down", "--images")
    assert (removed.returncode, f"removed the image {image} " in removed.stdout) == (0, True), removed.stdout
    assert re.search(rf"^{image} +missing ", harness(folder, "images", "lone.yaml").stdout, re.MULTILINE)
