"""The kinds of probes that other packages add, by the entry-point group `harness.probes`.

The reader of stack descriptions checks their settings. The harness's own kinds take precedence over others of the
same name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from harness.description.entry_points import EntryPoints
from harness.model.errors import StackError
from harness.model.probekinds import PROBE_KINDS

PROBES = "harness.probes"


class InstalledKinds(Mapping[str, Any]):
    """Every kind of probe that other packages add, by name, each an object with `kind`, `settings` and `make`.

    Looking one up raises StackError where it cannot be imported, or is not a kind of probe.
    """

    def __init__(self) -> None:
        self._installed = EntryPoints(PROBES)
        self._imported: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(name for name in self._installed if name not in PROBE_KINDS))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, kind: object) -> bool:
        return kind not in PROBE_KINDS and kind in self._installed

    def __getitem__(self, kind: str) -> Any:
        if kind in PROBE_KINDS:
            raise KeyError(kind)
        if kind not in self._imported:
            found = self._installed.load(kind, "probe kind", StackError)
            self._imported[kind] = _checked(found, kind, self._installed[kind].value)
        return self._imported[kind]


class InstalledSettings(Mapping[str, type[BaseModel]]):
    """The settings of those kinds, as the reader of stack descriptions needs them."""

    def __init__(self) -> None:
        self._kinds = InstalledKinds()

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, kind: object) -> bool:
        return kind in self._kinds

    def __getitem__(self, kind: str) -> type[BaseModel]:
        settings: type[BaseModel] = self._kinds[kind].settings
        return settings


def _checked(found: Any, kind: str, value: str) -> Any:
    settings = getattr(found, "settings", None)
    is_kind = getattr(found, "kind", None) == kind and callable(getattr(found, "make", None))
    if not is_kind or not isinstance(settings, type) or not issubclass(settings, BaseModel):
        remedy = f"an entry point of the group {PROBES!r} is a ProbeKind, under the name of its kind"
        raise StackError(f"{value!r} is not the probe kind {kind!r}", remedy=remedy)
    return found
