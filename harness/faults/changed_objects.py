"""Objects of a dataset, changed in place: those that are there, and each that is written while the fault lasts.

Object stores tell nobody of new objects, so the prefix is listed over and over. What each object was is kept until
the fault ends, on disk too; then every object that still is as it was changed is put back, byte for byte. How an object
is changed is the business of a fault's kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from harness.model.errors import FaultError
from harness.model.fault import Confirmation
from harness.seams import Seams
from harness.seams.stored import NoObjectError, OtherObjectError, Stored
from harness.seams.undo_store import UndoStore

LIST_EVERY_S = 0.1
LOOK_S = 1.0
"""How long a changed object is looked for: its owner may write it anew at any time."""
STUCK_S = 3.0
"""For how long listings or one object may fail before the fault is not in any more as it should be."""
_LISTING = "listing"

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


class ChangedObjects:
    """The objects under one prefix, as one fault changes them."""

    def __init__(self, seams: Seams, dataset: str, change: ObjectChange, fault: str) -> None:
        self._spec = seams.dataset_spec(dataset)
        self._objects = seams.dataset(dataset)
        self._how = change
        self._keys: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._error: str | None = None
        self._failing: dict[str, tuple[float, str]] = {}
        """Since when listings, or the change of an object, have failed, and why."""
        self._unsure: dict[str, tuple[bytes, int]] = {}
        """What was to be written where no answer told that it was, and how many rows it changes."""
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
        await self._sweep(strict=True)
        if self._unreadable and not self._seen and not self._originals:
            what = f"no object under {self._spec.prefix!r} holds {self._how.NEEDS}"
            raise FaultError(f"{what}: {min(self._unreadable)}")
        self._task = asyncio.create_task(self._go_on())

    async def _go_on(self) -> None:
        while self._error is None:
            await asyncio.sleep(LIST_EVERY_S)
            try:
                await self._sweep()
            except OSError as error:  # of the disk on which originals are kept
                self._error = str(error)

    async def _sweep(self, *, strict: bool = False) -> None:
        """Change what is new. One object that fails keeps no other from being changed, unless that is `strict`.

        Perhaps it is being overwritten, and is whole next time.
        """
        try:
            listed = await self._objects.list(self._spec.prefix)
        except FaultError as error:
            self._failed(_LISTING, error, strict)
            return
        self._failing = {key: self._failing[key] for key in {one.key for one in listed} & set(self._failing)}
        self._keys = [stored.key for stored in listed]
        for stored in listed:
            if self._seen.get(stored.key) != stored.etag and self._unreadable.get(stored.key) != stored.etag:
                # Shielded: a change that went in is always noted, so that it can be taken back.
                changing = asyncio.ensure_future(self._change(stored))
                try:
                    await asyncio.shield(changing)
                    self._failing.pop(stored.key, None)
                except OtherObjectError:  # its owner has just written it anew: the next listing has that
                    self._failing.pop(stored.key, None)
                except FaultError as error:
                    self._failed(stored.key, error, strict)
                finally:
                    changing.add_done_callback(_looked_at)

    def _failed(self, what: str, error: FaultError, strict: bool) -> None:
        if strict:
            raise error
        self._failing.setdefault(what, (time.monotonic(), str(error)))

    def _stuck(self) -> str | None:
        """Return what has failed for so long that objects which come now come in whole."""
        now_s = time.monotonic()
        return next(
            (f"{key}: {why}" for key, (since_s, why) in self._failing.items() if now_s - since_s > STUCK_S), None
        )

    async def _change(self, stored: Stored) -> None:
        async with self._one_at_a_time:
            if self._stopped:
                return
            try:
                data, tag = await self._objects.read(stored.key)
            except NoObjectError:
                return
            original, ours = self._originals.get(stored.key, (None, None))
            if _digest(data) != ours:  # our own writes show up with new tags; they are not news
                if data != original or stored.key not in self._unsure:
                    try:
                        written, hits = await self._how.changed(stored.key, data, self._keys, self._before)
                    except FaultError:
                        self._unreadable[stored.key] = stored.etag  # perhaps not whole yet: it has another tag then
                        return
                    if hits:
                        await self._note(stored.key, data, written, hits)
                    else:
                        self._unsure.pop(stored.key, None)
                # The same again where no answer came: what was sent may yet arrive, and must be known as ours then.
                if stored.key in self._unsure:
                    written, rows = self._unsure[stored.key]
                    await self._write(stored.key, written, tag)
                    # Somebody may write the same bytes again right away, under the tag that was just seen.
                    self._seen.pop(stored.key, None)
                    self._rows_hit += rows
                    del self._unsure[stored.key]
                    return
            elif stored.key in self._unsure:  # it has arrived without an answer
                self._rows_hit += self._unsure.pop(stored.key)[1]
            self._seen[stored.key] = stored.etag

    async def _note(self, key: str, data: bytes, written: bytes, hits: list[dict[str, Any]]) -> None:
        """Keep what an object was, and how it is to be told that it is changed, before it is."""
        # Who learned from it meanwhile can be told by its digest alone: it is put back afterwards.
        digest = _digest(written)
        # Kept before it is written: a write whose answer was lost must be taken back too.
        if self._kept is not None:
            await asyncio.to_thread(self._kept.keep_object, key, data, digest)
        self._originals[key] = (data, digest)
        self._unsure[key] = written, len({(hit["entity"], hit["event_time"]) for hit in hits})
        # Listed before it is written, too: somebody may read what was written without an answer.
        self._manifest.extend(hit | {"digest": f"sha256:{digest}"} for hit in hits)

    async def _write(self, key: str, data: bytes, tag: str) -> None:
        """Write an object that is there as it was read, and leave its type and metadata as they are.

        Raises OtherObjectError where its owner has written it meanwhile, as far as the store can tell.
        """
        try:
            await self._objects.put(key, data, await self._objects.about(key), tag)
        except NoObjectError:  # it was deleted meanwhile
            return

    async def _before(self, key: str) -> bytes | None:
        if key in self._originals:
            return self._originals[key][0]
        try:
            return await self._objects.get(key)
        except NoObjectError:
            return None

    async def confirm(self) -> Confirmation:
        """Read one changed object back. What its owner has just written anew is changed with the next listings.

        Raises FaultError where the store cannot be read.
        """
        deadline_s = time.monotonic() + LOOK_S
        while self._error is None:
            late = time.monotonic() > deadline_s
            try:
                for key in reversed(list(self._originals)):
                    if await self._as_changed(key):
                        stuck = self._stuck()
                        if stuck is not None:
                            return Confirmation(None, {"why": stuck, "rows_hit": self._rows_hit})
                        found = {"rows_hit": self._rows_hit, "objects": len(self._originals), "read_back": key}
                        return Confirmation(True, found)
            except FaultError:  # perhaps it is being overwritten
                if late:
                    raise
            if late:
                break
            await asyncio.sleep(LIST_EVERY_S / 2)
        why = self._error or next((why for _, why in self._failing.values()), "no changed object was read back")
        return Confirmation(False, {"why": why, "rows_hit": self._rows_hit})

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
        errors: list[FaultError] = []
        for key in self._originals:
            try:
                await self._put_back(key)
            except FaultError as error:  # the others are put back all the same
                errors.append(error)
        if errors:
            raise errors[0]

    async def _put_back(self, key: str) -> None:
        original, changed = self._originals[key]
        with contextlib.suppress(NoObjectError, OtherObjectError):  # its owner has deleted it, or written it anew
            data, tag = await self._objects.read(key)
            if _digest(data) == changed:
                await self._write(key, original, tag)

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


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _looked_at(task: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()
