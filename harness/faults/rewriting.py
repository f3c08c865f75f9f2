"""What faults on live rows share: change each new row as it is written, prove it by reading back, put back what is
left.

The manifest lists every row that was changed, with what it was and what it became; the row that is in the store when
the fault ends is repaired, unless it has been overwritten already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.model.fault import Confirmation
from harness.seams.stored import Change, Row
from harness.seams.undo_store import UndoStore

LOOK_S = 1.0
"""How long `confirm` looks for a changed row: rows that chance spared come and go in between."""
NOTIFY = "notify-keyspace-events"
FLAGS = "Kh"
ALL_CLASSES = "g$lshzxetd"
"""What the store's short form `A` stands for."""

if TYPE_CHECKING:
    from harness.seams.keyspace import Keyspace


@dataclass(frozen=True, slots=True)
class _Changed:
    """The last change of one field: under which stamp, from what to what."""

    stamp: str
    before: str
    after: str


class Rewriting:
    """Rows of a key space, changed as they come."""

    def __init__(
        self,
        keyspace: Keyspace,
        decide: Callable[[str, Row], Change | None],
        before: Callable[[dict[str, Row]], None] | None = None,
        kept: UndoStore | None = None,
    ) -> None:
        self._kept = kept
        self._keyspace = keyspace
        self._stamp_of = keyspace.spec.stamps
        self._decide = decide
        self._before = before
        self._rewriter = keyspace.rewriter(self._wanted, self._hit)
        self._last: dict[str, dict[str, _Changed]] = {}
        self._listed: set[tuple[str, str, str]] = set()
        self._manifest: list[dict[str, Any]] = []
        self._rows_hit = 0

    async def prepare(self) -> dict[str, Any]:
        """What the store notified before."""
        kept = {"kept": str(self._kept.folder)} if self._kept is not None else {}
        return {NOTIFY: await self._keyspace.notifications(), **kept}

    async def inject(self) -> None:
        """Begin to change rows: those that are there, and each new one."""
        if self._before is not None:
            self._before(await self._keyspace.rows())
        flags = (await self._keyspace.notifications()).replace("A", ALL_CLASSES)
        await self._keyspace.notify("".join(sorted(set(flags) | set(FLAGS))))
        await self._rewriter.start()

    def _wanted(self, key: str, row: Row) -> Change | None:
        """Decide on the fields that are not as we changed them: our own writes come back, and so do fields that a
        producer left alone when it wrote others."""
        ours = {f for f in self._last.get(key, {}) if self._still(key, f, row)}
        rest = {f: v for f, v in row.items() if f not in ours}
        change = self._decide(key, rest) if any(f in rest for f in self._stamp_of) else None
        if change is not None and self._kept is not None:  # before it is made, for whoever may have to put it back
            stamps = {field: row[self._stamp_of[field]] for field in change.after}
            self._kept.keep_lines([{"key": key, "stamps": stamps, "before": change.before, "after": change.after}])
        return change

    def _still(self, key: str, field: str, row: Row) -> bool:
        changed = self._last[key][field]
        return row.get(self._stamp_of[field]) == changed.stamp and row.get(field) == changed.after

    def _hit(self, key: str, row: Row, change: Change) -> None:
        last = self._last.setdefault(key, {})
        new = []
        for field, value in change.after.items():
            stamp = row[self._stamp_of[field]]
            last[field] = _Changed(stamp, change.before[field], value)
            if (key, field, stamp) not in self._listed:  # the same row written once more is the same row
                self._listed.add((key, field, stamp))
                new.append((field, stamp, value))
        self._rows_hit += bool(new)
        self._manifest.extend(
            {
                "entity": self._keyspace.entity(key),
                "event_time": int(float(stamp)),
                "field": field,
                "before": change.before[field],
                "after": value,
            }
            for field, stamp, value in new
        )

    async def confirm(self) -> Confirmation:
        """Read rows back until one is found as it was changed."""
        deadline_s = time.monotonic() + LOOK_S
        while True:
            if self._rewriter.error is not None:
                return Confirmation(False, {"why": self._rewriter.error, "rows_hit": self._rows_hit})
            for key, fields in list(self._last.items()):
                row = await self._keyspace.row(key)
                found = {f: changed for f, changed in fields.items() if self._still(key, f, row)}
                if found:
                    before = {f: changed.before for f, changed in found.items()}
                    read_back = {"key": key, "before": before, "read_back": {f: row[f] for f in found}}
                    return Confirmation(True, {"rows_hit": self._rows_hit, **read_back})
            if time.monotonic() > deadline_s:
                return Confirmation(False, {"why": "no changed row was read back", "rows_hit": self._rows_hit})
            await asyncio.sleep(0.01)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Stop changing rows and repair those that are still there as they were changed."""
        await self._rewriter.stop()
        flags = undo.get(NOTIFY)
        if flags is not None:
            await self._keyspace.notify(flags)
        if not self._last and "kept" in undo:  # the process that changed them is gone
            for line in UndoStore(Path(undo["kept"])).lines():
                last = self._last.setdefault(line["key"], {})
                for field, value in line["after"].items():
                    last[field] = _Changed(line["stamps"][field], line["before"][field], value)
        for key, fields in self._last.items():
            # Field by field: a field whose row has been written again meanwhile does not keep others from repair.
            for field, changed in fields.items():
                ours = {self._stamp_of[field]: changed.stamp, field: changed.after}
                await self._keyspace.swap(key, ours, {field: changed.before})

    async def absent(self) -> Confirmation:
        """No row in the store is one that was changed."""
        rows = await self._keyspace.rows()
        left = [k for k, row in rows.items() if any(self._still(k, f, row) for f in self._last.get(k, ()))]
        return Confirmation(bool(left), {"changed_rows_left": left, "rows_hit": self._rows_hit})

    def manifest(self) -> list[dict[str, Any]]:
        """Return the rows changed since the last call."""
        taken, self._manifest = self._manifest, []
        return taken
