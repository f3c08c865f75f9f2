"""Who owns a stack: one run, by a record on the engine that may go at any time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest

from harness.guard import stack_owner
from harness.guard.stack_owner import OWNED, PROCESS, RUN, StackOwner, owner_of_stack, take_stack
from harness.liveness import ProcessId
from harness.model.errors import BackendError

PROJECT = "shop"


class Engine:
    """One container of a stack, and a record that its owner removes after some conflicts."""

    def __init__(self, conflicts: int, *, stays: bool = False) -> None:
        self.conflicts = conflicts
        self.stays = stays
        """Whether what is in the way has the record's name, and is none."""
        self.labels: dict[str, str] | None = None

    @property
    def api(self) -> Engine:
        return self

    def containers(self, *, all: bool, filters: dict[str, str]) -> list[dict[str, Any]]:  # noqa: A002 - the engine's
        if filters["label"].startswith(OWNED):
            return [] if self.labels is None else [{"Labels": self.labels}]
        return [{"ImageID": "sha256:1"}]

    def create_container(self, _image: str, *, labels: dict[str, str], **_: Any) -> None:
        if self.stays or self.conflicts > 0 or self.labels is not None:
            self.conflicts -= 1
            raise docker.errors.APIError("Conflict", response=SimpleNamespace(status_code=409))
        self.labels = labels


@pytest.mark.parametrize("conflicts", [0, 1, 3])
def test_a_record_that_goes_while_it_is_looked_at_leaves_the_stack_to_the_next_run(
    tmp_path: Path, conflicts: int
) -> None:
    engine = Engine(conflicts)
    assert take_stack(engine, PROJECT, "id", tmp_path) is None
    owner = owner_of_stack(engine, PROJECT)
    assert owner is not None
    assert (owner.id, owner.run) == ("id", str(tmp_path))


def test_a_second_run_is_told_the_first(tmp_path: Path) -> None:
    engine = Engine(0)
    assert take_stack(engine, PROJECT, "first", tmp_path) is None
    other = take_stack(engine, PROJECT, "second", tmp_path)
    assert other is not None
    assert other.id == "first"
    assert take_stack(engine, PROJECT, "first", tmp_path) is None


def test_a_container_in_the_way_that_is_no_record_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_owner, "AGAIN_S", 0.0)
    with pytest.raises(BackendError, match="ml-chaos-harness-owner-shop is there, and names no owner") as raised:
        take_stack(Engine(0, stays=True), PROJECT, "id", tmp_path)
    assert "docker rm ml-chaos-harness-owner-shop" in str(raised.value.remedy)


def test_of_a_run_whose_folder_is_gone_its_process_tells(tmp_path: Path) -> None:
    process = ProcessId.here()
    gone = str(tmp_path / "gone")
    assert StackOwner(PROJECT, "id", gone, process).may_live()
    assert not StackOwner(PROJECT, "id", gone, replace(process, ticks=process.ticks - 1)).may_live()
    assert StackOwner(PROJECT, "id", gone, replace(process, host="far", ticks=1)).may_live()


def test_a_record_that_names_no_process_may_be_of_one_that_lives(tmp_path: Path) -> None:
    engine = Engine(0)
    engine.labels = {OWNED: PROJECT, RUN: str(tmp_path / "gone"), PROCESS: "far x"}
    owner = owner_of_stack(engine, PROJECT)
    assert owner is not None
    assert (owner.process, owner.may_live(), owner.is_dead()) == (None, True, False)
    assert str(owner.refusal()).startswith(
        f"--attach: the stack 'shop' is owned by the run {tmp_path / 'gone'}, an unkn"
    )


@pytest.mark.parametrize("run", ["/" + "x" * 5000, "/x" * 2500, "/a\0b", "/\ud800"])
def test_a_record_with_a_path_that_no_folder_can_have_is_one_message(run: str) -> None:
    owner = StackOwner(PROJECT, "1", run, ProcessId.here())
    assert (owner.is_here(), owner.is_dead(), owner.may_live()) == (False, False, True)
    for one in (owner, replace(owner, process=None)):
        said = str(one.refusal())
        assert said.startswith("--attach: the stack 'shop' is owned by the run /")
        assert len(said) < 1500
