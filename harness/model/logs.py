"""Logs that can be followed: what a backend offers beside `Backend.logs` so that lines can be counted."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

MOST_BYTES = 8 * 2**20


@runtime_checkable
class FollowsLogs(Protocol):
    """A backend whose services' logs can be read on from where one left off."""

    async def log_since(self, service: str, position: str) -> tuple[list[str], str]:
        """Return the whole lines written since a position ("" is the start of the run), and the position after them."""


def lines_since(path: Path, position: str) -> tuple[list[str], str]:
    """Return the whole lines of a file from a byte on, and the byte after them. A file that is shorter now is new.

    Raises OSError.
    """
    at = int(position or 0)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        at = at if at <= size else 0
        file.seek(at)
        data = file.read(MOST_BYTES)
    whole = data[: data.rfind(b"\n") + 1]
    if not whole and len(data) == MOST_BYTES:
        whole = data  # a line without end is cut
    return whole.decode("utf-8", "replace").splitlines(), str(at + len(whole))
