"""Whether a process that was written down still lives. With the standard library alone: the guard of a run imports it.

There are two ways to know. The kernel releases a lock whatever ends the process, so that who holds one lives; that is
the way wherever there is a file. What has none, such as a label on an engine, names the process by its `ProcessId`. Of
a process that ran elsewhere nobody can tell from here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LOOK_AGAIN_S = 0.01
_ENDED = ("Z", "X")
_FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""The machine's own, as the kernel numbers it (PROC_PID_INIT_INO in include/linux/proc_ns.h)."""
_only_here: set[int] = set()


@dataclass(frozen=True)
class ProcessId:
    """One process, told from every other: numbers are given again, and each machine and PID namespace has its own."""

    host: str
    pid: int
    boot: str
    """The start of its machine, and its PID namespace: see `this_boot`."""
    ticks: int
    """When it began, in the kernel's ticks since the machine did: a wall clock may be set meanwhile."""

    @classmethod
    def here(cls, pid: int | None = None) -> ProcessId:
        """Return which process this is, or another one of this machine. Raises ProcessLookupError."""
        number = os.getpid() if pid is None else pid
        ticks = began_ticks(number)
        if ticks is None:
            raise ProcessLookupError(number)
        return ProcessId(socket.gethostname(), number, this_boot(), ticks)

    def is_here(self) -> bool:
        """Whether it can be looked for here: its number means the same here, and the machine was not started since."""
        return self.boot == this_boot()

    def lives(self) -> bool:
        """Whether it is found alive here."""
        return self.is_here() and began_ticks(self.pid) == self.ticks

    def may_live(self) -> bool:
        """Whether it lives, or nobody can tell from here: on another host, or in another PID namespace of this one."""
        if self.host != socket.gethostname():
            return True
        return self.lives() if self.is_here() else _start_of(self.boot) == _start_of(this_boot())

    def to_text(self) -> str:
        """Return it as one line, for a label."""
        return f"{self.host} {self.pid} {self.boot} {self.ticks}"

    @classmethod
    def from_text(cls, text: str) -> ProcessId | None:
        """Read such a line; None for any other."""
        words = text.split(" ")
        names = ("host", "pid", "boot", "ticks")
        return cls.from_dict(dict(zip(names, words, strict=True))) if len(words) == len(names) else None

    def to_dict(self) -> dict[str, str | int]:
        """Return its fields, for a file of JSON."""
        return {"host": self.host, "pid": self.pid, "boot": self.boot, "ticks": self.ticks}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ProcessId | None:
        """Read such fields, whatever is beside them; None where one is missing or malformed."""
        try:
            return cls(str(fields["host"]), int(fields["pid"]), str(fields["boot"]), int(fields["ticks"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            return None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def began_ticks(pid: int) -> int | None:
    """Return when a process began, in the kernel's ticks since the machine did; None for one that is not there.

    One that has ended, and is there only until its parent asks how, is not: its locks are released, too.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = stat.rpartition(")")[2].split()
        return int(fields[19]) if fields[0] not in _ENDED else None
    except (OSError, ValueError, IndexError):
        return None


def this_boot() -> str:
    """Return what tells this start of this machine, and what the numbers of processes mean here, from others.

    In a container, which has a PID namespace of its own, a number is another process.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        numbers = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return socket.gethostname()
    return boot if numbers == _FIRST_PID_NAMESPACE else f"{boot}/{numbers}"


def _start_of(boot: str) -> str:
    return boot.partition("/")[0]


def is_locked(file: Path) -> bool:
    """Whether a process holds the lock of a file."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # nobody can tell, and to heal a run that goes on is worse than not to heal
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def lock_file(file: int, within_s: float = 0.5) -> None:
    """Lock an open file. Blocks for a moment: those who only look at the lock hold it for an instant.

    Raises BlockingIOError where another process keeps it, OSError.
    """
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_LOOK_AGAIN_S)
        else:
            return


@contextlib.contextmanager
def locked(path: Path, *, flags: int = os.O_RDWR | os.O_CREAT, mode: int = 0o600, wait: bool = False) -> Iterator[int]:
    """Hold the lock of a file, or of a folder, and yield its descriptor. By default the file is made if it is missing.

    Raises BlockingIOError where another process holds the lock and it is not to be waited for, OSError.
    """
    file = os.open(path, flags, mode)
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    finally:
        os.close(file)


def close_in_children(file: int) -> None:
    """Let no child that is forked hold the lock of a file: it would seem to be held when its owner has died."""
    _only_here.add(file)


def closed_here(file: int) -> None:
    """Forget a file that is closed next: its number is given again."""
    _only_here.discard(file)


def _close_all() -> None:
    for file in _only_here:
        with contextlib.suppress(OSError):
            os.close(file)
    _only_here.clear()


os.register_at_fork(after_in_child=_close_all)
