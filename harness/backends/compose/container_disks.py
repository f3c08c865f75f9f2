"""Tasks of `container_agent` about file systems: what is free, filling it, writing, and mounts made read-only."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import shutil
from pathlib import Path

from harness.backends.compose.container_common import Answer, TaskError, enter, mount_of, mountinfo

MS_REMOUNT, MS_BIND, MS_RDONLY, MS_RELATIME = 32, 4096, 1, 1 << 21
KEPT_FLAGS = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: MS_RELATIME}  # of statvfs, as mount(2) knows them
BLOCK = 1 << 16


def _inside(pid: int, path: str) -> tuple[str, str, str, str]:
    """Go into the container's file system; return the real path and its mount."""
    table = mountinfo(pid)
    enter(pid, "mnt")
    real = os.path.realpath(path)
    return (real, *mount_of(table, real))


def space(pid: int, path: str) -> Answer:
    """Return what is free where a path lies, and whose file system that is."""
    # What the engine itself mounts in a container lies on its own disk.
    own = {mount_of(mountinfo(pid), name)[1] for name in ("/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")}
    own.add(mount_of(mountinfo(1), "/")[1])
    _, point, device, kind = _inside(pid, path)
    found = os.statvfs(path)
    return {
        "size": found.f_blocks * found.f_frsize,
        "free": found.f_bfree * found.f_frsize,
        "mount_point": point,
        "file_system": kind,
        "engines_own": device in own,
        "read_only": bool(found.f_flag & os.ST_RDONLY),
    }


def fill(pid: int, path: str, name: str, leave: int, at_most: int) -> Answer:
    """Grow a file of ours until only so many bytes are free, or it is as large as it may be."""
    _inside(pid, path)
    target = Path(path, name)
    handle = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    size, step = os.fstat(handle).st_size, 1 << 26
    try:
        while size < at_most and step >= BLOCK // 16:
            now = os.fstatvfs(handle)
            step = min(step, at_most - size, now.f_bfree * now.f_frsize - leave)
            if step <= 0:
                break
            try:
                os.posix_fallocate(handle, size, step)
                size += step
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step //= 2
    finally:
        os.close(handle)
    return {"bytes": size}


def remove(pid: int, path: str, name: str) -> Answer:
    """Remove a file of ours."""
    _inside(pid, path)
    with contextlib.suppress(FileNotFoundError):
        Path(path, name).unlink()
    return {}


def exists(pid: int, path: str, name: str) -> Answer:
    """Return whether a file of ours is there."""
    _inside(pid, path)
    return {"exists": os.path.lexists(Path(path, name))}


def try_write(pid: int, path: str, name: str, size: int) -> Answer:
    """Write a small file and remove it; `refused` is the error of the kernel."""
    _inside(pid, path)
    target = Path(path, name)
    written = 0
    try:
        handle = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            while written < size:
                written += os.write(handle, bytes(min(BLOCK, size - written)))
            os.fsync(handle)
        finally:
            os.close(handle)
            target.unlink()
    except OSError as error:
        return {"written": written, "refused": errno.errorcode.get(error.errno or 0, "?")}
    return {"written": written}


def remount(pid: int, path: str, read_only: bool) -> Answer:
    """Make a mount of the container read-only or not, for the container alone."""
    real, point, _, _ = _inside(pid, path)
    if real != point:
        raise TaskError(f"{path} is no mount of its own but lies on {point}", f"name {point}")
    now = os.statvfs(real).f_flag
    flags = MS_REMOUNT | MS_BIND | sum(ms for st, ms in KEPT_FLAGS.items() if now & st)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, real.encode(), None, flags | (MS_RDONLY if read_only else 0), None) != 0:
        return {"refused": errno.errorcode.get(ctypes.get_errno(), "?")}
    return {}


def digest(pid: int, path: str) -> Answer:
    """Return the SHA-256 of a file as the container sees it; null where there is none."""
    enter(pid, "mnt")
    try:
        return {"sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}
    except (FileNotFoundError, NotADirectoryError):
        return {"sha256": None}


def empty(path: str) -> Answer:
    """Remove everything in a volume's directory; it is never called for any other."""
    folder = _volume(path)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return {}


def entries(path: str) -> Answer:
    """Return how many entries a volume's directory has."""
    return {"entries": sum(1 for _ in _volume(path).iterdir())}


def _volume(path: str) -> Path:
    folder = Path(path)
    if folder.name != "_data" or folder.resolve() != folder or not folder.is_dir():
        raise TaskError(f"{path} is no directory of a volume")
    return folder
