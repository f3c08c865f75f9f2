"""A place in JSON, as stack descriptions write it: dots descend, numbers index lists."""

from __future__ import annotations

from typing import Any


class NothingThereError(LookupError):
    """Nothing lies at that place; the text says at which."""


def at_path(data: Any, path: str) -> Any:
    """Return what lies at a dotted path. Raises NothingThereError."""
    for step in path.split("."):
        try:
            data = data[int(step)] if isinstance(data, list) else data[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise NothingThereError(f"nothing at {path!r}") from None
    return data
