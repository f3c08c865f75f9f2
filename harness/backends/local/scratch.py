"""Private directories that are removed even when whoever made them was killed.

Each holds a lock file that its maker keeps locked; a directory whose lock is free belongs to the dead, and the next
start sweeps it away. Standard library only, because supervisors use it.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

from harness.liveness import lock_file, locked

_LOCK = "lock"
_SETTLED_S = 10.0  # younger directories may be about to be locked
_LONGEST_PATH = 60  # of the folder around them: a unix socket's path has room for 107 bytes in all


def make_scratch(kind: str) -> tuple[Path, int]:
    """Make a private directory. Returns it and the descriptor that keeps it."""
    path = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=_base()))
    lock = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    lock_file(lock)
    return path, lock


def remove_scratch(path: Path) -> None:
    """Remove a private directory, as far as it can be removed."""
    shutil.rmtree(path, ignore_errors=True)


def scratch_folders(kind: str) -> list[Path]:
    """Return the private directories of one kind that there are now."""
    return sorted(_base().glob(f"{kind}-*"))


def sweep_scratch() -> None:
    """Remove the directories whose makers have died."""
    for path in _base().iterdir():
        try:
            if time.time() - path.stat().st_mtime < _SETTLED_S:
                continue
            with locked(path / _LOCK, flags=os.O_RDWR):
                remove_scratch(path)
        except OSError:
            continue


def _base() -> Path:
    """Return the directory of this user's private directories, made if need be."""
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > _LONGEST_PATH:
        parent = Path("/tmp")  # noqa: S108 - what is made in it is private and checked to be ours
    base = parent / f"ml-chaos-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(1, "not a private directory of this user", str(base))
    return base
