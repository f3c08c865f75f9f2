"""Faults whose undo was removed while they were in: the journal of their run tells of them, where it can be read.

The journal is a witness only. One that is missing or damaged changes nothing: what the undo says counts all the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness.faults.command import KIND as COMMAND
from harness.journal import undo_folder
from harness.journal.files import NAME as JOURNAL
from harness.model.errors import HarnessError, JournalError
from harness.model.givenfile import open_regular

_WENT_IN = ("injecting", "injected", "confirmed")


@dataclass(frozen=True)
class MissingUndo:
    """A fault that went in, was not measured to be gone, and has no undo."""

    fault: str
    kind: str
    hits: str
    """What it hits, in words."""

    @property
    def is_command(self) -> bool:
        """Whether it acts by commands, perhaps outside of the stack."""
        return self.kind == COMMAND.kind

    def __str__(self) -> str:
        about = f"the undo of {self.fault} ({self.kind} on {self.hits}) is missing"
        return f"{about}: restore it by hand, then --by-hand {self.fault}"


def missing_undo(run: Path) -> list[MissingUndo]:
    """Return the faults of a run whose undo was removed, the newest first; none where its journal cannot tell."""
    folder = undo_folder.folder_of(run)
    if undo_folder.has_ended(folder):
        return []
    known = _known(folder)
    went_in = [fault for fault in _in(run / JOURNAL) if not any(undo_folder.is_undo_of(name, fault) for name in known)]
    if not went_in:  # as nearly always: then the journal, which may be large, is not read as a whole
        return []
    from harness.journal.files import read
    from harness.model.readings import Undo

    try:
        journal = read(run)
    except (HarnessError, OSError):
        return []
    about = {undo.fault: undo for _, undo in journal.of(Undo)}
    found = [
        MissingUndo(fault, about[fault].fault_kind, ", ".join(map(str, about[fault].target.values())))
        for fault in reversed(went_in)
        if fault in about
    ]
    # Whatever else was done to local processes ended with them.
    return [one for one in found if journal.plan.backend != "local" or one.is_command]


def name_for_gone(run: Path, fault: str) -> str:
    """Return the name that the undo of such a fault may have had: one that no other has."""
    known = _known(undo_folder.folder_of(run), closed_only=False)
    return undo_folder.fault_file(max(map(undo_folder.number_of, known), default=0) + 1, fault)


def _known(folder: Path, *, closed_only: bool = True) -> list[str]:
    """Return the undo that is there, and that of which a file says that its fault is gone, by its name."""
    try:
        names = [file.name for file in folder.iterdir()]
    except OSError:
        return []
    ends = undo_folder.GONE
    numbered = [name for name in names if name.endswith(ends) and name.partition(".")[0].isdecimal()]
    closed = [name.removesuffix(ends) + undo_folder.UNDO for name in numbered]
    return undo_folder.fault_files(folder) + [
        name for name in closed if not closed_only or undo_folder.is_gone(folder, name)
    ]


def _in(journal: Path) -> list[str]:
    """Return the faults that a journal says to have gone in, and not to have been measured to be gone since."""
    found: dict[str, None] = {}
    try:
        with open_regular(journal, JournalError) as lines:
            for line in lines:
                if b'"stage"' in line:
                    _take(line, found)
    except (HarnessError, OSError):
        return []
    return list(found)


def _take(line: bytes, found: dict[str, None]) -> None:
    """Take in what a line says of a fault. Whether the journal is damaged shows when it is read as a whole."""
    try:
        body = json.loads(line)
        fault, stage = body["fault"], body["stage"]
        if stage in _WENT_IN:
            found[fault] = None
        elif stage == "reverted" and body["landed"] is False:
            found.pop(fault, None)
    except (ValueError, TypeError, KeyError, RecursionError):
        return
