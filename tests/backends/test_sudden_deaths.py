"""Whoever dies suddenly, nothing of a stack is left: not the services, not what they started, not its directories."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from watching import below, eventually, marked, supervisor

from harness.backends.local import control, linux
from harness.backends.local.backend import LocalBackend
from harness.backends.local.zygote_handle import ZygoteHandle
from harness.model.backend import StackPlan
from harness.model.errors import BackendError
from harness.model.stack import StackDescription

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).parent / "stack_driver.py"
Start = Callable[..., dict[str, Any]]


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for temporary files of the drivers alone; its path is short, for a socket must fit into it."""
    return tmp_path_factory.mktemp("t")


@pytest.fixture
def driver(marker: str, tmp_path: Path, temporary: Path) -> Iterator[Start]:
    """Start a harness process with a stack of its own."""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    running: list[subprocess.Popen[str]] = []

    def start(socket: str = "own") -> dict[str, Any]:
        process = subprocess.Popen(
            [sys.executable, str(DRIVER), marker, str(tmp_path), socket],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the driver has ended"
        return {"driver": process.pid, **json.loads(line)}

    yield start
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def scratch(temporary: Path, kind: str) -> list[Path]:
    return list(temporary.glob(f"ml-chaos-{os.getuid()}/{kind}-*"))


def everything(start: dict[str, Any], marker: str) -> set[int]:
    """Every process of the stack: those forked, and (by their mark) those exec'd."""
    return {start["supervisor"], *start["pids"], *marked(marker)} - {start["driver"], start["zygote"]}


def gone(pids: set[int]) -> bool:
    found = [linux.process(pid) for pid in pids]
    return all(one is None or one.state == "Z" for one in found)  # what reaps orphans here may take its time


@pytest.mark.parametrize("victim", ["driver", "zygote", "supervisor"])
def test_whoever_is_killed_takes_the_stack_along(driver: Start, marker: str, temporary: Path, victim: str) -> None:
    started = driver()
    pids = everything(started, marker)
    assert len(pids) >= 8, "supervisor, four services, and three that echo started"
    os.kill(started[victim], signal.SIGKILL)
    eventually(lambda: gone(pids), f"nothing is left after the {victim} was killed")
    if victim == "driver":
        eventually(lambda: not marked(marker), "the zygote ends with its owner")
    if victim != "supervisor":
        eventually(lambda: not scratch(temporary, "stack"), "the directories are removed")


def test_killing_one_user_of_a_shared_zygote_ends_its_stack_alone(
    driver: Start, marker: str, zygote: ZygoteHandle
) -> None:
    one, other = driver(str(zygote.path)), driver(str(zygote.path))
    os.kill(one["driver"], signal.SIGKILL)
    eventually(lambda: gone({one["supervisor"], *one["pids"]}), "its stack is gone")
    assert not gone({other["supervisor"]})
    assert all(linux.process(pid) is not None for pid in other["pids"])
    os.kill(other["driver"], signal.SIGKILL)
    eventually(lambda: below(zygote) == set(), "the zygote has nothing below it")


def test_the_death_of_the_owner_ends_the_stacks_of_others(driver: Start, marker: str, temporary: Path) -> None:
    owner = driver()
    (folder,) = scratch(temporary, "zygote")
    other = driver(str(folder / "socket"))
    os.kill(owner["driver"], signal.SIGKILL)
    eventually(lambda: gone({owner["zygote"], other["supervisor"], *other["pids"]}), "all stacks of the zygote end")


async def test_a_hung_supervisor_costs_bounded_time(
    description: StackDescription,
    zygote: ZygoteHandle,
    plan: Callable[..., StackPlan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = LocalBackend(description, zygote)
    await backend.start(plan())
    supervising = await supervisor(backend)
    monkeypatch.setattr(control, "ANSWER_WITHIN_S", 0.2)
    monkeypatch.setattr(control, "END_WITHIN_S", 0.2)
    os.kill(supervising, signal.SIGSTOP)
    with pytest.raises(BackendError, match=r"did not status within 0\.2 s"):
        await backend.status()
    await backend.stop()
    eventually(lambda: below(zygote) == set(), "nothing is left of it")


async def test_a_dead_supervisor_is_an_error_and_ends_the_events(
    description: StackDescription, zygote: ZygoteHandle, plan: Callable[..., StackPlan]
) -> None:
    backend = LocalBackend(description, zygote)
    await backend.start(plan())
    supervising = await supervisor(backend)
    os.kill(supervising, signal.SIGKILL)
    assert [event.service async for event in backend.events()], "iterating ends"
    with pytest.raises(BackendError, match="has ended"):
        await backend.status()
    with pytest.raises(BackendError, match="has ended"):  # not `absent`: a lost node would count as what broke
        await backend.process_states(["echo"])
    await backend.stop()
    await backend.start(plan())
    await backend.close()
    eventually(lambda: below(zygote) == set(), "nothing is left of it")
