"""The log of a guard, in the undo folder of its run. With the standard library alone."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from harness.journal.undo_folder import GUARD_LOG


def log(folder: Path, text: str) -> None:
    """Write a line, if there is room for it."""
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    try:
        with (folder / GUARD_LOG).open("a", encoding="utf-8") as file:
            file.write(f"{at} {text}\n")
    except OSError:
        return
