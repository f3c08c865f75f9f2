"""Runs that died with faults in them, on disk: a flag in a folder is what a fault by commands puts in.

What else is healed acts on a `Seam`: a stack in memory, with failures, and where need be with a clock of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.guard import heal as healing
from harness.guard import taking_out
from harness.guard.stacks import Reached
from harness.journal import undo_folder
from harness.journal.undo import UndoFiles
from harness.model.errors import FaultError
from harness.model.faultstep import FaultStep
from harness.model.stack import ServiceSpec, StackDescription
from harness.model.undo import FaultUndo, RunUndo

TAKES_OUT = ("rm", "-f", "flag")
WORDS = {word: ["true"] for word in ("inject", "confirm", "revert")}
"""What a step of a fault by commands must name; its undo has the commands that count."""


def stack_of(*services: str) -> StackDescription:
    """Return a description of some services."""
    specs = {name: ServiceSpec(name=name, index=k, node=name) for k, name in enumerate(services or ("server",))}
    return StackDescription.model_validate(
        {"schema": 1, "name": "small", "file": "/nowhere/compose.yaml", "services": specs}
    )


def step_of(fault: str, kind: str = "command", **target: Any) -> FaultStep:
    """Return a step of a timeline."""
    given = {"id": fault, "at": "0s", "fault": kind, "target": target or {"service": "server"}, "for": "1s"}
    return FaultStep.model_validate(given)


def commands(folder: Path, flag: str = "flag", revert: tuple[str, ...] = TAKES_OUT) -> dict[str, Any]:
    """Return the undo of a fault by commands that are run in a folder."""
    return {
        "revert": list(revert), "absent": ["test", "-e", flag], "absent_code": 1, "folder": str(folder),
        "environment": {}, "timeout_s": 10.0,
    }  # fmt: skip


def dead_run(folder: Path, faults: Mapping[str, Mapping[str, Any]], *, run: str = "run", **about: Any) -> Path:
    """Write what a run leaves whose process died with these faults in. Returns its folder."""
    files = UndoFiles(folder / run)
    given = {"id": "1", "run": run, "scenario": "small", "backend": "local", "stack": stack_of(), "seed": 1}
    files.write_run(RunUndo(**(given | about)))
    for fault, data in faults.items():
        files.write_fault(step_of(fault), data, 60.0)
    (folder / run / "journal.jsonl").write_text("", encoding="utf-8")
    return folder / run


OWNS = """
import os, sys, time
from pathlib import Path
from harness.journal.owner import Ownership
run = Path(sys.argv[1])
mine = Ownership(run / "undo")
os.write(1, b"owns\\n")
for _ in sys.stdin:
    mine.renew()
    print("renewed", flush=True)
"""
OWNER = (sys.executable, "-c", OWNS)
"""A process that owns a run until it is killed, and renews its lease at each line of its input."""


@contextmanager
def owned(run: Path) -> Iterator[int]:
    """Let a process own a run, and kill it at the end. Yields its number."""
    process = subprocess.Popen([*OWNER, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == b"owns\n"
        yield process.pid
    finally:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


def wait_for(file: Path, within_s: float = 60.0) -> None:
    """Wait until a file is there."""
    until_s = time.monotonic() + within_s
    while not file.exists():
        assert time.monotonic() < until_s, f"{file} is not there"
        time.sleep(0.02)


def said(run: Path, name: str) -> dict[str, Any]:
    """Return what a file of the undo says, as anybody can read it."""
    found: dict[str, Any] = json.loads((undo_folder.folder_of(run) / name).read_text(encoding="utf-8"))["body"]
    return found


SHOP: dict[str, Any] = {
    "backend": "compose", "project": "shop", "owned": False, "stack": stack_of("server", "other"),
}  # fmt: skip
"""What is known of a run on a stack that it is attached to."""


class Seam:
    """A value of each service, and faults that set it and put back what they found."""

    def __init__(self) -> None:
        self.values = dict.fromkeys(("server", "other"), "original")
        self.failures: dict[str, int] = {}
        """How often the revert of each fault fails before it works."""

    def put_in(self, files: UndoFiles, fault: str, kind: str, services: tuple[str, ...]) -> None:
        """Put a fault in, its undo first."""
        found = {service: self.values[service] for service in services}
        files.write_fault(step_of(fault, kind, services=services), {"found": found}, 60.0)
        self.values |= dict.fromkeys(services, fault)

    async def taken_out(self, undo: FaultUndo, _seams: Any, _seed: int) -> dict[str, Any]:
        """Revert a fault, and measure that it is gone."""
        if self.failures.get(undo.fault, 0) > 0:
            self.failures[undo.fault] -= 1
            raise FaultError("the engine is busy")
        self.values |= undo.data["found"]
        return await self.command_gone(undo)

    async def command_gone(self, undo: FaultUndo) -> dict[str, Any]:
        """Measure that a fault is gone."""
        if undo.fault in self.values.values():
            raise FaultError("it is active")
        return dict(self.values)


class Clock:
    """A clock that goes on only where somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        """Return its time, as `time.monotonic`."""
        return self.now_s

    async def sleep(self, for_s: float) -> None:
        """Let it go on, as `asyncio.sleep`."""
        self.now_s += for_s


TakenOut = Callable[[FaultUndo, Any, int], Awaitable[dict[str, Any]]]


def reverts_by(patch: pytest.MonkeyPatch, taken_out: TakenOut) -> None:
    """Let this revert what is in and measure that it is gone, on a stack that can be reached."""
    patch.setattr(taking_out, "taken_out", taken_out)
    patch.setattr(taking_out, "reached", _there)


@contextmanager
def healing_at(
    seam: Any, *, clock: Clock | None = None, in_flight_s: Callable[[FaultUndo], float] | None = None
) -> Iterator[pytest.MonkeyPatch]:
    """Let runs be healed at a seam, of a stack that they may be healed on, and that can be given back.

    `seam` has `taken_out`, and `command_gone` where what commands did is measured there too. `in_flight_s` is how long
    a call of a dead owner may be at work on a fault.
    """
    with pytest.MonkeyPatch.context() as patch:
        reverts_by(patch, seam.taken_out)
        if hasattr(seam, "command_gone"):
            patch.setattr(taking_out, "command_gone", seam.command_gone)
        patch.setattr(healing, "given_back", lambda *_: None)
        patch.setattr(healing, "not_to_be_healed", lambda *_, **__: None)
        if in_flight_s is not None:
            patch.setattr(healing, "in_flight_of", in_flight_s)
        if clock is not None:
            for module in (healing, taking_out):
                patch.setattr(module, "time", clock)
            patch.setattr(taking_out.asyncio, "sleep", clock.sleep)
        yield patch


@asynccontextmanager
async def _there(_runs: list[RunUndo], *, removes: bool) -> Any:
    yield Reached()
