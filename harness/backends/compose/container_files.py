"""Tasks of `container_agent` that damage files of a container; `container_originals` puts the originals back.

A changed copy takes the name of a file, and the file itself stays beside it under a hidden name, so that what comes
back is the same file, with its owner, mode and times. The copy has a hidden name too: by that it is known wherever it
is moved, and whatever is written to it. Nothing is held in memory but a piece of it, and at no moment is there no file
of that name. Links and special files are never touched.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO

from harness.backends.compose.container_common import Answer, TaskError, enter, mount_points, mountinfo

PIECE = 1 << 20
OWN = ".harness-"
"""How the names of what is kept begin: it is no file of the stack."""
ENDINGS = (".new", ".copy", ".kept")
MOST_ENTRIES = 20_000
_REFUSED = {
    errno.EEXIST: "what an earlier fault of this name has kept is beside it still",
    errno.EXDEV: "it is mounted by itself",
    errno.EBUSY: "it is mounted by itself",
    errno.EPERM: "its file system has no hard links, or the file may not be changed",
    errno.EOPNOTSUPP: "its file system has no hard links",
}
How = dict[str, Any]
"""What becomes of a file: `keep` so many bytes, `flip` these bits, hold this `text`, or what one of `copy` holds."""


def list_files(pid: int, path: str, pattern: str) -> Answer:
    """Return the files below a folder whose names in it fit a pattern, with sizes, and what cannot be replaced."""
    points = mount_points(mountinfo(pid))
    enter(pid, "mnt")
    root = Path(os.path.realpath(path))
    if not root.is_dir():
        raise TaskError(f"there is no folder {path} in the container", "look at with.path")
    files: dict[str, int] = {}
    others: list[str] = []
    mounted: list[str] = []
    for name, about in _walk(root):
        if not fnmatchcase(name, pattern):
            continue
        if str(root / name) in points:  # no other file could take its name
            mounted.append(name)
        elif stat.S_ISREG(about.st_mode):
            files[name] = about.st_size
        else:
            others.append(name)
    free = os.statvfs(root)
    return {
        "root": str(root),
        "files": files,
        "no_files": others[:10],
        "mounted": mounted[:10],
        "free": free.f_bavail * free.f_frsize,
        "read_only": bool(free.f_flag & os.ST_RDONLY),
    }


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything below a folder but folders, following no link."""
    folders, seen = [root], 0
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                seen += 1
                if seen > MOST_ENTRIES:
                    raise TaskError(f"{root} has more than {MOST_ENTRIES} entries", "name a folder further down")
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif not entry.name.startswith(OWN):
                    yield str(Path(entry.path).relative_to(root)), entry.stat(follow_symlinks=False)


def plan_damage(pid: int, path: str, tag: str, changes: dict[str, How]) -> Answer:
    """Return the digest that each file would have, for those that would differ from what they are."""
    root = _root(pid, path)
    found = {}
    for name, how in changes.items():
        with _opened(root / name) as file:
            own = _digest(_pieces(file))
        chosen = _source(root, how, own)
        digest = _digest(_changed(root, name, chosen, tag)) if chosen is not None else own
        if chosen is not None and digest != own:
            found[name] = {"how": chosen, "digest": digest, "bytes_before": (root / name).stat().st_size}
    return {"files": found}


def damage(pid: int, path: str, tag: str, changes: dict[str, How]) -> Answer:
    """Put a changed copy in the place of each file. One that is not what it was when that was planned is left out."""
    root = _root(pid, path)
    done = []
    for name, planned in changes.items():
        file = root / name
        own = hidden(file.parent, name, tag)
        if os.path.lexists(own.copy) or os.path.lexists(own.kept):
            raise TaskError(f"{file} cannot be replaced: {_REFUSED[errno.EEXIST]}")
        part = own.part
        _write(file, _changed(root, name, planned["how"], tag), part)
        try:
            with _opened(part) as made:
                fits = _digest(_pieces(made)) == planned["digest"]
            if fits:
                os.link(part, own.copy, follow_symlinks=False)
                os.link(file, own.kept, follow_symlinks=False)
                part.replace(file)
                done.append(name)
        except OSError as error:
            if not os.path.lexists(own.kept):
                own.copy.unlink(missing_ok=True)
            if error.errno not in _REFUSED:
                raise
            raise TaskError(f"{file} cannot be replaced: {_REFUSED[error.errno]}") from None
        finally:
            part.unlink(missing_ok=True)
    return {"files": done}


