"""What healing does with the sidecar of a run: sees whether the run goes on, keeps it idle, fetches its results."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from harness.guard.sidecar import Sidecar
from harness.journal import undo_folder
from harness.journal.owner import LEASE_S, RENEW_S
from harness.journal.undo import UndoFiles
from harness.model.errors import HarnessError
from harness.model.undo import RunUndo

IDLE_WITHIN_S = 90.0
"""How long somebody who heals waits for it to end what it has begun."""


class UndoThere(Protocol):
    """Where a copy of the undo is."""

    def undo_there(self) -> dict[str, bytes]:
        """Return its files, by name. Raises BackendError."""


def has_heartbeat(run: Path, undo: RunUndo) -> bool:
    """Return whether the sidecar of a run gets heartbeats: then the run goes on, on another machine. Blocks."""
    sidecar = Sidecar(run, undo)
    try:
        return sidecar.has_heartbeat(LEASE_S)
    except HarnessError:
        return False
    finally:
        sidecar.close()


@contextlib.contextmanager
def kept_idle(run: Path, undo: RunUndo) -> Iterator[list[str]]:
    """Keep the sidecar from acting while somebody heals here, and remove it once nothing is left.

    Yields the faults that it has taken out before. Where it is not reached, or not there, healing does without it.
    Blocks.
    """
    sidecar = Sidecar(run, undo)
    over = threading.Event()
    beating: threading.Thread | None = None
    results: list[str] = []
    try:
        with contextlib.suppress(HarnessError, OSError):
            sidecar.wait_until_idle(IDLE_WITHIN_S)
            beating = threading.Thread(target=_go_on_beating, args=(sidecar.beat, over), daemon=True)
            beating.start()
            results = fetch_results(sidecar, UndoFiles(run))
        yield results
    finally:
        over.set()
        if beating is not None:
            beating.join()
        if undo_folder.has_ended(undo_folder.folder_of(run)):
            with contextlib.suppress(HarnessError):
                sidecar.remove()
        sidecar.close()


def fetch_results(sidecar: UndoThere, files: UndoFiles) -> list[str]:
    """Write down here what the sidecar has measured to be gone. Returns these faults. Raises BackendError, OSError."""
    found = sidecar.undo_there()
    were_open = files.open()
    for name in map(undo_folder.gone_file, were_open):
        _copy(name, found, files.folder)
    are_open = files.open()
    if not are_open:
        _copy(undo_folder.ENDED, found, files.folder)
    return [undo_folder.fault_of(name) for name in were_open if name not in are_open]


def _copy(name: str, found: dict[str, bytes], folder: Path) -> None:
    """Write a file of the sidecar here, if it is as it was written there."""
    if name not in found:
        return
    fetched = folder / f"{name}.fetched"
    fetched.write_bytes(found[name])
    body = undo_folder.content(fetched)
    fetched.unlink()
    if body is not None:
        undo_folder.put(folder / name, body)


def _go_on_beating(beat: Callable[[], bool], over: threading.Event) -> None:
    while not over.wait(RENEW_S):
        with contextlib.suppress(HarnessError):
            beat()
