"""Files that a user names: whether they are there, and their contents, whatever the name leads to.

A name may be too long, contain a NUL or lead in a circle, and what is there may be a folder, a device or a pipe that
never ends. The functions that only look never raise; those that read raise an error of the harness.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

from harness.model.errors import HarnessError

LONGEST_NAME_BYTES = 255
LONGEST_PATH_BYTES = 4095


def wrong_path(path: Path | str) -> str | None:
    """Return why no file of ours can have this path; None where one can."""
    try:
        raw = os.fspath(path).encode()
    except UnicodeEncodeError:
        return "the name is not text in UTF-8"
    if b"\0" in raw:
        return "the name contains a NUL"
    if max(map(len, raw.split(b"/"))) > LONGEST_NAME_BYTES:
        return f"a name in the path is longer than {LONGEST_NAME_BYTES} bytes"
    return f"the path is longer than {LONGEST_PATH_BYTES} bytes" if len(raw) > LONGEST_PATH_BYTES else None


def is_there(path: Path) -> bool:
    """Whether anything has this path."""
    return _mode(path) is not None


def is_file(path: Path) -> bool:
    """Whether it is a regular file."""
    return stat.S_ISREG(_mode(path) or 0)


def is_folder(path: Path) -> bool:
    """Whether it is a folder."""
    return stat.S_ISDIR(_mode(path) or 0)


def resolved(path: Path) -> Path:
    """Return the path without links, as far as they lead anywhere."""
    return Path(os.path.realpath(path)) if wrong_path(path) is None else path.absolute()


def open_regular(path: Path, kind: type[HarnessError], remedy: str | None = None) -> IO[bytes]:
    """Open a regular file for reading. Raises an error of this kind for anything else, without waiting for it."""
    problem = wrong_path(path)
    if problem is not None:
        raise kind(f"cannot be read: {problem}", file=str(path), remedy=remedy or "give another path")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise kind(f"cannot be read: {reason(error)}", file=str(path), remedy=remedy) from error
    file = os.fdopen(descriptor, "rb") if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if file is None:
        what = "a folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "a device or a pipe"
        os.close(descriptor)
        raise kind(f"cannot be read: this is {what}, not a file", file=str(path), remedy=remedy)
    return file


def read_bytes(path: Path, most_bytes: int, kind: type[HarnessError], remedy: str | None = None) -> bytes:
    """Return what is in a regular file of at most so many bytes. Raises an error of this kind."""
    with open_regular(path, kind, remedy) as file:
        try:
            data = file.read(most_bytes + 1)
            size = max(os.fstat(file.fileno()).st_size, len(data))
        except OSError as error:
            raise kind(f"cannot be read: {reason(error)}", file=str(path), remedy=remedy) from error
    if len(data) > most_bytes:
        raise kind(f"the file is {size} bytes long; the most is {most_bytes}", file=str(path), remedy=remedy)
    return data


def read_text(path: Path, most_bytes: int, kind: type[HarnessError], remedy: str | None = None) -> str:
    """Return the text of a regular file of at most so many bytes. Raises an error of this kind."""
    try:
        return read_bytes(path, most_bytes, kind, remedy).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise kind("this is not a text file in UTF-8", file=str(path), remedy=remedy) from error


def reason(error: OSError) -> str:
    """Return why the system refused, in words."""
    if error.errno == errno.ELOOP:
        return "its symbolic links lead in a circle"
    return error.strerror or str(error)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None
