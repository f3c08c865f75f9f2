"""Holds on to the folder of a run that is moved or removed while it is watched. With the standard library alone.

A folder that was moved is still reached by the open handle on it. What was removed is written anew, to a copy, from
what was read before: the undo of each fault, though not what data faults keep beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from harness.journal import undo_folder
from harness.journal.owner import LEASE, LOCK, State, state_of
from harness.liveness import is_locked


class RunFolder:
    """The folder of one run."""

    remote = False

    def __init__(self, run: Path) -> None:
        """Raises OSError."""
        self._handle = os.open(run, os.O_RDONLY | os.O_DIRECTORY)
        self._lock = os.open(undo_folder.folder_of(run) / LOCK, os.O_RDONLY | os.O_NONBLOCK)
        self._read: dict[str, bytes] = {}
        self._is_removed = False
        self._copy: Path | None = None
        self.run = Path(f"/proc/self/fd/{self._handle}")
        """Where the run is now."""

    @property
    def folder(self) -> Path:
        """The folder of the undo."""
        return undo_folder.folder_of(self.run)

    def look(self) -> None:
        """Read what is new in it. Where it was removed, write it anew. Raises OSError."""
        if self._copy is None:
            self._is_removed = not (self.folder / LOCK).exists()
            if self._is_removed:
                self._write_anew()
        undos = undo_folder.fault_files(self.folder)
        for name in (undo_folder.RUN, LEASE, *undos, *map(undo_folder.gone_file, undos)):
            if name not in self._read or name in (undo_folder.RUN, LEASE):  # these two change
                try:
                    self._read[name] = undo_folder.read_regular(self.folder / name)
                except OSError:
                    continue

    def state(self) -> State:
        """Return what the run's owner does. Where the folder was removed, its lock, which is held open, tells."""
        if not self._is_removed:
            return state_of(self.folder)
        return "alive" if is_locked(Path(f"/proc/self/fd/{self._lock}")) else "dead"

    def _write_anew(self) -> None:
        """Write a copy from what was read of the run: all of it, or nothing, so that the next look tries again."""
        copy = Path(tempfile.mkdtemp(prefix="harness-guard-"))
        try:
            folder = undo_folder.folder_of(copy)
            folder.mkdir(mode=0o700)
            for name, data in self._read.items():
                (folder / name).write_bytes(data)
                if name.endswith(undo_folder.UNDO):  # nobody can tell any more whether a call was in flight
                    (folder / undo_folder.in_flight_file(name)).touch()
            if (lock := self._lock_of_copy()) is not None:
                (folder / LOCK).write_bytes(lock)
        except BaseException:
            shutil.rmtree(copy, ignore_errors=True)
            raise
        self._copy = self.run = copy

    def _lock_of_copy(self) -> bytes | None:
        """Return a lock that names no process: whoever heals from the copy sees one; the lock held here tells."""
        try:
            return json.dumps(json.loads(os.pread(self._lock, 4096, 0)) | {"pid": 0}).encode()
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def acts(self) -> None:
        """The run sees from its lock and its files what was done."""

    def where(self) -> Path:
        """Return the path of the run, for people."""
        if self._copy is not None:
            return self._copy
        try:
            return Path(f"/proc/self/fd/{self._handle}").readlink()
        except OSError:
            return self.run

    def forget(self) -> None:
        """Remove what was written anew: nothing of the run is left."""
        if self._copy is not None:
            shutil.rmtree(self._copy, ignore_errors=True)
