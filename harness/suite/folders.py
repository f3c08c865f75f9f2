"""The folder of a suite: cleared for the next suite of its name, and the runs found in it.

What is neither a run nor a report is never touched, nor is a run that was cut off and must first be healed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.guard.open_runs import must_be_healed
from harness.journal.files import NAME
from harness.model.errors import ScenarioError

REPORTS = ("suite.json", "junit.xml", "summary.md", "index.html")
WORKER_LOGS = "worker-*.log"
GUARD_S = 20.0
"""How long the guard of a run that was cut off is waited for."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder of a suite, made if it is missing, for as long as its runs go on.

    Raises ScenarioError where another suite holds it: it would remove the runs of that one. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            remedy = "wait for it, or choose another --name"
            raise ScenarioError("another suite of this name is running", file=str(folder), remedy=remedy) from None
        yield
    finally:
        os.close(file)


def clear(folder: Path) -> None:
    """Remove the runs and reports of the last suite from a folder, and make the folder if it is missing.

    Raises ScenarioError, before anything is removed, where a run may have left something in. Raises OSError.
    """
    runs = run_folders(folder)
    for run in runs:
        why = must_be_healed(run, GUARD_S)
        if why is not None:
            message = f"this run was cut off: {why}"
            raise ScenarioError(message, file=str(run), remedy=f"run `harness heal {run}` first")
    for run in runs:
        shutil.rmtree(run)
    for file in (*(folder / name for name in REPORTS), *folder.glob(WORKER_LOGS)):
        file.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def run_folders(folder: Path) -> list[Path]:
    """Return the folders with a journal in the folder of a suite."""
    entries = sorted(folder.iterdir()) if folder.exists() else []
    return [entry for entry in entries if (entry / NAME).is_file()]


def runs_in(folder: Path) -> list[Path]:
    """Return the folders of the runs of a suite. Raises ScenarioError where there is none."""
    runs = run_folders(folder) if folder.is_dir() else []
    if not runs:
        itself = (folder / NAME).is_file()
        remedy = f"this is a run; give its suite: {folder.resolve().parent}" if itself else "give the folder of a suite"
        raise ScenarioError("no run in this folder", file=str(folder), remedy=remedy)
    return runs


def run_folder(path: Path) -> Path:
    """Return the folder of a run that is given as itself or as its journal. Raises ScenarioError for another path."""
    folder = path.parent if path.name == NAME else path
    if not (folder / NAME).is_file():
        raise ScenarioError("not a run", file=str(path), remedy=f"give the folder of a run: it holds {NAME}")
    return folder
