"""Starts the guard of a run, and sees whether it still is there."""

from __future__ import annotations

import select
import subprocess
import sys
from pathlib import Path

from harness.journal import undo_folder
from harness.liveness import is_locked
from harness.model.errors import BackendError

READY_S = 20.0


def start_guard(run: Path) -> None:
    """Start the guard of a run and wait until it watches. Blocks. Raises BackendError."""
    folder = undo_folder.folder_of(run)
    try:
        with (folder / undo_folder.GUARD_LOG).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "harness.guard", str(run.absolute())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise BackendError(f"the guard of the run could not be started: {error.strerror}") from error
    assert process.stdout is not None
    with process.stdout as out:
        readable, _, _ = select.select([out], [], [], READY_S)
        said = out.readline() if readable else b""
    try:
        process.wait(READY_S)  # it goes on as a process that is not ours
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if said != b"ready\n" and not has_guard(run):
        log_file = str(folder / undo_folder.GUARD_LOG)
        raise BackendError("the guard of the run did not start", file=log_file, remedy="its log says why")


def has_guard(run: Path) -> bool:
    """Whether a guard watches the run."""
    return is_locked(undo_folder.folder_of(run) / undo_folder.GUARD)
