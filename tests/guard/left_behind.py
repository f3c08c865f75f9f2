"""Runs that died with faults in them, on disk: a flag in a folder is what a fault by commands puts in."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.journal import undo_folder
from harness.journal.undo import UndoFiles
from harness.model.faultstep import FaultStep
from harness.model.stack import ServiceSpec, StackDescription
from harness.model.undo import RunUndo

TAKES_OUT = ("rm", "-f", "flag")


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
