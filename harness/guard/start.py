"""Starts the guard of a run, and sees whether it still is there: one that somebody has stopped guards nothing.

A stopped guard holds the lock all the same, so it is ended before another one can take its place.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
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
    _end_stopped(run)
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
    return is_locked(undo_folder.folder_of(run) / undo_folder.GUARD) and stopped_guard(run) is None


def stopped_guard(run: Path) -> int | None:
    """Return the process of the run's guard where it was stopped (SIGSTOP); None where it goes on, or is none."""
    lock = undo_folder.folder_of(run) / undo_folder.GUARD
    try:
        pid = int(undo_folder.read_regular(lock))
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (OSError, ValueError):
        return None
    is_stopped = stat.rpartition(")")[2].split()[:1] == ["T"]
    return pid if is_stopped and _holds(pid, lock) else None


def _holds(pid: int, lock: Path) -> bool:
    """Whether a process holds the lock of a file: its number alone may be that of another one by now."""
    try:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            held = b"FLOCK" in Path(f"/proc/{pid}/fdinfo/{file.name}").read_bytes()
            if held and os.path.samestat(file.stat(), lock.stat()):
                return True
    except OSError:
        return False
    return False


def _end_stopped(run: Path) -> None:
    """End the guard of a run that was stopped, and wait until its lock is free. Blocks."""
    pid = stopped_guard(run)
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid) if pid is not None else None
        if handle is None:
            return
        try:
            # From here on the handle is of one process, whichever has that number: it is asked once more.
            if stopped_guard(run) == pid:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                select.select([handle], [], [], READY_S)
        finally:
            os.close(handle)
