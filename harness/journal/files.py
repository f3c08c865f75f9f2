"""Journals as files."""

from __future__ import annotations

import io
from pathlib import Path

from harness.journal.records import Journal, parse
from harness.model.errors import JournalError
from harness.model.givenfile import is_folder, open_regular, reason

NAME = "journal.jsonl"


def read(path: Path) -> Journal:
    """Read a journal, or the journal of a run's folder. Raises JournalError with file and line."""
    file = path / NAME if is_folder(path) else path
    remedy = "give a run's folder, or its journal"
    try:
        with io.TextIOWrapper(open_regular(file, JournalError, remedy), "utf-8", newline="\n") as lines:
            return parse(lines, str(file))
    except OSError as error:
        raise JournalError(f"the journal cannot be read: {reason(error)}", file=str(file), remedy=remedy) from error
    except UnicodeDecodeError:
        raise JournalError("the journal is not UTF-8 text", file=str(file)) from None
