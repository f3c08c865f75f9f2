"""What installed packages add by entry points, read when it is first needed and imported when it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.model.errors import HarnessError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class EntryPoints(Mapping[str, "EntryPoint"]):
    """The entry points of one group by name. Nothing is imported, and no package read before the first look-up."""

    def __init__(self, group: str) -> None:
        self._group = group

    @cached_property
    def _found(self) -> dict[str, EntryPoint]:
        import importlib.metadata  # slow to import, and most commands need no entry point

        return {entry.name: entry for entry in importlib.metadata.entry_points(group=self._group)}

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, name: str) -> EntryPoint:
        return self._found[name]

    def load(self, name: str, what: str, error: type[HarnessError]) -> Any:
        """Import what has that name. Raises the error, which says what it is, where that fails."""
        entry = self._found[name]
        try:
            return entry.load()
        except Exception as failure:
            message = f"the {what} {name!r} cannot be imported from {entry.value!r}: {failure}"
            raise error(message, remedy="reinstall the package that provides it") from failure
