"""`harness down` on an engine that others use too: only what was meant is removed."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from images import base_image

from harness.backends.compose.engine import client
from harness.backends.compose.labels import HOST, OWNER, UP, run_labels
from harness.backends.compose.leftovers import labels_of_runs, remove_run
from harness.guard import stack_owner as record
from harness.liveness import ProcessId

pytestmark = pytest.mark.docker
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A volume each that was started here, in another folder, and on another host."""
    engine = client()
    mark = uuid.uuid4().hex[:8]
    made = {}
    for where in ("here", "elsewhere", "abroad"):
        folder = tmp_path / where
        folder.mkdir()
        monkeypatch.chdir(folder)
        made[where] = f"mlch-down-{mark}-{where}"
        labels = run_labels(made[where], f"down-{mark}", kept=True)
        if where == "abroad":
            labels |= {HOST: "abroad.example", OWNER: f"{UP} abroad.example"}
        engine.api.create_volume(made[where], labels=labels)
    yield made
    for project in made.values():
        remove_run(engine, project)
    engine.close()


def down(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "down", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def left(projects: dict[str, str]) -> set[str]:
    engine = client()
    found = set(labels_of_runs(engine))
    engine.close()
    return {where for where, project in projects.items() if project in found}


def test_without_a_name_only_what_was_started_in_the_folder(projects: dict[str, str], tmp_path: Path) -> None:
    done = down(tmp_path / "here")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{projects['here']}: containers of the stack down-")
    assert left(projects) == {"elsewhere", "abroad"}


def test_the_name_of_the_stack_leaves_other_hosts_alone(projects: dict[str, str], tmp_path: Path) -> None:
    stack = projects["here"].removeprefix("mlch-").removesuffix("-here")
    assert down(tmp_path, stack).returncode == 0
    assert left(projects) == {"abroad"}
    refused = down(tmp_path, stack)
    assert refused.returncode == 2
    assert f"'{stack}' was started on another host: abroad.example" in refused.stderr
    assert down(tmp_path, projects["abroad"]).returncode == 2
    assert left(projects) == {"abroad"}


def test_what_runs_put_into_an_attached_stack_goes_with_it_and_not_alone(
    projects: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = client()
    monkeypatch.chdir(tmp_path / "here")
    stand_in = f"{projects['elsewhere']}-attached"
    engine.api.create_volume(stand_in, labels=run_labels(stand_in, "small"))
    projects["stand-in"] = stand_in
    assert down(tmp_path / "here").returncode == 0
    assert left(projects) == {"elsewhere", "abroad", "stand-in"}
    assert down(tmp_path, projects["elsewhere"]).returncode == 0
    assert left(projects) == {"abroad"}
    engine.close()


def test_the_record_of_who_owned_a_stack_goes_with_it(
    projects: dict[str, str], tmp_path: Path, small_images: None
) -> None:
    engine = client()
    alive = ProcessId("another-host", 1, "another", 1)
    dead = replace(ProcessId.here(), pid=2**22 + 1)
    name = f"ml-chaos-harness-owner-{projects['here']}"
    labels = {record.OWNED: projects["here"], record.PROCESS: alive.to_text()}
    other = engine.api.create_container(base_image(), command=["none"], name=name, labels=labels)
    refused = down(tmp_path, projects["here"])
    assert refused.returncode == 2
    assert "process 1 on another-host — end the run first" in refused.stderr
    engine.api.remove_container(other["Id"])
    made = engine.api.create_container(
        base_image(),
        command=["none"],
        name=name,
        labels={record.OWNED: projects["here"], record.PROCESS: dead.to_text()},
    )
    assert down(tmp_path, projects["here"]).returncode == 0
    left_over = [one["Id"] for one in engine.api.containers(all=True)]
    engine.close()
    assert made["Id"] not in left_over


def test_all_without_a_terminal_is_refused(projects: dict[str, str], tmp_path: Path) -> None:
    refused = down(tmp_path / "here", "--all")
    assert refused.returncode == 2
    assert "add --yes" in refused.stderr
    assert all(project in refused.stdout for project in projects.values())
    assert left(projects) == set(projects)
