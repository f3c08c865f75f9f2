"""Journals as files."""

from __future__ import annotations

from pathlib import Path

from harness.journal.records import Journal, parse
from harness.model.errors import JournalError

NAME = "journal.jsonl"


def read(path: Path, *, damaged: bool = False) -> Journal:
    """Read a journal, or the journal of a run's folder. Raises JournalError with file and line.

    `damaged` reads lines that no run can have written one after the other: enough to heal from, not to judge.
    """
    file = path / NAME if path.is_dir() else path
    try:
        if file.exists() and not file.is_file():
            raise JournalError("this is no file", file=str(file), remedy="give a run's folder, or its journal")
        with file.open(encoding="utf-8", newline="\n") as lines:
            return parse(lines, str(file), damaged=damaged)
    except OSError as error:
        raise JournalError(
            f"the journal cannot be read: {error.strerror}",
            file=str(file),
            remedy="give a run's folder, or its journal",
        ) from error
    except UnicodeDecodeError:
        raise JournalError("the journal is not UTF-8 text", file=str(file)) from None
