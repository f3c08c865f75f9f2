"""`harness down`: which stacks are meant, and that nothing else is stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from calling import Harness

import harness.runner.keeping.down
from harness.backends.compose import engine
from harness.backends.compose.labels import FOLDER, HOST, STANDS_FOR, USER, run_labels, started_by
from harness.guard import stack_owner
from harness.journal.owner import Ownership
from harness.liveness import ProcessId
from harness.runner.keeping.down import Kind, RunningStack

STACK = Path(__file__).parents[1] / "backends" / "stack" / "compose.yaml"
HERE = started_by()


def containers(
    project: str, stack: str = "small", kind: Kind = "kept", folder: str = "", user: str = "", host: str = ""
) -> RunningStack:
    place = (folder or os.path.realpath("."), user or HERE["user"], host or HERE["host"])
    return RunningStack(stack, project, None, kind, *place)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Several stacks run, which only pretend; what is stopped of them."""
    monkeypatch.chdir(tmp_path)
    there = [
        containers("small-1"),
        containers("small-2", folder="/elsewhere"),
        containers("small-3", user="somebody"),
        containers("small-4", host="another"),
        containers("small-5", kind="active"),
        containers("small-6", kind="abandoned"),
        containers("other-7", stack="other", host="another"),
        containers("small-2-attached", kind="attached"),
    ]
    names: list[str] = []
    monkeypatch.setattr(harness.runner.keeping.down, "running", lambda *_: there)
    monkeypatch.setattr(
        harness.runner.keeping.down, "stop", lambda chosen, **_: names.extend(one.name for one in chosen)
    )
    return names


def test_without_a_name_only_what_this_folder_started_is_stopped(harness_: Harness, stopped: list[str]) -> None:
    result = harness_("down")
    assert result.code == 0
    assert stopped == ["small-1", "small-6"]
    first, second, count, others = result.out.splitlines()
    started = f"started in {os.path.realpath('.')} by {HERE['user']} on {HERE['host']}"
    assert first == f"small-1: containers of the stack small, {started}"
    assert second.endswith(", left by a killed run")
    assert count == "2 stacks stopped"
    assert others.endswith(": other-7, small-2, small-2-attached, small-3, small-4, small-5")


def test_the_name_of_a_stack_means_ones_own_on_this_host(harness_: Harness, stopped: list[str]) -> None:
    assert harness_("down", "small").code == 0
    assert stopped == ["small-1", "small-2", "small-6"]


@pytest.mark.parametrize("project", ["small-2", "small-3", "small-5"])
def test_the_name_of_a_project_means_that_one(project: str, harness_: Harness, stopped: list[str]) -> None:
    assert harness_("down", project).code == 0
    assert stopped == [project]


@pytest.mark.parametrize(("name", "said"), [
    ("smal-1", "no stack runs under the name 'smal-1' — did you mean 'small-1'? What runs: other-7, small-1, small-2"),
    ("small-4", "'small-4' was started on another host: another — stop it there; `harness down --all` takes"),
    ("other", "'other' was started on another host: another"),
])  # fmt: skip
def test_a_name_that_means_nothing_here(name: str, said: str, harness_: Harness, stopped: list[str]) -> None:
    result = harness_("down", "small-1", name)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert stopped == [], "nothing is stopped unless every name is right"


def test_a_name_where_nothing_runs(harness_: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.runner.keeping.down, "running", list)
    result = harness_("down", "small")
    assert (result.code, result.err) == (2, "no stack runs under the name 'small' — nothing runs\n")
    assert harness_("down").out == "0 stacks stopped\n"
    assert harness_("down", "--all").out == "0 stacks stopped\n"


def test_all_asks_or_takes_yes(harness_: Harness, stopped: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    refused = harness_("down", "--all")
    assert refused.code == 2
    assert "there is no terminal to ask on — add --yes, or name the stacks" in refused.err
    assert len(refused.out.splitlines()) == 8, "it lists what it would stop"
    assert stopped == []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    assert harness_("down", "--all").code == 130
    assert stopped == []
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "y")
    assert harness_("down", "--all").code == 0
    assert len(stopped) == 8
    stopped.clear()
    assert harness_("down", "--all", "--yes").code == 0
    assert len(stopped) == 8


def test_all_takes_no_name(harness_: Harness, stopped: list[str]) -> None:
    result = harness_("down", "--all", "small")
    assert (result.code, stopped) == (2, [])
    assert "--all takes no name" in result.err


class Containers:
    """An engine that has nothing but containers, as far as `harness down` asks."""

    def __init__(self) -> None:
        self.rows: dict[str, Mapping[str, str]] = {}
        self.api = self

    def close(self) -> None:
        pass

    def containers(self, all: bool = False, filters: Mapping[str, str] | None = None) -> list[dict[str, Any]]:  # noqa: A002
        key, _, value = (filters or {})["label"].partition("=")
        wanted = {name: row for name, row in self.rows.items() if key in row and value in ("", row[key])}
        return [{"Id": name, "Names": [f"/{name}"], "Labels": row} for name, row in wanted.items()]

    def networks(self, filters: object) -> list[dict[str, Any]]:
        return []

    def volumes(self, filters: object) -> dict[str, Any]:
        return {}

    def unpause(self, name: str) -> None:
        pass

    def stop(self, name: str, timeout: int) -> None:
        pass

    def remove_container(self, name: str, **_: bool) -> None:
        self.rows.pop(name, None)


