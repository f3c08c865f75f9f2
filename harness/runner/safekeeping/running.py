"""The runs that are going on, of this user on this machine: `STATE/runs`, one file each, locked by the run's process.

A run puts its file there before it looks for a latch, and `harness stop` sets the latch before it looks for files, so
that a run is found here or meets the latch. One whose file could not be written is not found: the latch ends it all the
same, and nobody waits for it. The lock ends with the process, however it ends: a file that nobody holds is that of a
run that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from harness.journal.undo_folder import read_regular
from harness.liveness import close_in_children, closed_here, is_locked, lock_file
from harness.model.plan import Plan
from harness.runner.safekeeping.latch import ALL, state_folder


@dataclass(frozen=True, slots=True)
class Running:
    """One run that is going on, or was killed."""

    run: str
    stack: str
    run_dir: str
    host: str
    pid: int
    projects: tuple[str, ...] = ()

    def is_of(self, names: Sequence[str]) -> bool:
        """Whether it is a run of one of these stacks or projects."""
        return ALL in names or bool({self.stack, *self.projects} & set(names))


class RunNote:
    """The file of one run. Where it cannot be written, the run goes on without."""

    def __init__(self, plan: Plan, run_dir: Path) -> None:
        projects = (plan.attach,) if plan.attach is not None else ()
        self._running = Running(
            plan.run, plan.stack.name, str(run_dir.absolute()), socket.gethostname(), os.getpid(), projects
        )
        self._path = state_folder() / "runs" / f"{os.getpid()}-{uuid.uuid4().hex[:12]}.json"
        self._file: IO[str] | None = None
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("x", encoding="utf-8")
            lock_file(self._file.fileno())
            close_in_children(self._file.fileno())
            self._write()

    def _write(self) -> None:
        assert self._file is not None
        self._file.seek(0)
        self._file.write(json.dumps(asdict(self._running)) + "\n")
        self._file.truncate()
        self._file.flush()

    def of_project(self, project: str | None) -> None:
        """Note the compose project, once it is known."""
        if project is None or project in self._running.projects or self._file is None:
            return
        known = asdict(self._running) | {"projects": (*self._running.projects, project)}
        self._running = Running(**known)
        with contextlib.suppress(OSError):
            self._write()

    def close(self) -> None:
        """Take the file away: the run is over, and its journal says how."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
            closed_here(self._file.fileno())
            self._file.close()
            self._file = None


def runs() -> Iterator[tuple[Path, Running, bool]]:
    """Yield the file of every run, the run, and whether its process still lives."""
    for path in sorted((state_folder() / "runs").glob("*.json")):
        try:
            data = json.loads(read_regular(path))
            running = Running(**{**data, "projects": tuple(data["projects"])})
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            continue  # it is being written, or is none
        texts = (running.run, running.stack, running.run_dir, running.host, *running.projects)
        if not isinstance(running.pid, int) or not all(isinstance(text, str) for text in texts):
            continue
        # Another host's lock may not be seen here; its runs are taken to go on.
        yield path, running, running.host != socket.gethostname() or is_locked(path)
