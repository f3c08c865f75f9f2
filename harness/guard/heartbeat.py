"""The heartbeats that the first guard of a run sends to its sidecar, in a thread, while it watches.

With the standard library alone, unless the run has a sidecar.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from harness.guard.guard_log import log
from harness.guard.hold import RunFolder
from harness.journal import undo_folder
from harness.journal.owner import LEASE_S, RENEW_S

if TYPE_CHECKING:
    from harness.guard.sidecar import Sidecar


def beat_in_background(held: RunFolder) -> threading.Event:
    """Begin to send heartbeats. Set what is returned to end that."""
    over = threading.Event()
    threading.Thread(target=_go_on, args=(HeartbeatSender(held), over), daemon=True).start()
    return over


def _go_on(sender: HeartbeatSender, over: threading.Event) -> None:
    while not over.wait(RENEW_S):
        sender.beat()


class HeartbeatSender:
    """Sends heartbeats, and logs the first of each row that fails."""

    def __init__(self, held: RunFolder) -> None:
        self._held = held
        self._sidecar: Sidecar | None = None
        self._began_s: float | None = None
        """Since when there is a sidecar to reach."""
        self._was_reached = False
        self._is_failing = False

    def beat(self) -> None:
        """Send one, if the run has a sidecar. Raises nothing."""
        try:
            self._sidecar = self._sidecar or _sidecar_of(self._held)
            if self._sidecar is not None:
                self._sidecar.beat()
        except Exception as error:  # noqa: BLE001 - whatever it is, the sidecar acts where no heartbeat comes
            self._log(error)
        else:
            self._was_reached = self._sidecar is not None
            self._is_failing = False

    def _log(self, error: Exception) -> None:
        self._began_s = self._began_s or time.monotonic()
        # While it is started, or is removed at the end of its run, there is none to be reached.
        is_starting = not self._was_reached and time.monotonic() - self._began_s < LEASE_S
        if not self._is_failing and not is_starting and not undo_folder.has_ended(self._held.folder):
            self._is_failing = True
            log(self._held.folder, f"no heartbeat to the guard in a container: {type(error).__name__}: {error}")


def _sidecar_of(held: RunFolder) -> Sidecar | None:
    body = undo_folder.content(held.folder / undo_folder.RUN)
    if body is None or not body.get("guard"):
        return None
    from harness.guard.sidecar import Sidecar
    from harness.journal.undo import UndoFiles

    run = UndoFiles(held.run).run()
    return Sidecar(held.run, run) if run is not None else None
