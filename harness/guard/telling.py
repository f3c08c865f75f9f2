"""Tells the guard in a container that the first guard of the run watches, while it does. In a thread of that guard.

With the standard library alone, unless the run has such a guard.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from harness.guard.hold import HeldFolder
from harness.journal import undo_folder
from harness.journal.owner import RENEW_S

if TYPE_CHECKING:
    from harness.guard.beside import GuardBeside


def tell_in_background(held: HeldFolder) -> threading.Event:
    """Begin to tell. Set what is returned to end it."""
    over = threading.Event()
    threading.Thread(target=_tell, args=(held, over), daemon=True).start()
    return over


def _tell(held: HeldFolder, over: threading.Event) -> None:
    guard: GuardBeside | None = None
    while not over.wait(RENEW_S):
        try:
            guard = guard or _guard_of(held)
            if guard is not None:
                guard.tell()
        except Exception:  # noqa: BLE001, S112 - whatever it is, the guard in the container acts where it hears nothing
            continue


def _guard_of(held: HeldFolder) -> GuardBeside | None:
    body = undo_folder.content(held.folder / undo_folder.RUN)
    if body is None or not body.get("guard"):
        return None
    from harness.guard.beside import GuardBeside
    from harness.journal.undo import UndoFiles

    run = UndoFiles(held.run).run()
    return GuardBeside(held.run, run) if run is not None else None