class SomebodysStack:
    """A stack that a run is attached to, with a helper and a stand-in of the run in it."""

    def __init__(self, on: Containers, run: Path) -> None:
        self.on, self.run = on, run
        labels = run_labels("shop-attached", "shop")
        on.rows["shop-helper"] = labels
        on.rows["shop-db-1"] = labels | {STANDS_FOR: "an-id"}
        on.rows["shop-web-1"] = {"com.docker.compose.project": "shop"}
        on.rows["ml-chaos-harness-owner-shop"] = {
            stack_owner.OWNED: "shop",
            stack_owner.RUN: str(run),
            stack_owner.PROCESS: ProcessId.here().to_text(),
        }
        self.ownership = Ownership(run / "undo")

    def there(self) -> set[str]:
        return set(self.on.rows)


@pytest.fixture
def on_engine(monkeypatch: pytest.MonkeyPatch) -> Containers:
    made = Containers()
    monkeypatch.setattr(engine, "client", lambda: made)
    return made


@pytest.fixture
def somebodys(on_engine: Containers, tmp_path: Path) -> Iterator[SomebodysStack]:
    made = SomebodysStack(on_engine, tmp_path / "run")
    yield made
    made.ownership.end()


def test_what_a_run_that_goes_on_has_put_into_a_stack_is_not_taken_from_it(
    harness_: Harness, somebodys: SomebodysStack
) -> None:
    before = somebodys.there()
    result = harness_("down", "shop-attached")
    assert result.code == 2
    assert f"the stack 'shop' is owned by the run {somebodys.run}, process {os.getpid()}" in result.err
    assert "end the run first: `harness stop shop`" in result.err
    assert somebodys.there() == before


def test_what_a_dead_run_has_put_into_a_stack_goes_and_the_record_of_the_run_stays(
    harness_: Harness, somebodys: SomebodysStack
) -> None:
    somebodys.ownership.end()
    assert harness_("down", "shop-attached").code == 0
    assert somebodys.there() == {"shop-web-1", "ml-chaos-harness-owner-shop"}


def test_a_stand_in_that_no_run_is_known_to_have_put_there_stays(harness_: Harness, somebodys: SomebodysStack) -> None:
    del somebodys.on.rows["ml-chaos-harness-owner-shop"]
    before = somebodys.there()
    result = harness_("down", "shop-attached")
    assert result.code == 2
    assert "shop-attached: the container shop-db-1 stands for one of the stack" in result.err
    assert "`harness heal`" in result.err
    assert somebodys.there() == before
    del somebodys.on.rows["shop-db-1"]
    assert harness_("down", "shop-attached").code == 0
    assert somebodys.there() == {"shop-web-1"}


def test_nothing_is_stopped_where_one_stack_is_refused(
    harness_: Harness, somebodys: SomebodysStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        process = psutil.Process(keeper.pid)
        local = RunningStack("small", None, process, "kept", "", HERE["user"], HERE["host"])
        of_containers = [containers("shop-attached", stack="shop", kind="attached")]
        monkeypatch.setattr(harness.runner.keeping.down, "running", lambda *_: [local, *of_containers])
        assert harness_("down", "small", "shop-attached").code == 2
        assert keeper.poll() is None
        somebodys.ownership.end()
        assert harness_("down", "small", "shop-attached").code == 0
        assert not process.is_running()
    finally:
        keeper.kill()
        keeper.communicate()


def test_yes_is_for_all(harness_: Harness, stopped: list[str]) -> None:
    result = harness_("down", "--yes")
    assert (result.code, stopped) == (2, [])
    assert result.err == "--yes: there is nothing to say yes to — leave it out, or add --all\n"


def test_containers_are_labelled_with_folder_user_and_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    labels = run_labels("p", "small", kept=True)
    assert labels[FOLDER] == os.path.realpath(tmp_path)
    assert (labels[USER], labels[HOST]) == (HERE["user"], HERE["host"])


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A local stack that `harness up` keeps, started in a folder of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "up", str(STACK)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    assert any("stops it" in line for line in process.stdout)
    yield process
    process.terminate()
    process.wait(20)
    process.stdout.close()


def test_a_local_stack_is_stopped_by_its_name_or_from_its_folder(
    kept: subprocess.Popen[str], harness_: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(harness.runner.keeping.down, "_in_containers", lambda *_: iter(()))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert "0 stacks stopped" in harness_("down").out.splitlines()
    assert kept.poll() is None
    monkeypatch.chdir(tmp_path)
    result = harness_("down")
    assert (
        f"teststack: local processes of the process {kept.pid}, started in {os.path.realpath(tmp_path)}" in result.out
    )
    assert kept.wait(20) == 0
    assert "What runs" in harness_("down", "teststack").err or "nothing runs" in harness_("down", "teststack").err


def test_a_local_stack_is_stopped_by_its_name(
    kept: subprocess.Popen[str], harness_: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness.runner.keeping.down, "_in_containers", lambda *_: iter(()))
    assert harness_("down", "teststack").code == 0
    assert kept.wait(20) == 0


def test_an_engine_that_does_not_answer_is_no_reason_to_say_that_nothing_runs(
    harness_: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    result = harness_("down", "shop-of-mine")
    assert result.code == 4
    assert "no Docker engine answers" in result.err


def test_the_name_of_a_project_means_no_stack_that_is_called_like_it() -> None:
    """Somebody has named a project like another stack: that one, and its volumes, stay."""
    called_like_it = containers("elsewhere", stack="small-1", folder="/elsewhere")
    found = [containers("small-1"), called_like_it]
    assert harness.runner.keeping.down.choose(found, ["small-1"], everything=False) == found[:1]
    assert harness.runner.keeping.down.choose([called_like_it], ["small-1"], everything=False) == [called_like_it]
