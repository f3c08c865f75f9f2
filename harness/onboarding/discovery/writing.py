"""Writes the files of `harness init`, also into a folder where it wrote before: what somebody edited stays as it is.

The first line of each file has a digest of the rest, which tells whether the file was edited since. A record beside the
stack's file lists what init has written, which tells what somebody deleted. Files that init did not write are never
overwritten, and where one is in the way, nothing is written.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.model.errors import ScenarioError
from harness.model.givenfile import is_folder, is_there, read_text, reason
from harness.onboarding.discovery.rendering import ENDING, MARK, SCENARIOS, STACK_FILE, STANDARD

RECORD = ".harness-init"
LARGEST_BYTES = 256 * 1024
_SEALED = re.compile(re.escape(MARK) + r" \(([0-9a-f]{12})\)")
_RECORD_HEAD = f"{MARK}: the files that it has written. One that is listed but gone is not written again.\n"

State = Literal["new", "updated", "unchanged", "edited", "overwritten", "deleted", "old", "edited-old", "removed"]
"""What becomes of a file: `deleted` was deleted by somebody and is not written again; `old` is one that init wrote and
would not write now; it is `removed` on demand, unless it was edited (`edited-old`)."""
_WRITTEN: frozenset[State] = frozenset(("new", "updated", "overwritten"))


@dataclass(frozen=True)
class FileOutcome:
    """A file of init and what becomes of it; `before` is its text until now, if it was there."""

    name: str
    path: Path
    state: State
    before: str | None = None


def write_files(
    folder: Path, files: Mapping[str, str], scenarios: str = SCENARIOS, *, force: bool = False, prune: bool = False
) -> list[FileOutcome]:
    """Write what is new, keep what was edited, and return what became of each file. Raises ScenarioError.

    `scenarios` is the folder of the scenarios that this is about: the first ones, or the standard suite.
    `force` overwrites edited files and writes deleted ones again.
    `prune` removes unedited ones that are no longer written.
    """
    recorded = _record(folder)
    written_before = [name for name in recorded if name in files or _is_in(name, scenarios)]
    elsewhere = [name for name in recorded if name not in written_before]
    _refuse_foreign(folder, files, written_before)
    outcomes = [_outcome(folder, name, text, written_before, force=force) for name, text in files.items()]
    outcomes += [_old(path, folder, prune=prune) for path in _no_longer_needed(folder, files, written_before)]
    try:
        for one in outcomes:
            if one.state in _WRITTEN:
                _replace(one.path, sealed(one.name, files[one.name]))
            elif one.state == "removed":
                one.path.unlink()
        names = sorted([*elsewhere, *_recorded(outcomes, written_before)])
        _replace(folder / RECORD, _RECORD_HEAD + "".join(f"{name}\n" for name in names))
    except OSError as error:
        raise ScenarioError(f"cannot be written: {reason(error)}", file=str(error.filename or folder)) from error
    return outcomes


def _is_in(name: str, scenarios: str) -> bool:
    """Whether a file is one of these scenarios; those of the standard suite are not among the first ones."""
    below = name.startswith(f"{scenarios}/")
    return below and (scenarios == STANDARD or not name.startswith(f"{STANDARD}/"))


def sealed(name: str, text: str) -> str:
    """Return the text of a file with the digest in its first line."""
    return text.replace(MARK, f"{MARK} ({_digest(name, text)})", 1)


def is_unedited(name: str, text: str) -> bool:
    """Whether a file is as init wrote it, under the same name. Without a digest it counts as edited."""
    text = text.replace("\r\n", "\n")  # as some check files out
    seal = _SEALED.match(text)
    return seal is not None and _digest(name, MARK + text[seal.end() :]) == seal[1]


def was_edited(folder: Path, name: str) -> bool:
    """Whether a file is there and not as init wrote it."""
    text = _text(folder / name)
    return text is not None and not is_unedited(name, text)


def _digest(name: str, text: str) -> str:
    return hashlib.sha256(f"{name}\n{text}".encode()).hexdigest()[:12]


def _refuse_foreign(folder: Path, files: Mapping[str, str], written_before: Sequence[str]) -> None:
    foreign = [folder / name for name in files if not _may_be_ours(folder / name, name in written_before)]
    if not _may_be_ours(folder / RECORD, known=False):
        foreign.append(folder / RECORD)
    places = {parent for name in files for parent in (folder / name).parents if parent.is_relative_to(folder)}
    foreign += [place for place in sorted(places) if os.path.lexists(place) and not is_folder(place)]
    if foreign:
        more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
        remedy = "it was not written by init and is left alone: move it away, or write elsewhere with --out"
        raise ScenarioError(f"there is a file already{more}", file=str(foreign[0]), remedy=remedy)


def _may_be_ours(path: Path, known: bool) -> bool:
    """Whether init may look at a path as its own: nothing is there, or a file that it wrote."""
    if path.is_symlink():
        return False
    if not is_there(path):
        return True
    text = _text(path)
    return text is not None and (known or text.startswith(MARK))


def _text(path: Path) -> str | None:
    """Return the text of a file; None where it is no text of a length that init writes."""
    try:
        return None if path.is_symlink() else read_text(path, LARGEST_BYTES, ScenarioError)
    except ScenarioError:
        return None


def _outcome(folder: Path, name: str, text: str, written_before: Sequence[str], *, force: bool) -> FileOutcome:
    path = folder / name
    before = _text(path)
    if before is None:
        gone = name in written_before and name.endswith(ENDING) and not force
        return FileOutcome(name, path, "deleted" if gone else "new")
    if before.replace("\r\n", "\n") == sealed(name, text):
        return FileOutcome(name, path, "unchanged", before)
    if is_unedited(name, before):
        return FileOutcome(name, path, "updated", before)
    return FileOutcome(name, path, "overwritten" if force else "edited", before)


def _no_longer_needed(folder: Path, files: Mapping[str, str], written_before: Sequence[str]) -> list[Path]:
    """Return the scenarios beside these that init has written and would not write now."""
    places = {(folder / name).parent for name in (*files, *written_before) if name.endswith(ENDING)}
    found = [path for place in sorted(places) if is_folder(place) for path in sorted(place.iterdir())]
    new = {folder / name for name in files}
    known = {folder / name for name in written_before}
    return [
        path
        for path in found
        if path not in new
        and path.name.endswith(ENDING)
        and (text := _text(path)) is not None
        and (path in known or text.startswith(MARK))
    ]


def _old(path: Path, folder: Path, *, prune: bool) -> FileOutcome:
    name = path.relative_to(folder).as_posix()
    text = _text(path)
    if text is None or not is_unedited(name, text):
        return FileOutcome(name, path, "edited-old", text)
    return FileOutcome(name, path, "removed" if prune else "old", text)


def _record(folder: Path) -> list[str]:
    lines = (_text(folder / RECORD) or "").splitlines()
    # Anything else is not a file of init: after a merge, such as the marks of its conflicts.
    return [
        line
        for line in dict.fromkeys(lines)
        if ".." not in Path(line).parts
        and (line == STACK_FILE or (line.startswith(f"{SCENARIOS}/") and line.endswith(ENDING)))
    ]


def _recorded(outcomes: Sequence[FileOutcome], written_before: Sequence[str]) -> list[str]:
    """Return what init has written so far. A copy that somebody made under another name is not among it."""
    copies = {one.name for one in outcomes if one.state == "edited-old" and one.name not in written_before}
    return [one.name for one in outcomes if one.state != "removed" and one.name not in copies]


def _replace(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all, for the same readers as before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.unlink(missing_ok=True)  # whatever it leads to is not ours
        with beside.open("x", encoding="utf-8", newline="\n") as file:
            if is_there(path):
                _give_to_the_same(path.stat(), file.fileno())
            file.write(text)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def _give_to_the_same(before: os.stat_result, descriptor: int) -> None:
    """Give a new file the owner and the mode that an old one had: passwords may be in it."""
    with suppress(OSError):  # what belongs to somebody else becomes the caller's
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
