"""How the objects of a dataset are changed: what a kind of fault brings, so that `ChangedObjects` can do the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

Before = Callable[[str], Awaitable[bytes | None]]
"""Returns what an object was before the fault changed it; None for one that is not there."""
Changed = tuple[bytes, list[dict[str, Any]]]
"""What an object is changed to, and the lines of the manifest for it; no line where it stays as it is."""


class ObjectChange(Protocol):
    """How the objects of one fault are changed."""

    NEEDS: str
    """What an object must hold to be changed at all, in words."""

    async def changed(self, key: str, data: bytes, keys: list[str], before: Before) -> Changed:
        """Return what an object is changed to. `keys` are those of the dataset, in order.

        Raises FaultError for an object that does not hold what is needed.
        """
