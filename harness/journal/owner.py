"""Who owns a run: the process that holds the lock in its undo folder, and renews a lease there as long as it goes on.

The kernel releases the lock whatever ends the process, so a death is known at once. A process that is stopped, or
hangs, holds the lock and renews no lease. A lease that is missing or malformed has expired. With the standard library
alone.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.journal.undo_folder import read_regular
from harness.liveness import ProcessId, close_in_children, closed_here, is_locked, lock_file

LOCK = "owner.lock"
LEASE = "lease"
LEASE_S = 10.0
"""From when on an owner that has not renewed its lease counts as one that hangs."""
RENEW_S = 1.0
ELSEWHERE_S = 60.0
"""How old the lease of a process of another machine, or of an earlier start of this one, must be to have expired."""

State = Literal["alive", "hung", "dead"]


@dataclass(frozen=True)
class Owner(ProcessId):
    """The process of a run."""

    inode: int
    """That of the file with the lock: in a copy of the folder it is another."""


class Ownership:
    """This process owns the run. Held until `end`, or until the process ends."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError; BlockingIOError where another process owns the run."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        self._lease: int | None = None
        self._ended = False
        try:
            lock_file(self._lock)
            about = {**ProcessId.here().to_dict(), "inode": os.fstat(self._lock).st_ino}
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, json.dumps(about).encode(), 0)
            close_in_children(self._lock)
            self._lease = os.open(folder / LEASE, os.O_WRONLY | os.O_CREAT, 0o600)
            self.renew()
        except BaseException:
            self.end()
            raise

    def still_there(self, folder: Path) -> bool:
        """Whether the lock is the one in the folder: it was neither moved nor removed."""
        try:
            return os.fstat(self._lock).st_ino == (folder / LOCK).stat().st_ino
        except OSError:
            return False

    def renew(self) -> None:
        """Say that the run goes on. Harmless once it has ended."""
        if not self._ended and self._lease is not None:
            os.pwrite(self._lease, f"{time.monotonic():020.6f}\n".encode(), 0)

    def end(self) -> None:
        """Give it up. Idempotent."""
        if not self._ended:
            self._ended = True
            if self._lease is not None:
                os.close(self._lease)
            closed_here(self._lock)
            os.close(self._lock)


def state_of(folder: Path, lease_s: float = LEASE_S) -> State:
    """Return what the owner of a run does. A run without any counts as dead."""
    if is_locked(folder / LOCK):
        return "alive" if _lease_age_s(folder) <= lease_s else "hung"
    owner = owner_of(folder)
    if owner is None:
        return "dead"
    if owner.is_here():
        # The lock is not on a copy; whoever holds it on the original may still go on.
        return "alive" if is_copy(folder) and owner.lives() else "dead"
    # Of another machine, whose locks may not be seen here, or of this one before it was started again.
    return "alive" if abs(_written_ago_s(folder)) <= ELSEWHERE_S else "dead"


def lease_age_s(folder: Path) -> float | None:
    """Return how long ago the owner of a run renewed its lease; None where nobody can tell."""
    owner = owner_of(folder)
    here = owner is None or owner.is_here()
    age_s = _lease_age_s(folder) if here else max(0.0, _written_ago_s(folder))  # clocks of machines differ
    return age_s if math.isfinite(age_s) else None


def owner_of(folder: Path) -> Owner | None:
    """Return who owns the run, or owned it last; None where nobody can tell."""
    try:
        about = json.loads(read_regular(folder / LOCK))
        one = ProcessId.from_dict(about)
        return Owner(one.host, one.pid, one.boot, one.ticks, int(about["inode"])) if one is not None else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def is_copy(folder: Path) -> bool:
    """Whether this is not the folder that the run wrote, but a copy of it."""
    owner = owner_of(folder)
    try:
        return owner is not None and owner.inode != (folder / LOCK).stat().st_ino
    except OSError:
        return False


def _written_ago_s(folder: Path) -> float:
    try:
        return time.time() - (folder / LEASE).stat().st_mtime
    except OSError:
        return float("inf")


def _lease_age_s(folder: Path) -> float:
    try:
        renewed_s = float(read_regular(folder / LEASE)[:64])
    except (OSError, ValueError):
        return float("inf")
    age_s = time.monotonic() - renewed_s
    return age_s if age_s >= 0 else float("inf")  # not a time of this machine; a NaN is older than anything, too
