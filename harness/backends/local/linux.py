"""What the process tree needs of Linux: parent-death signals, sub-reapers, and /proc.

Standard library only, because it runs in the zygote and in everything forked from it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from harness.backends.priority import give_way

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class Process(NamedTuple):
    """One line of /proc/PID/stat, as far as it matters."""

    pid: int
    state: str
    parent: int
    group: int


def own_session() -> None:
    """Begin a session that gives way to those who measure it."""
    os.setsid()
    give_way()


def die_with_parent(parent: int, with_signal: int = signal.SIGKILL) -> None:
    """Ask the kernel for a signal when the parent dies; leave at once if it has died already."""
    _prctl(_PR_SET_PDEATHSIG, with_signal)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_name(name: str) -> None:
    """Name the process for `ps` and `top`."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def process(pid: int) -> Process | None:
    """Read one process, or None where there is none."""
    # By the system's own calls: a run reads some hundred of these every second.
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            text = os.read(file, 4096).decode("utf-8", "replace")
        finally:
            os.close(file)
    except OSError:
        return None
    state, parent, group = text[text.rindex(")") + 2 :].split(" ", 3)[:3]
    return Process(pid, state, int(parent), int(group))


def processes() -> dict[int, Process]:
    """Read all processes."""
    with os.scandir("/proc") as entries:
        found = [process(int(entry.name)) for entry in entries if entry.name.isdigit()]
    return {one.pid: one for one in found if one is not None}


def family(roots: Iterable[int], table: dict[int, Process]) -> set[int]:
    """Return the roots, all their descendants, and everything in a process group that one of the roots leads."""
    children: dict[int, list[int]] = {}
    groups: dict[int, list[int]] = {}
    for one in table.values():
        children.setdefault(one.parent, []).append(one.pid)
        groups.setdefault(one.group, []).append(one.pid)
    wanted = set(roots)
    found: set[int] = set()
    todo = [pid for root in wanted for pid in (root, *groups.get(root, ()))]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children.get(pid, ())
    return {pid for pid in found if pid in table}


def send(pids: Iterable[int], number: int) -> None:
    """Signal each of them that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def descriptors() -> set[int]:
    """Return the open descriptors of this process."""
    return {int(path.name) for path in Path("/proc/self/fd").iterdir()}


def close_all(wanted: set[int]) -> None:
    """Close every descriptor but the first three and the wanted ones."""
    for number in descriptors() - wanted - {0, 1, 2}:
        with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
            os.close(number)
