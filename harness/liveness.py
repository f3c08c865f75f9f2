"""Whether a process that was written down still lives. With the standard library alone: the guard of a run imports it.

There are two ways to know. The kernel releases a lock whatever ends the process, so that who holds one lives; that is
the way wherever there is a file. What has none, such as a label on an engine, names the process: its host, its number,
and when it began, for numbers are given again. Of a process that ran elsewhere nobody can tell from here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from pathlib import Path

_BEGAN_WITHIN_S = 0.02
"""How far apart two notes of when one process began may be: they are written with two decimals."""
_LOOK_AGAIN_S = 0.01
_ENDED = ("Z", "X")
_FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""The machine's own, as the kernel numbers it (PROC_PID_INIT_INO in include/linux/proc_ns.h)."""
_only_here: set[int] = set()


def is_here(host: str | None = None, boot: str | None = None) -> bool:
    """Whether a process on that host, or after that start of a machine, can be looked for here."""
    return host in (None, socket.gethostname()) and boot in (None, this_boot())


def lives(pid: int | str, *, ticks: int | None = None, at_s: float | None = None) -> bool:
    """Whether a process of this machine still lives, which began at `ticks` on the kernel's clock, or at `at_s`.

    Where neither is known, any process of its number counts as it. `at_s` is on the wall clock.
    """
    began = began_ticks(pid)
    if began is None or (ticks is not None and began != ticks):
        return False
    return at_s is None or abs(_wall_s(began) - at_s) < _BEGAN_WITHIN_S


def began_ticks(pid: int | str) -> int | None:
    """Return when a process began, in the kernel's ticks since the machine did; None for one that is not there.

    One that has ended, and is there only until its parent asks how, is not: its locks are released, too.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = stat.rpartition(")")[2].split()
        return int(fields[19]) if fields[0] not in _ENDED else None
    except (OSError, ValueError, IndexError):
        return None


def began_s(pid: int) -> float:
    """Return when a process began, on the wall clock. Raises ProcessLookupError."""
    began = began_ticks(pid)
    if began is None:
        raise ProcessLookupError(pid)
    return _wall_s(began)


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


def _wall_s(ticks: int) -> float:
    with Path("/proc/stat").open(encoding="ascii") as stat:
        booted_s = next((float(line.split()[1]) for line in stat if line.startswith("btime")), 0.0)
    return booted_s + ticks / os.sysconf("SC_CLK_TCK")


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
