"""Settings of the kinds of probes that installed packages offer by the entry points `harness.probes`.

A package is imported only when a stack has a probe of its kind. Our own kinds stay what they are, whoever offers one of
the same name.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from harness.model.errors import StackError
from harness.model.stack import PROBE_KINDS

ENTRY_POINTS = "harness.probes"


class OfferedKinds(Mapping[str, Any]):
    """Every kind that other packages offer, by name, each an object with `kind`, `settings` and `make`.

    Asking for one raises StackError where it cannot be imported, or is none.
    """

    def __init__(self) -> None:
        entries = importlib.metadata.entry_points(group=ENTRY_POINTS)
        self._offered = {entry.name: entry for entry in entries if entry.name not in PROBE_KINDS}
        self._known: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._offered))

    def __len__(self) -> int:
        return len(self._offered)

    def __contains__(self, kind: object) -> bool:
        return kind in self._offered

    def __getitem__(self, kind: str) -> Any:
        if kind not in self._known:
            self._known[kind] = _imported(self._offered[kind])
        return self._known[kind]


class OfferedSettings(Mapping[str, type[BaseModel]]):
    """The settings of those kinds, as the reader of stack descriptions takes them."""

    def __init__(self) -> None:
        self._kinds = OfferedKinds()

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, kind: object) -> bool:
        return kind in self._kinds

    def __getitem__(self, kind: str) -> type[BaseModel]:
        settings: type[BaseModel] = self._kinds[kind].settings
        return settings


def _imported(entry: importlib.metadata.EntryPoint) -> Any:
    try:
        found = entry.load()
    except Exception as error:
        message = f"the probe kind {entry.name!r} could not be imported from {entry.value!r}: {error}"
        raise StackError(message, remedy="reinstall the package that offers it") from error
    settings = getattr(found, "settings", None)
    is_kind = getattr(found, "kind", None) == entry.name and callable(getattr(found, "make", None))
    if not is_kind or not isinstance(settings, type) or not issubclass(settings, BaseModel):
        remedy = f"an entry point of {ENTRY_POINTS!r} is a ProbeKind, under the name of its kind"
        raise StackError(f"{entry.value!r} is not the probe kind {entry.name!r}", remedy=remedy)
    return found
