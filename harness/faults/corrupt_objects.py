"""Rows of a dataset's Parquet objects, changed in place: those that are there, and each that is written while it lasts.

Object stores tell nobody of new objects, so the prefix is listed over and over. What each object was is kept until
the fault ends, on disk too; then every object that still is as it was changed is put back, byte for byte.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from pathlib import Path
from typing import Any

from harness.faults.corruption import Corruption
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, chosen
from harness.seams import Seams
from harness.seams.stored import NoObjectError, Stored
from harness.seams.undo_store import UndoStore

LIST_EVERY_S = 0.1


class CorruptObjects:
    """A seeded share of the rows under one prefix."""

    def __init__(self, seams: Seams, dataset: str, corruption: Corruption, seed: int, fault: str) -> None:
        from harness.seams.parquet import ParquetRows

        self._spec = seams.dataset_spec(dataset)
        self._objects = seams.dataset(dataset)
        self._codec = ParquetRows()
        self._corruption = corruption
        self._seed = seed
        self._fault = fault
        self._task: asyncio.Task[None] | None = None
        self._error: str | None = None
        self._one_at_a_time = asyncio.Lock()
        self._stopped = False
        self._seen: dict[str, str] = {}
        self._unreadable: dict[str, str] = {}
        self._originals: dict[str, tuple[bytes, str]] = {}
        self._kept = seams.kept(fault)
        self._manifest: list[dict[str, Any]] = []
        self._rows_hit = 0

    async def prepare(self) -> dict[str, Any]:
        """Which objects are there now; what they are is kept once they are changed."""
        kept = {"kept": str(self._kept.folder)} if self._kept is not None else {}
        return {"objects": [o.key for o in await self._objects.list(self._spec.prefix)], **kept}

    async def inject(self) -> None:
        """Change what is there, and go on with what comes."""
        self._stopped = False
        await self._sweep()
        if self._unreadable and not self._seen:
            raise FaultError(f"no object under {self._spec.prefix!r} holds Parquet rows: {min(self._unreadable)}")
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
            if self._seen.get(stored.key) != stored.etag and self._unreadable.get(stored.key) != stored.etag:
                # Shielded: a change that went in is always noted, so that it can be taken back.
                changing = asyncio.ensure_future(self._change(stored))
                try:
                    await asyncio.shield(changing)
                finally:
                    changing.add_done_callback(_looked_at)

    async def _change(self, stored: Stored) -> None:
        async with self._one_at_a_time:
            if self._stopped:
                return
            try:
                data = await self._objects.get(stored.key)
            except NoObjectError:
                return
            # Our own writes show up with new tags; they are not news.
            if stored.key not in self._originals or _digest(data) != self._originals[stored.key][1]:
                try:
                    written, hits = await asyncio.to_thread(self._corrupted, stored.key, data)
                except FaultError:
                    self._unreadable[stored.key] = stored.etag  # perhaps not whole yet: it will have another tag then
                    return
                if hits:
                    # Kept before it is written: a write whose answer was lost must be taken back too.
                    self._originals[stored.key] = (data, _digest(written))
                    if self._kept is not None:
                        await asyncio.to_thread(self._kept.keep_object, stored.key, data, _digest(written))
                    # Listed before it is written, too: somebody may read what was written without an answer.
                    self._manifest.extend(hits)
                    await self._objects.put(stored.key, written)
                    self._rows_hit += len({(h["entity"], h["event_time"]) for h in hits})
            self._seen[stored.key] = stored.etag

    def _corrupted(self, key: str, data: bytes) -> tuple[bytes, list[dict[str, Any]]]:
        changed, hits = [], []
        for row in self._codec.read(data):
            entity, event_time = row.get(self._spec.entity), row.get(self._spec.stamp)
            after = {}
            if chosen(self._corruption.share, self._seed, self._fault, entity, event_time):
                after = self._corruption.corrupt({f: v for f, v in row.items() if _number(v)})
            for field, value in after.items():
                hits.append(
                    {"object": key, "entity": entity, "event_time": event_time, "field": field}
                    | {"before": row[field], "after": value}
                )
            changed.append(row | after)
        written = self._codec.rewrite(data, changed) if hits else data
        # Who learned from the object while it was changed can be told by its digest alone: it is put back afterwards.
        digest = f"sha256:{_digest(written)}"
        return written, [hit | {"digest": digest} for hit in hits]

    async def confirm(self) -> Confirmation:
        """Read one changed object back."""
        if self._error is not None:
            return Confirmation(False, {"why": self._error, "rows_hit": self._rows_hit})
        for key in reversed(list(self._originals)):
            if await self._as_changed(key):
                return Confirmation(
                    True, {"rows_hit": self._rows_hit, "objects": len(self._originals), "read_back": key}
                )
        return Confirmation(False, {"why": "no changed object was read back", "rows_hit": self._rows_hit})

    async def revert(self, undo: dict[str, Any]) -> None:
        """Stop, and put back every object that still is as it was changed."""
        async with self._one_at_a_time:
            self._stopped = True
            task, self._task = self._task, None
            if task is not None:
                task.cancel()
        if task is not None:
            await asyncio.wait([task])
        if not self._originals and "kept" in undo:  # the process that changed them is gone
            for key, data, digest in UndoStore(Path(undo["kept"])).objects():
                self._originals[key] = (data, digest)
        for key, (data, _) in self._originals.items():
            if await self._as_changed(key):
                await self._objects.put(key, data)

    async def absent(self) -> Confirmation:
        """No object is as it was changed."""
        left = [key for key in self._originals if await self._as_changed(key)]
        return Confirmation(bool(left), {"changed_objects_left": left, "rows_hit": self._rows_hit})

    async def _as_changed(self, key: str) -> bool:
        try:
            return _digest(await self._objects.get(key)) == self._originals[key][1]
        except NoObjectError:
            return False

    def manifest(self) -> list[dict[str, Any]]:
        """Return the rows changed since the last call."""
        taken, self._manifest = self._manifest, []
        return taken


def _number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _looked_at(task: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()
