"""The guard of a run: a process that waits for the run's death, hang or overrun, and then takes out what it left in.

Until then it looks at a few files, with the standard library alone; what taking out needs is imported when it is
needed. It is held up by nothing that the run does. It ends once nothing of the run is left, or when it could not take
something out for a long time; `harness heal` goes on from there.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from harness.guard.guard_log import log
from harness.guard.heartbeat import beat_in_background
from harness.guard.hold import RunFolder
from harness.journal import undo_folder
from harness.journal.owner import LEASE, LEASE_S, State
from harness.liveness import lock_file

EVERY_S = 0.1
AGAIN_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""How long it waits before it tries again; the last one again and again."""
GIVE_UP_S = 900.0
"""How long it tries for a dead run."""


class NoGuardError(Exception):
    """The run has a guard already, or its folder cannot be used."""


def watch(run: Path, ready: Callable[[], None]) -> None:
    """Watch a run until nothing of it is left. Blocks. Raises NoGuardError."""
    folder = undo_folder.folder_of(run)
    try:
        held = RunFolder(run)
        lock = os.open(folder / undo_folder.GUARD, os.O_RDWR | os.O_CREAT, 0o600)
        lock_file(lock)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise NoGuardError(f"{folder}: {error.strerror}") from error
    ready()
    over = beat_in_background(held)
    try:
        RunGuard(held).go()
    finally:
        over.set()


class WatchedFolder(Protocol):
    """The folder of a run, as a guard sees it."""

    remote: bool
    """Whether the run is on another machine: then its times, and what its commands did, are not of this one."""
    run: Path
    """Where the run is now."""

    @property
    def folder(self) -> Path:
        """The folder of the undo."""

    def look(self) -> None:
        """See what is new. Raises OSError."""

    def state(self) -> State:
        """Return what the run's owner does."""

    def acts(self) -> None:
        """Say that faults are taken out from now on. Raises OSError."""

    def where(self) -> Path:
        """Return the path of the run, for people."""

    def forget(self) -> None:
        """Remove what was kept of the run: nothing of it is left."""


class RunGuard:
    """Takes out what a dead or hung run left in."""

    def __init__(self, held: WatchedFolder) -> None:
        self._held = held
        self._hung_with: bytes | None = None
        """The lease with which the owner hung when its faults were taken out."""
        self._until: dict[str, tuple[tuple[int, int, int], float]] = {}
        """Until when each fault may be in, with the file in which it was read."""
        self._given_back = False
        """Whether the run has ended well, though its folder was removed and cannot say so."""
        self._failed = 0
        self._next_s = 0.0
        self._dead_since_s: float | None = None

    @property
    def _folder(self) -> Path:
        return self._held.folder

    def go(self) -> None:
        """Watch until nothing of the run is left, or for as long as there is hope. Blocks."""
        while not self._given_back and not undo_folder.has_ended(self._folder):
            with contextlib.suppress(OSError):  # a full disk, perhaps: the next look may do better
                self._held.look()
            state = self._held.state()
            if state == "dead":
                self._dead_since_s = self._dead_since_s or time.monotonic()
                if time.monotonic() >= self._next_s:
                    self._heal()
                if time.monotonic() > self._dead_since_s + GIVE_UP_S:
                    self._log(f"given up; `{undo_folder.heal_command(self._held.where())}` goes on")
                    return
            elif state == "hung" or self._overrun():
                self._while_hung(overrun=state != "hung")
            time.sleep(EVERY_S)
        self._held.forget()

    def _while_hung(self, *, overrun: bool) -> None:
        """Take out what the run has in, once while its lease stays as it is.

        A run that renews its lease is no run that hangs: with an overrun, it has its faults taken out again every
        `LEASE_S` for as long as their undo stays open, for it may put them in anew.
        """
        lease = self._lease()
        if lease != self._hung_with and time.monotonic() >= self._next_s and undo_folder.open_files(self._folder):
            self._log("the run hangs, or has a fault in for longer than planned")
            if self._heal(while_alive=overrun or self._held.remote):
                self._hung_with, self._next_s = lease, time.monotonic() + LEASE_S

    def _overrun(self) -> bool:
        """Whether a fault is in for longer than its run can mean it."""
        if self._held.remote:
            return False
        return any(not time.monotonic() <= self._until_s(name) for name in undo_folder.open_files(self._folder))

    def _until_s(self, name: str) -> float:
        """Return until when a fault may be in; NaN where its undo does not say so. It may be large: it is read once."""
        try:
            there = (self._folder / name).stat()
        except OSError:
            return math.nan
        as_read = (there.st_ino, there.st_size, there.st_mtime_ns)
        known = self._until.get(name)
        if known is None or known[0] != as_read:
            body = undo_folder.content(self._folder / name)
            until_s = body.get("until_s") if body is not None else None
            known = self._until[name] = (as_read, float(until_s) if isinstance(until_s, int | float) else math.nan)
        return known[1]

    def _lease(self) -> bytes:
        try:
            return undo_folder.read_regular(self._folder / LEASE)
        except OSError:
            return b""

    def _heal(self, *, while_alive: bool = False) -> bool:
        """Take out what is in; return whether all of it is out."""
        try:
            from harness.guard.heal import heal  # all that reverting needs

            with contextlib.suppress(OSError):  # a full disk must keep no fault in
                self._held.acts()
            healed = heal([self._held.run], "guard", while_alive=while_alive, remote=self._held.remote)[0]
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try may do better
            left = [f"{type(error).__name__}: {error}"]
        else:
            self._given_back = healed.done_before
            left = healed.left + ([healed.skipped] if healed.skipped is not None and not healed.done_before else [])
            for fault in healed.taken_out:
                self._log(f"the fault {fault!r} is out")
        for text in left:
            self._log(text)
        self._failed = self._failed + 1 if left else 0
        self._next_s = time.monotonic() + AGAIN_S[min(self._failed, len(AGAIN_S)) - 1] if left else 0.0
        return not left

    def _log(self, text: str) -> None:
        log(self._folder, text)
