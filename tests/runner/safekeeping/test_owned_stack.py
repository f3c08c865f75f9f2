"""A stack that another run owns is refused before anything starts, alike whether that run goes on or is dead."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from scenario_files import STACK

from harness.backends.compose import attached, engine
from harness.description.stackfile import load_stack
from harness.guard import stack_owner
from harness.guard.stack_owner import StackOwner
from harness.journal.owner import Ownership
from harness.liveness import ProcessId
from harness.model.errors import ScenarioError
from harness.runner.execution.backend_factory import check_attached
from harness.runner.safekeeping import stack_ownership


class Engine:
    """An engine on which a run owns the stack for as many looks as are given."""

    def __init__(self, run: Path) -> None:
        self.owner = StackOwner("shop", "an-id", str(run), ProcessId.here())
        self.looks = 10**9
        self.at_look: dict[int, Callable[[], object]] = {}
        self.seen = 0

    def owner_of_stack(self, _client: object, _project: str) -> StackOwner | None:
        self.seen += 1
        self.at_look.get(self.seen, lambda: None)()
        return self.owner if self.seen <= self.looks else None


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run" / "undo").mkdir(parents=True)
    return tmp_path / "run"


@pytest.fixture
def on_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine(run)
    monkeypatch.setattr(attached, "check_project", lambda _: None)
    monkeypatch.setattr(engine, "lent_client", contextlib.nullcontext)
    monkeypatch.setattr(stack_owner, "owner_of_stack", made.owner_of_stack)
    monkeypatch.setattr(stack_ownership, "LOOK_EVERY_S", 0.0)
    return made


@pytest.fixture
def guard(run: Path) -> Iterator[IO[bytes]]:
    with (run / "undo" / "guard.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def refusal(told: list[str]) -> str:
    with pytest.raises(ScenarioError) as refused:
        check_attached([load_stack(STACK)], "compose", "shop", told.append)
    return str(refused.value)


def test_one_that_goes_on(run: Path, on_it: Engine) -> None:
    owned = Ownership(run / "undo")
    try:
        assert f"is owned by the run {run}, process {os.getpid()}" in refusal([])
    finally:
        owned.end()
    assert on_it.seen == 1


def test_a_dead_one_without_a_guard(run: Path, on_it: Engine) -> None:
    told: list[str] = []
    assert f"run `harness heal {run}` first" in refusal(told)
    assert (on_it.seen, told) == (1, [])


def test_a_dead_one_whose_guard_gives_it_back_is_waited_for(run: Path, on_it: Engine, guard: IO[bytes]) -> None:
    on_it.looks = 5
    told: list[str] = []
    check_attached([load_stack(STACK)], "compose", "shop", told.append)
    assert on_it.seen == 6
    assert told == [f"the run {run} has ended; waiting for its guard to give the stack 'shop' back"]


def test_a_dead_one_whose_guard_ends_too(run: Path, on_it: Engine, guard: IO[bytes]) -> None:
    on_it.at_look[4] = guard.close
    assert f"run `harness heal {run}` first" in refusal([])
    assert on_it.seen == 4


def test_a_dead_one_whose_guard_takes_too_long(
    run: Path, on_it: Engine, guard: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_ownership, "HEALED_WITHIN_S", -1.0)
    assert f"run `harness heal {run}` first" in refusal([])
