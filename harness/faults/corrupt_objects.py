"""Rows of a dataset's Parquet objects, changed in place: those that are there, and each that is written while it lasts.

Object stores tell nobody of new objects, so the prefix is listed over and over. What each object was is kept until
the fault ends; then every object that still is as it was changed is put back, byte for byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import Any

from harness.faults.corruption import Corruption
from harness.model.chance import chosen
from harness.model.errors import FaultError
from harness.model.fault import Landing
from harness.seams import Seams

LIST_EVERY_S = 0.1


class CorruptObjects:
    """A seeded share of the rows under one prefix."""

    def __init__(self, seams: Seams, dataset: str, corruption: Corruption, seed: int, fault: str) -> None:
        from harness.seams.parquet import ParquetRows

        self._spec = seams.dataset_spec(dataset)
        self._objects = seams.objects(self._spec.service, self._spec.bucket)
        self._codec = ParquetRows()
        self._corruption = corruption
        self._seed = seed
        self._fault = fault
        self._task: asyncio.Task[None] | None = None
        self._error: str | None = None
        self._seen: dict[str, str] = {}
        self._originals: dict[str, tuple[bytes, str]] = {}
        self._manifest: list[dict[str, Any]] = []
        self._rows_hit = 0

    async def prepare(self) -> dict[str, Any]:
        """Which objects are there now; what they are is kept once they are changed."""
        return {"objects": [o.key for o in await self._objects.list(self._spec.prefix)]}

    async def inject(self) -> None:
        """Change what is there, and go on with what comes."""
        await self._sweep()
        self._task = asyncio.create_task(self._go_on())

    async def _go_on(self) -> None:
        try:
            while True:
                await asyncio.sleep(LIST_EVERY_S)
                await self._sweep()
        except FaultError as error:
            self._error = str(error)

    async def _sweep(self) -> None:
        for stored in await self._objects.list(self._spec.prefix):
            if self._seen.get(stored.key) != stored.etag:
                await self._change(stored.key)
        # Our own writes show up with new tags; they are not news.
        self._seen = {o.key: o.etag for o in await self._objects.list(self._spec.prefix)}

    async def _change(self, key: str) -> None:
        data = await self._objects.get(key)
        if key in self._originals and _digest(data) == self._originals[key][1]:
            return
        rows = self._codec.read(data)
        changed, hits = [], []
        for row in rows:
            entity, event_time = row.get(self._spec.entity), row.get(self._spec.stamp)
            after = {}
            if chosen(self._corruption.share, self._seed, self._fault, entity, event_time):
                numbers = {f: v for f, v in row.items() if isinstance(v, float)}
                after = self._corruption.corrupt({**numbers})
            for field, value in after.items():
                hits.append(
                    {"object": key, "entity": entity, "event_time": event_time, "field": field}
                    | {"before": row[field], "after": value}
                )
            changed.append(row | after)
        if hits:
            written = self._codec.rewrite(data, changed)
            await self._objects.put(key, written)
            self._originals[key] = (data, _digest(written))
            self._manifest.extend(hits)
            self._rows_hit += len({(h["entity"], h["event_time"]) for h in hits})

    async def confirm(self) -> Landing:
        """Read one changed object back."""
        if self._error is not None:
            return Landing(False, {"why": self._error, "rows_hit": self._rows_hit})
        for key, (_, digest) in reversed(self._originals.items()):
            if _digest(await self._objects.get(key)) == digest:
                return Landing(True, {"rows_hit": self._rows_hit, "objects": len(self._originals), "read_back": key})
        return Landing(False, {"why": "no changed object was read back", "rows_hit": self._rows_hit})

    async def revert(self, undo: dict[str, Any]) -> None:
        """Stop, and put back every object that still is as it was changed."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        for key, (data, digest) in self._originals.items():
            if _digest(await self._objects.get(key)) == digest:
                await self._objects.put(key, data)

    async def absent(self) -> Landing:
        """No object is as it was changed."""
        left = [key for key, (_, digest) in self._originals.items() if _digest(await self._objects.get(key)) == digest]
        return Landing(bool(left), {"changed_objects_left": left, "rows_hit": self._rows_hit})

    def manifest(self) -> list[dict[str, Any]]:
        """Return the rows changed since the last call."""
        taken, self._manifest = self._manifest, []
        return taken


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
