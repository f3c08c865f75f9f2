"""The heartbeats that the first guard of a run sends to its sidecar, in a thread, while it watches.

With the standard library alone, unless the run has a sidecar.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from harness.guard.hold import RunFolder
from harness.journal import undo_folder
from harness.journal.owner import RENEW_S

if TYPE_CHECKING:
    from harness.guard.sidecar import Sidecar


def beat_in_background(held: RunFolder) -> threading.Event:
    """Begin to send heartbeats. Set what is returned to end that."""
    over = threading.Event()
    threading.Thread(target=_beat, args=(held, over), daemon=True).start()
    return over


def _beat(held: RunFolder, over: threading.Event) -> None:
    sidecar: Sidecar | None = None
    while not over.wait(RENEW_S):
        try:
            sidecar = sidecar or _sidecar_of(held)
            if sidecar is not None:
                sidecar.beat()
        except Exception:  # noqa: BLE001, S112 - whatever it is, the sidecar acts where no heartbeat comes
            continue


def _sidecar_of(held: RunFolder) -> Sidecar | None:
    body = undo_folder.content(held.folder / undo_folder.RUN)
    if body is None or not body.get("guard"):
        return None
    from harness.guard.sidecar import Sidecar
    from harness.journal.undo import UndoFiles

    run = UndoFiles(held.run).run()
    return Sidecar(held.run, run) if run is not None else None
