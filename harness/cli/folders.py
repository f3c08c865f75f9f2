"""The folder of a suite: made ready for the next one, and read again.

An earlier suite of the same name gives way to the next. What is not a report is never touched, nor is a run that was
cut off and has to be healed from its journal first.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.endings import UnreadableError
from harness.journal.files import NAME as JOURNAL
from harness.journal.files import read, unhealed
from harness.model.errors import JournalError, ScenarioError

if TYPE_CHECKING:
    from harness.journal.records import Journal

_OWN_FILES = ("suite.json", "junit.xml", "summary.md", "index.html")


def clear(folder: Path) -> None:
    """Remove the runs and reports of the suite that was in this folder before. Raises ScenarioError if it must not."""
    try:
        entries = sorted(folder.iterdir()) if folder.exists() else []
        runs = [entry for entry in entries if (entry / JOURNAL).is_file()]
        for run in runs:
            _refuse_unhealed(run)
        for run in runs:
            shutil.rmtree(run)
        for file in [folder / name for name in _OWN_FILES] + sorted(folder.glob("worker-*.log")):
            file.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScenarioError(
            f"the report cannot be written here: {error.strerror}",
            file=str(error.filename or folder),
            remedy="choose another place with --reports or --name",
        ) from error


def _refuse_unhealed(run: Path) -> None:
    if unhealed(run):
        raise ScenarioError(
            "this run was cut off and may have left its fault in",
            file=str(run),
            remedy=f"run `harness heal {run}`, or choose another --name",
        )


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
