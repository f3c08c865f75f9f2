"""What the sidecar of a run knows of it: the undo, and when the last heartbeat came.

With the standard library alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from harness.journal import undo_folder
from harness.journal.owner import ELSEWHERE_S, LEASE, LEASE_S, LOCK, State

FOLDER = "/harness-guard"
HEARTBEAT = "heartbeat"
"""Another text each time that whoever watches the run says so."""
ACK = "heartbeat.ack"
"""Its answer: 1 from when on the run may have lost a fault, 0 before; and the last heartbeat."""
READY = "the guard watches"


class SidecarFolder:
    """The copy of a run's undo, and the heartbeats that come with it."""

    remote = True

    def __init__(self, run: Path, now_s: Callable[[], float] = time.monotonic) -> None:
        """Raises OSError."""
        self._now_s = now_s
        self.run = run
        self.folder = undo_folder.folder_of(run)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What it knew before it was killed, and started again: the old heartbeat is no new one.
        self._acted, self._heartbeat = self._acknowledged()
        self._beat_s = self._noted_s()
        lock = self.folder / LOCK
        lock.touch(0o600)
        # No process of this machine: whether it lives is told by the age of the lease.
        about = {"host": "elsewhere", "pid": 0, "boot": "elsewhere", "ticks": 0, "inode": lock.stat().st_ino}
        lock.write_text(json.dumps(about), encoding="utf-8")
        log = self.folder / undo_folder.GUARD_LOG
        if not log.is_symlink():
            log.symlink_to("/dev/stdout")  # so that the engine shows it
        self._note()

    def _acknowledged(self) -> tuple[bool, bytes]:
        """Return whether it has acted, and the last heartbeat that it has seen, as noted."""
        try:
            acted, _, heartbeat = (self.folder / ACK).read_bytes().partition(b" ")
        except OSError:
            return False, b""
        return acted == b"1", heartbeat

    def _noted_s(self) -> float:
        """Return when that one came; now, where nobody can tell: the clock begins anew with its machine."""
        now_s = self._now_s()
        try:
            noted_s = float((self.folder / LEASE).read_bytes())
        except (OSError, ValueError):
            return now_s
        return noted_s if noted_s <= now_s else now_s

    def look(self) -> None:
        """See whether a heartbeat has come. Raises OSError."""
        heartbeat = (self.folder / HEARTBEAT).read_bytes()
        if heartbeat != self._heartbeat:
            self._heartbeat, self._beat_s = heartbeat, self._now_s()
            self._note()

    def _note(self) -> None:
        lease = self.folder / LEASE
        lease.write_text(f"{self._beat_s:020.6f}\n", encoding="ascii")
        beat_unix = time.time() - (self._now_s() - self._beat_s)
        os.utime(lease, (beat_unix, beat_unix))  # the age of a remote lease is that of its file
        new = self.folder / f"{ACK}.part"
        new.write_bytes(b"%d %s" % (self._acted, self._heartbeat))
        new.replace(self.folder / ACK)

    def state(self) -> State:
        """Return what the run does, as far as it can be told."""
        silent_s = self._now_s() - self._beat_s
        if silent_s <= LEASE_S:
            return "alive"
        return "hung" if silent_s <= ELSEWHERE_S + 1.0 else "dead"

    def acts(self) -> None:
        """Say that faults are taken out from now on. Raises OSError."""
        self._acted = True
        self._note()

    def where(self) -> Path:
        """Return the path of the run, for people."""
        return self.run

    def forget(self) -> None:
        """The copy stays in the container, for whoever heals."""
