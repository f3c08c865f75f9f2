"""What every task of `container_agent` stands on: namespaces, control groups of both versions, the kernel's tables.

Only the standard library is imported in the agent's modules: they run in helper containers too.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
CGROUP = Path("/sys/fs/cgroup")


class TaskError(Exception):
    """What went wrong, and what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def belongs(pid: int, container: str) -> bool:
    """Whether a process is one of a container, by its control group."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def enter(pid: int, namespace: str) -> None:
    """Go into a namespace of a process, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/{namespace}").open("rb") as handle:
        if libc.setns(handle.fileno(), 0) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"the {namespace} namespace of process {pid}: {os.strerror(code)}")


def group(pid: int, controller: str) -> tuple[Path, int]:
    """Return a control group's directory and whether it is of version 1 or 2. Raises TaskError."""
    unified = None
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            for mounted in (controller, names):
                found = CGROUP / mounted / path.lstrip("/")
                if found.is_dir():
                    return found, 1
        if not names:
            unified = CGROUP / path.lstrip("/")
    if unified is not None and (CGROUP / "cgroup.controllers").exists() and unified.is_dir():
        return unified, 2
    raise TaskError(f"the control group {controller!r} of process {pid} cannot be found under {CGROUP}")


def numbers(path: Path) -> dict[str, int]:
    """Read a file of names and numbers."""
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def mount_of(table: str, path: str) -> tuple[str, str, str]:
    """Return the mount point that a path lies on, its device and its file system, by a process's `mountinfo`."""
    best = ("", "", "")
    for line in table.splitlines():
        fields, _, rest = line.partition(" - ")
        device, point = fields.split()[2], _unescaped(fields.split()[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, device, rest.split()[0])
    return best


def mount_points(table: str) -> set[str]:
    """Return every place where something is mounted, by a process's `mountinfo`."""
    return {_unescaped(line.split()[4]) for line in table.splitlines()}


def mountinfo(pid: int) -> str:
    """Return what is mounted where, as a process sees it."""
    return Path(f"/proc/{pid}/mountinfo").read_text()


def _unescaped(text: str) -> str:
    for code in ("040", "011", "012", "134"):
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text
