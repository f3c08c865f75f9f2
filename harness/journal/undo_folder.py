"""The folder `undo/` of a run: its names, and which of its faults are open. With the standard library alone.

It stands apart from the journal, so that a damaged journal loses no undo. Each file carries the digest of its content
and is there whole or not at all. The guard of a run looks here several times a second, which is why nothing else is
imported.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "undo"
KEPT = "kept"
"""The folder in it where faults keep what they change."""
RUN = "run.json"
UNDO, GONE, IN_FLIGHT = ".undo.json", ".gone.json", ".in-flight"
"""How the names of a fault's files end, after its number and its id: an id may end in anything."""
ENDED = "ended.json"
"""Says that nothing of the run is left: no fault is in, and its stack is stopped or given back."""
WHO = ("run", "guard", "heal")
"""Who may have taken a fault out."""
HEALING = "healing.lock"
GUARD = "guard.lock"
GUARD_LOG = "guard.log"
MOST_BYTES = 2**26
LONGEST_ID = 100
"""How many bytes of a fault's id are in the names of its files: a name has 255 at most."""
_FAULT = re.compile(r"(\d{4,})\..+" + re.escape(UNDO))


def folder_of(run: Path) -> Path:
    """Return the folder of a run's undo."""
    return run / NAME


def heal_command(run: Path) -> str:
    """Return the command that finishes with a run, as a shell takes it: its path may have blanks."""
    return f"harness heal {shlex.quote(str(run))}"


def closed_to_us(run: Path) -> Path | None:
    """Return the folder of a run, or of its undo, that this user may not look into; None where there is none."""
    for folder in (run, folder_of(run)):
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
            return folder
    return None


def fault_file(n: int, fault: str) -> str:
    """Return the name of the undo of a fault, the n-th of its run."""
    return f"{n:04d}.{_short(fault)}{UNDO}"


def number_of(undo: str) -> int:
    """Return which fault of its run an undo is of, by its name."""
    return int(undo.partition(".")[0])


def fault_of(undo: str) -> str:
    """Return the id of the fault that an undo is of, by its name."""
    return undo.partition(".")[2].removesuffix(UNDO)


def gone_file(undo: str) -> str:
    """Return the name of the file that says that a fault is gone; `undo` is the name of its undo."""
    return undo.removesuffix(UNDO) + GONE


def in_flight_file(undo: str) -> str:
    """Return the name of the file that is there while a call that changes something has not returned."""
    return undo.removesuffix(UNDO) + IN_FLIGHT


def fault_files(folder: Path) -> list[str]:
    """Return the names of the undo of all faults, the newest first."""
    try:
        names = [file.name for file in folder.iterdir()]
    except OSError:
        return []
    return sorted(filter(_FAULT.fullmatch, names), key=number_of, reverse=True)


def open_files(folder: Path) -> list[str]:
    """Return the names of the undo of those faults that were not measured to be gone, the newest first.

    An undo that cannot be read is among them: nobody knows what it says. So is one whose absence cannot be read.
    """
    return [name for name in fault_files(folder) if not is_gone(folder, name)]


def is_gone(folder: Path, undo: str) -> bool:
    """Whether a file says that this fault was measured to be gone. That another one is gone does not close it."""
    body = content(folder / gone_file(undo))
    if body is None or set(body) != {"version", "fault", "by", "at", "evidence"} or body["version"] != 1:
        return False
    said = body["by"] in WHO and isinstance(body["at"], str) and isinstance(body["evidence"], dict)
    return said and is_undo_of(undo, body["fault"])


def has_ended(folder: Path) -> bool:
    """Whether a file says that nothing of the run is left."""
    body = content(folder / ENDED)
    if body is None or set(body) != {"version", "by", "at"} or body["version"] != 1:
        return False
    return body["by"] in WHO and isinstance(body["at"], str)


def is_undo_of(undo: str, fault: object) -> bool:
    """Whether an undo is that of this fault, by its name."""
    return isinstance(fault, str) and _short(fault) == _short(fault_of(undo))


def _short(fault: str) -> str:
    return fault.encode(errors="replace")[:LONGEST_ID].decode(errors="ignore")


def content(file: Path) -> Mapping[str, Any] | None:
    """Return what a file says; None where it is not there, or not as it was written."""
    try:
        whole = json.loads(read_regular(file))
        if not isinstance(whole, dict) or set(whole) != {"sha256", "body"} or not isinstance(whole["body"], dict):
            return None
        return whole["body"] if digest_of(whole["body"]) == whole["sha256"] else None
    except (OSError, ValueError, RecursionError):
        return None


def read_regular(file: Path) -> bytes:
    """Return what a regular file holds. Raises OSError for anything else, without waiting for it."""
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(file))
        with os.fdopen(handle, "rb", closefd=False) as opened:
            data = opened.read(MOST_BYTES + 1)
    finally:
        os.close(handle)  # a file object closes no folder
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MOST_BYTES} bytes", str(file))
    return data


def put(file: Path, body: Mapping[str, Any]) -> None:
    """Write a file so that it is there whole or not at all, and on the disk when this returns. Raises OSError."""
    part = file.with_name(file.name + ".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump({"sha256": digest_of(body), "body": body}, out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def digest_of(body: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a content, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
