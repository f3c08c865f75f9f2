"""Every kind of fault that is installed.

Our own are the table in `harness.faults.table`; other packages add theirs by the entry-point group `harness.faults`,
each a `FaultKind` under its own name, imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.description.entry_points import EntryPoints
from harness.faults.table import FAULTS
from harness.model.errors import ScenarioError
from harness.model.fault import FaultKind

ENTRY_POINTS = "harness.faults"


class Faults(Mapping[str, FaultKind]):
    """Every kind of fault by name: the table, and what installed packages add to it."""

    def __init__(self, table: Mapping[str, FaultKind] = FAULTS) -> None:
        self._table = table
        self._installed = EntryPoints(ENTRY_POINTS)
        self._imported: dict[str, FaultKind] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._table, *self._installed}))

    def __len__(self) -> int:
        return len({*self._table, *self._installed})

    def __contains__(self, kind: object) -> bool:
        return kind in self._table or kind in self._installed

    def __getitem__(self, kind: str) -> FaultKind:
        if kind in self._table:
            return self._table[kind]
        if kind not in self._imported:
            found = self._installed.load(kind, "fault", ScenarioError)
            self._imported[kind] = _checked(found, kind, self._installed[kind].value)
        return self._imported[kind]


def _checked(found: object, kind: str, value: str) -> FaultKind:
    if not isinstance(found, FaultKind) or found.kind != kind:
        remedy = f"an entry point of {ENTRY_POINTS!r} is a FaultKind, under the name of its kind"
        raise ScenarioError(f"{value!r} is not the fault {kind!r}", remedy=remedy)
    return found
