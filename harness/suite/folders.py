"""The folder of a suite: cleared for the next suite of its name, and the runs found in it.

What is neither a run nor a report is never touched, nor is a run that was cut off and must first be healed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.guard.open_runs import must_be_healed, runs_under
from harness.journal.files import NAME
from harness.journal.undo_folder import RUN, folder_of, heal_command
from harness.liveness import locked
from harness.model.errors import JournalError, ScenarioError
from harness.model.givenfile import is_file, is_folder, open_regular, resolved
from harness.model.run_folders import REPORTS, WORKER_LOGS

GUARD_S = 20.0
"""How long the guard of a run that was cut off is waited for."""
_HEAD_BYTES = 4096


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder of a suite, made if it is missing, for as long as its runs go on.

    Raises ScenarioError where another suite holds it: it would remove the runs of that one. Raises OSError.
    """
    refuse_link(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as lock:
        try:
            lock.enter_context(locked(folder, flags=os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
        except BlockingIOError:
            remedy = "wait for it, or choose another --name"
            raise ScenarioError("another suite of this name is running", file=str(folder), remedy=remedy) from None
        yield


def clear(folder: Path, choose_another: str) -> None:
    """Remove the runs and reports of the last suite from a folder, and make the folder if it is missing.

    Raises ScenarioError, before anything is removed, where a run may have left something in, or no run has written what
    is there; `choose_another` is what the user can do instead. Raises OSError.
    """
    refuse_link(folder)
    entries = sorted(folder.iterdir()) if is_folder(folder) else []
    # A run that lost its journal may have left something in all the same.
    runs = [entry for entry in entries if is_file(entry / NAME) or _has_undo(entry)]
    reports = [*(folder / name for name in REPORTS), *folder.glob(WORKER_LOGS)]
    for run in runs:
        _refuse_foreign(run, choose_another)
    for report in reports:
        if is_folder(report) and not report.is_symlink():
            remedy = f"move it away, or {choose_another}"
            raise ScenarioError("a folder has the name of a file of the report", file=str(report), remedy=remedy)
    for run in runs:
        why = must_be_healed(run, GUARD_S)
        if why is not None:
            message = f"this run was cut off: {why}"
            raise ScenarioError(message, file=str(run), remedy=f"run `{heal_command(run)}` first")
    for run in runs:
        shutil.rmtree(run)
    for report in reports:
        report.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def refuse_link(folder: Path) -> None:
    """Raise ScenarioError for a folder that is a symbolic link: what is written there would be somewhere else."""
    if folder.is_symlink():
        remedy = f"give the folder that it leads to: {resolved(folder)}"
        raise ScenarioError("this folder is a symbolic link", file=str(folder), remedy=remedy)


def _refuse_foreign(run: Path, choose_another: str) -> None:
    """Raise ScenarioError for a folder that is not to be removed: a link is in it, or no run of ours has written it."""
    links = [Path(root) / name for root, folders, names in os.walk(run) for name in (*folders, *names)]
    link = next((entry for entry in (run, *links) if entry.is_symlink()), None)
    if link is not None:
        remedy = f"no run writes one: move it away, or {choose_another}"
        raise ScenarioError("there is a symbolic link in the folder of a run", file=str(link), remedy=remedy)
    if not is_file(run / NAME):  # its undo is that of a run
        return
    with open_regular(run / NAME, JournalError) as journal:
        head = journal.read(_HEAD_BYTES)
    if head and not head.startswith(b'{"n":0,') and not (folder_of(run) / RUN).is_file():
        remedy = f"move it away, or {choose_another}"
        raise ScenarioError("no run has written this journal", file=str(run / NAME), remedy=remedy)


def _has_undo(entry: Path) -> bool:
    """Whether a run has left its undo here; what is called so and holds none of ours is somebody else's."""
    undo = folder_of(entry)
    return is_folder(undo) and entry in runs_under(undo)


def run_folders(folder: Path) -> list[Path]:
    """Return the folders with a journal in the folder of a suite."""
    entries = sorted(folder.iterdir()) if is_folder(folder) else []
    return [entry for entry in entries if is_file(entry / NAME)]


def runs_in(folder: Path) -> list[Path]:
    """Return the folders of the runs of a suite. Raises ScenarioError where there is none."""
    runs = run_folders(folder)
    if not runs:
        itself = is_file(folder / NAME)
        remedy = f"this is a run; give its suite: {resolved(folder).parent}" if itself else "give the folder of a suite"
        raise ScenarioError("no run in this folder", file=str(folder), remedy=remedy)
    return runs


def run_folder(path: Path) -> Path:
    """Return the folder of a run that is given as itself or as its journal. Raises ScenarioError for another path."""
    folder = path.parent if path.name == NAME else path
    if not is_file(folder / NAME):
        raise ScenarioError("not a run", file=str(path), remedy=f"give the folder of a run: it holds {NAME}")
    return folder
