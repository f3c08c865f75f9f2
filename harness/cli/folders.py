"""The folder of a suite: made ready for the next one, and read again.

An earlier suite of the same name gives way to the next.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.exit_codes import UnreadableError
from harness.journal import clearing
from harness.journal.files import NAME as JOURNAL
from harness.journal.files import read
from harness.model.errors import JournalError, ScenarioError

if TYPE_CHECKING:
    from harness.journal.records import Journal


def clear(folder: Path) -> None:
    """Remove the runs and reports of the suite that was in this folder before. Raises ScenarioError if it must not."""
    try:
        clearing.clear(folder, "choose another --name")
        for file in folder.glob("worker-*.log"):
            file.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScenarioError(
            f"the report cannot be written here: {error.strerror}",
            file=str(error.filename or folder),
            remedy="choose another place with --reports or --name",
        ) from error


def run_folder(path: Path) -> Path:
    """Return the folder of a run that is given as itself or as its journal. Raises where there is none."""
    folder = path.parent if path.name == JOURNAL else path
    if not (folder / JOURNAL).is_file():
        remedy = f"give the folder of a run: it holds {JOURNAL}"
        raise ScenarioError("this is not a run", file=str(path), remedy=remedy)
    return folder


def read_journal(run: Path) -> Journal:
    """Read the journal of a run that was given by the user. Raises UnreadableError."""
    try:
        return read(run / JOURNAL)
    except JournalError as error:
        raise UnreadableError(
            error.message, file=error.file, line=error.line, field=error.field, remedy=error.remedy
        ) from error
