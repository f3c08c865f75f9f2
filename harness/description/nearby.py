"""The nearest name to that of a file which is not there."""

from __future__ import annotations

from pathlib import Path

from harness.model.errors import nearest


def similar(path: Path) -> str | None:
    """Return a remedy that names the file beside a missing one whose name is nearest; None where none is near."""
    try:
        beside = [entry.name for entry in path.absolute().parent.iterdir()]
    except (OSError, ValueError):
        return None
    close = nearest(path.name, beside)
    return f"did you mean {str(path.parent / close)!r}?" if close else None
