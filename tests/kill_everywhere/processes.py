"""Who belongs to a run: the command that we started, its worker, its guard, and whatever else descends from it.

Everything that a trial starts inherits a variable that names the trial, so that it is found when its parents are gone,
and nothing of anybody else ever is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARK = "HARNESS_KILL_TRIAL"
LOOK_EVERY_S = 0.05


def marked(mark: str) -> list[psutil.Process]:
    """Return every process that a trial has started and that still lives."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError, psutil.Error):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                process = psutil.Process(int(folder.name))
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


@dataclass
class Family:
    """The processes of one run, looked for again and again from its start on."""

    mark: str
    command: psutil.Process
    run_dir: Path
    worker: psutil.Process | None = None
    guard: psutil.Process | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        """Look in a thread, so that a kill need not wait for it."""
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self._over.is_set():
            self.look()
            self._over.wait(LOOK_EVERY_S)

    def look(self) -> None:
        """Look once."""
        for process in marked(self.mark):
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if any("harness.guard" in word for word in words) and str(self.run_dir) in " ".join(words):
                    self.guard = process
                elif "harness.runner.execution.worker" in words and process.ppid() == self.command.pid:
                    self.worker = process

    def end(self) -> None:
        """Look no more."""
        self._over.set()

    def kill(self, whom: str) -> list[str]:
        """Send SIGKILL to those that are meant, at once; who is not known yet is looked for. Returns who it went to."""
        parts = ("command", "worker", "guard") if whom == "all" else tuple(whom.split("+"))
        killed = self._kill(parts)
        unknown = [part for part in parts if part not in killed]
        if unknown:  # it was started after the last look, or has become another process, as a guard does at its start
            self.look()
            killed += self._kill(unknown)
        return killed

    def _kill(self, parts: Iterable[str]) -> list[str]:
        killed = []
        for part in parts:
            process: psutil.Process | None = getattr(self, part)
            if process is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
                    killed.append(part)
        return killed

    def running(self) -> bool:
        """Whether somebody still does the run: the worker, or the command that has not started it yet."""
        return _lives(self.worker if self.worker is not None else self.command)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def names(processes: list[psutil.Process]) -> list[str]:
    """Return what each of these processes is, for a report."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline())[-400:] or process.name())
    return sorted(found)


def end_marked(mark: str) -> None:
    """Kill what a trial left: only processes that it started."""
    for process in marked(mark):
        with contextlib.suppress(psutil.Error):
            process.kill()
