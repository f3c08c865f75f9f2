"""What faults on live rows share: change each new row as it is written, prove it by reading back, put back what is
left.

The manifest lists every row that was changed, with what it was and what it became; the row that is in the store when
the fault ends is repaired, unless it has been overwritten already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.model.fault import Landing
from harness.seams.rows import Change, Row

LOOK_S = 1.0
"""How long `confirm` looks for a changed row: rows that chance spared come and go in between."""
NOTIFY = "notify-keyspace-events"
FLAGS = "Kh"

if TYPE_CHECKING:
    from harness.seams.keyspace import Keyspace


class Rewriting:
    """Rows of a key space, changed as they come."""

    def __init__(
        self,
        keyspace: Keyspace,
        decide: Callable[[str, Row], Change | None],
        before: Callable[[dict[str, Row]], None] | None = None,
    ) -> None:
        self._keyspace = keyspace
        self._decide = decide
        self._before = before
        self._rewriter = keyspace.rewriter(self._wanted, self._hit)
        self._last: dict[str, tuple[Row, Change]] = {}
        self._manifest: list[dict[str, Any]] = []
        self._rows_hit = 0

    async def prepare(self) -> dict[str, Any]:
        """What the store notified before."""
        return {NOTIFY: await self._keyspace.notifications()}

    async def inject(self) -> None:
        """Begin to change rows: those that are there, and each new one."""
        if self._before is not None:
            self._before(await self._keyspace.rows())
        flags = await self._keyspace.notifications()
        await self._keyspace.notify("".join(sorted(set(flags) | set(FLAGS))))
        await self._rewriter.start()

    def _wanted(self, key: str, row: Row) -> Change | None:
        stamps = self._stamps(row)
        if not stamps or (key in self._last and self._last[key][0] == stamps):
            return None  # not a row, or our own write coming back
        return self._decide(key, row)

    def _hit(self, key: str, row: Row, change: Change) -> None:
        self._last[key] = (self._stamps(row), change)
        self._rows_hit += 1
        self._manifest.extend(
            {
                "entity": self._keyspace.entity(key),
                "event_time": int(float(row[self._keyspace.spec.stamps[field]])),
                "field": field,
                "before": change.before[field],
                "after": value,
            }
            for field, value in change.after.items()
        )

    def _stamps(self, row: Row) -> Row:
        return {f: row[f] for f in sorted(set(self._keyspace.spec.stamps.values())) if f in row}

    async def confirm(self) -> Landing:
        """Read rows back until one is found as it was changed."""
        deadline_s = time.monotonic() + LOOK_S
        while True:
            if self._rewriter.error is not None:
                return Landing(False, {"why": self._rewriter.error, "rows_hit": self._rows_hit})
            for key, (stamps, change) in list(self._last.items()):
                row = await self._keyspace.row(key)
                if self._stamps(row) == stamps and all(row.get(f) == v for f, v in change.after.items()):
                    read_back = {"key": key, "before": change.before, "read_back": change.after}
                    return Landing(True, {"rows_hit": self._rows_hit, **read_back})
            if time.monotonic() > deadline_s:
                return Landing(False, {"why": "no changed row was read back", "rows_hit": self._rows_hit})
            await asyncio.sleep(0.01)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Stop changing rows and repair those that are still there as they were changed."""
        await self._rewriter.stop()
        flags = undo.get(NOTIFY)
        if flags is not None:
            await self._keyspace.notify(flags)
        for key, (stamps, change) in self._last.items():
            await self._keyspace.swap(key, {**stamps, **change.after}, change.before)

    async def absent(self) -> Landing:
        """No row in the store is one that was changed."""
        left = []
        for key, row in (await self._keyspace.rows()).items():
            known = self._last.get(key)
            if known is not None and all(row.get(f) == v for f, v in (known[0] | known[1].after).items()):
                left.append(key)
        return Landing(bool(left), {"changed_rows_left": left, "rows_hit": self._rows_hit})

    def manifest(self) -> list[dict[str, Any]]:
        """Return the rows changed since the last call."""
        taken, self._manifest = self._manifest, []
        return taken