def damaged(pid: int, path: str, digests: dict[str, str]) -> Answer:
    """Return which files are as they were changed."""
    root = _root(pid, path)
    return {"files": [name for name, digest in digests.items() if digest_of(root / name) == digest]}


def _root(pid: int, path: str) -> Path:
    enter(pid, "mnt")
    return Path(os.path.realpath(path))


@dataclass(frozen=True, slots=True)
class Hidden:
    """The hidden names that belong to one changed file, in one folder."""

    part: Path
    """The copy while it is made, and whatever takes a file's name."""
    copy: Path
    """A second name of the changed copy."""
    kept: Path
    """A second name of the original."""


def hidden(folder: Path, name: str, tag: str) -> Hidden:
    """Return the hidden names in a folder of a file that had this name below the fault's path."""
    short = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    part, copy, kept = (folder / f".{tag}-{short}{ending}" for ending in ENDINGS)
    return Hidden(part, copy, kept)


def _opened(file: Path) -> BinaryIO:
    """Open a file for reading: no link, and nothing that is no file."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise TaskError(f"{file} is no file any more")
    return os.fdopen(handle, "rb")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _digest(pieces: Iterator[bytes]) -> str:
    sum_ = hashlib.sha256()
    for piece in pieces:
        sum_.update(piece)
    return sum_.hexdigest()


def digest_of(file: Path) -> str | None:
    """Return the digest of a file; None where no file has that name."""
    try:
        with _opened(file) as opened:
            return _digest(_pieces(opened))
    except (FileNotFoundError, NotADirectoryError, TaskError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link has its name now
            return None
        raise


def _source(root: Path, how: How, own: str) -> How | None:
    """Return what is to be done, with one file to copy: the first that holds something else. None where none does."""
    if "copy" not in how:
        return how
    for other in how["copy"]:
        with contextlib.suppress(OSError, TaskError), _opened(root / other) as file:
            if _digest(_pieces(file)) != own:
                return {"copy": [other]}
    return None


def _changed(root: Path, name: str, how: How, tag: str) -> Iterator[bytes]:
    """Yield what a file is to hold, piece by piece."""
    if "text" in how:
        yield str(how["text"]).encode()
        return
    of = how["copy"][0] if "copy" in how else name
    source, kept = root / of, hidden((root / of).parent, of, tag).kept
    with _opened(kept if os.path.lexists(kept) else source) as file:  # another one may have been changed already
        left, at = how.get("keep"), 0
        flips = sorted(how.get("flip", ()))
        while piece := file.read(PIECE if left is None else min(PIECE, left)):
            if left is not None:
                left -= len(piece)
            here = [bit for bit in flips if at * 8 <= bit < (at + len(piece)) * 8]
            at += len(piece)
            yield _flipped(piece, [bit - (at - len(piece)) * 8 for bit in here]) if here else piece


def _flipped(piece: bytes, bits: list[int]) -> bytes:
    changed = bytearray(piece)
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _write(of: Path, pieces: Iterator[bytes], part: Path) -> None:
    """Write the changed copy of a file, with the owner, mode, times and attributes of the file itself."""
    about = of.stat(follow_symlinks=False)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    part.unlink(missing_ok=True)  # of an earlier attempt that was killed
    with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
        try:
            for piece in pieces:
                file.write(piece)
            file.flush()
            for key in os.listxattr(of, follow_symlinks=False):
                with contextlib.suppress(OSError):  # such as one that the kernel alone may set
                    os.setxattr(file.fileno(), key, os.getxattr(of, key, follow_symlinks=False))
            os.fchown(file.fileno(), about.st_uid, about.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(about.st_mode))
            os.utime(file.fileno(), ns=(about.st_atime_ns, about.st_mtime_ns))
            os.fsync(file.fileno())
        except BaseException:
            part.unlink(missing_ok=True)
            raise
