"""Which runs have something left: found by their undo, told by what of it is open."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.faults.command import KIND as COMMAND
from harness.guard.missing_undo import missing_undo
from harness.guard.start import has_guard
from harness.journal import undo_folder
from harness.journal.files import NAME as JOURNAL
from harness.journal.owner import Owner, State, lease_age_s, owner_of, state_of
from harness.journal.undo import UndoFiles, Unreadable

LOOK_EVERY_S = 0.2
UNREADABLE = "its undo cannot be read"


@dataclass(frozen=True)
class OpenRun:
    """A run of which something may be left."""

    run: Path
    owner: Owner | None
    state: State
    """What its owner does."""
    guarded: bool
    """Whether a guard watches it."""
    stack: str | None
    """The compose project; None for local processes, and where nobody can tell."""
    lease_age_s: float | None
    """How long ago its owner renewed the lease; None without one that can be read."""
    faults: tuple[str, ...]
    """What may still be in, the newest first."""


def runs_under(path: Path) -> list[Path]:
    """Return the folders of runs with an undo, or whose undo was removed: this one, or those below it.

    Links are followed, for a folder may have been moved to a larger disk. So is counted what cannot be looked into: it
    may hold anything.
    """
    found: set[Path] = set()
    journals: set[Path] = set()

    def unlisted(error: OSError) -> None:
        if isinstance(error, PermissionError):
            folder = Path(error.filename)
            found.add(folder.parent if folder.name == undo_folder.NAME else folder)

    for folder, names in _folders(path, unlisted):
        # A folder in place of an undo is one that cannot be read.
        ours = any(name == undo_folder.RUN or name.endswith(undo_folder.UNDO) for name in names)
        if ours and folder.name == undo_folder.NAME:
            found.add(folder.parent)
        if JOURNAL in names:
            journals.add(folder)
    return sorted(found | {run for run in journals - found if missing_undo(run)})


def _folders(path: Path, unlisted: Callable[[OSError], None]) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder once, with the names in it; links after all that has a path of its own."""
    been: set[str] = set()
    tops = [path]
    for top in tops:  # which grows meanwhile
        for folder, folders, names in os.walk(top, onerror=unlisted):
            real = os.path.realpath(folder)
            if real in been:
                folders.clear()
                continue
            been.add(real)
            tops += [each for each in (Path(folder) / name for name in folders) if each.is_symlink()]
            yield Path(folder), [*names, *folders]


def open_run(run: Path) -> OpenRun | None:
    """Look at a run. Returns None where nothing of it is left."""
    folder = undo_folder.folder_of(run)
    if undo_folder.has_ended(folder):
        return None
    files = UndoFiles(run)
    about = files.run()
    state = state_of(folder)
    if state == "dead" and _why_open(run) is None:
        return None
    undos = [files.fault(name) for name in files.open()]
    faults = tuple("?" if isinstance(undo, Unreadable) else f"{undo.fault} ({undo.step.fault})" for undo in undos)
    faults += tuple(f"{one.fault} ({one.kind})" for one in missing_undo(run))
    stack = about.project if about is not None else None
    age_s = lease_age_s(folder)
    return OpenRun(run, owner_of(folder), state, has_guard(run), stack, age_s, faults)


def must_be_healed(run: Path, within_s: float = 0.0) -> str | None:
    """Return why the folder of a run may not be removed yet; None where it may. Blocks.

    `within_s`: how long a guard that is at work is waited for. A run on local processes takes all with it that it did,
    but for what commands did outside of the stack.
    """
    until_s = time.monotonic() + within_s
    while (why := _why_open(run)) is not None and time.monotonic() < until_s and has_guard(run):
        time.sleep(LOOK_EVERY_S)
    return why


def _why_open(run: Path) -> str | None:
    files = UndoFiles(run)
    if undo_folder.closed_to_us(run) is not None:
        return UNREADABLE
    if undo_folder.has_ended(files.folder):
        return None
    missing = missing_undo(run)
    if missing:
        return f"the undo of {', '.join(repr(one.fault) for one in missing)} is missing"
    if not files.folder.is_dir():
        return None
    about = files.run()
    names = files.open()
    if about is None:
        return UNREADABLE if names or (files.folder / undo_folder.RUN).exists() else None
    undos = [files.fault(name) for name in names]
    outlives = [undo for undo in undos if isinstance(undo, Unreadable) or undo.step.fault == COMMAND.kind]
    if about.backend == "local" and not outlives:
        return None
    if names:
        return f"{len(names)} of its faults may still be active" if len(names) > 1 else "its fault may still be active"
    return "its stack may still run" if about.owned else "it still owns its stack"
