"""The nearest valid name, for messages about a name that is not valid."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name closest to `name`, or None where none resembles it."""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return close[0] if close else None


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return a remedy that names the nearest valid name, or all of them where none is near."""
    names = sorted(valid)
    close = nearest(name, names)
    if close is not None:
        return f"did you mean {close!r}?"
    return f"valid here: {', '.join(names)}" if names else "nothing is valid here"
