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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.faults.object_change import ObjectChange
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

LATE_S = 5.0
LOOK_AGAIN_S = 0.25
"""For how long, and how often, a write that had no answer is waited for: a slow store may yet make it."""


@dataclass(frozen=True, slots=True)
class _Undo:
    """What is kept of an object before it is changed."""

    original: bytes
    changed: str
    """The digest of what it is changed to."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """What was to be written where no answer has told that it was."""

    data: bytes
    rows: int
    """How many rows it changes."""


@dataclass(frozen=True, slots=True)
class _Failing:
    """Since when something has failed, and why."""

    since_s: float
    why: str


@dataclass(slots=True)
class _Object:
    """One object, as the fault has met it."""

    settled: str | None = None
    """The tag under which there is nothing more to do with it."""
    readable: bool | None = None
    """Whether it held what the fault changes, when it was last read."""
    undo: _Undo | None = None
    sent: _Sent | None = None
    failing: _Failing | None = None


class ChangedObjects:
    """The objects under one prefix, as one fault changes them."""

    def __init__(self, seams: Seams, dataset: str, change: ObjectChange, fault: str) -> None:
        self._spec = seams.dataset_spec(dataset)
        self._objects = seams.dataset(dataset)
        self._how = change
        self._keys: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._error: str | None = None
        self._met: dict[str, _Object] = {}
        """Every object that was ever listed, by its key."""
        self._listing_fails: _Failing | None = None
        self._one_at_a_time = asyncio.Lock()
        self._stopped = False
        self._kept = seams.kept(fault)
        self._changed_by = seams.changed_by
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
        unreadable = [key for key, one in self._met.items() if one.readable is False]
        if unreadable and not any(one.readable for one in self._met.values()):
            what = f"no object under {self._spec.prefix!r} holds {self._how.NEEDS}"
            raise FaultError(f"{what}: {min(unreadable)}")
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
            if strict:
                raise
            self._listing_fails = self._listing_fails or _failing(error)
            return
        self._listing_fails = None
        self._keys = [stored.key for stored in listed]
        for key in self._met.keys() - set(self._keys):
            self._met[key].failing = None
        for stored in listed:
            one = self._met.setdefault(stored.key, _Object())
            if one.settled != stored.etag:
                # Shielded: a change that went in is always noted, so that it can be taken back.
                changing = asyncio.ensure_future(self._change(stored, one))
                try:
                    await asyncio.shield(changing)
                    one.failing = None
                except OtherObjectError:  # its owner has just written it anew: the next listing has that
                    one.failing = None
                except FaultError as error:
                    if strict:
                        raise
                    one.failing = one.failing or _failing(error)
                finally:
                    changing.add_done_callback(_looked_at)

    def _failures(self) -> Iterator[tuple[str, _Failing]]:
        if self._listing_fails is not None:
            yield "listing", self._listing_fails
        yield from ((key, one.failing) for key, one in self._met.items() if one.failing is not None)

    def _stuck(self) -> str | None:
        """Return what has failed for so long that objects which come now come in whole."""
        now_s = time.monotonic()
        return next((f"{key}: {one.why}" for key, one in self._failures() if now_s - one.since_s > STUCK_S), None)

    async def _change(self, stored: Stored, one: _Object) -> None:
        async with self._one_at_a_time:
            if self._stopped or self._changed_by.get(self._place(stored.key), self) is not self:
                return
            try:
                data, tag = await self._objects.read(stored.key)
            except NoObjectError:
                return
            if one.undo is not None and _digest(data) == one.undo.changed:
                # Our own writes show up with new tags; they are not news. This one may have had no answer.
                self._rows_hit += one.sent.rows if one.sent is not None else 0
                one.sent = None
            else:
                if one.sent is None or one.undo is None or data != one.undo.original:
                    try:
                        written, hits = await self._how.changed(stored.key, data, self._keys, self._before)
                    except FaultError:  # perhaps not whole yet: it has another tag then
                        one.settled, one.readable = stored.etag, False
                        return
                    one.readable = True
                    one.sent = await self._note(stored.key, one, data, written, hits) if hits else None
                # The same again where no answer came: what was sent may yet arrive, and must be known as ours then.
                if one.sent is not None:
                    await self._write(stored.key, one.sent.data, tag)
                    self._rows_hit += one.sent.rows
                    # Somebody may write the same bytes again right away, under the tag that was just seen.
                    one.settled = one.sent = None
                    return
            one.settled = stored.etag

    async def _note(
        self, key: str, one: _Object, data: bytes, written: bytes, hits: list[dict[str, Any]]
    ) -> _Sent | None:
        """Keep what an object was, and how it is to be told that it is changed, before it is. Returns what to write."""
        # Who learned from it meanwhile can be told by its digest alone: it is put back afterwards.
        digest = _digest(written)
        if self._changed_by.setdefault(self._place(key), self) is not self:
            return None  # it was changed while this one read it
        # Kept before it is written: a write whose answer was lost must be taken back too.
        if self._kept is not None:
            await asyncio.to_thread(self._kept.keep_object, key, data, digest)
        one.undo = _Undo(data, digest)
        # Listed before it is written, too: somebody may read what was written without an answer.
        self._manifest.extend(hit | {"digest": f"sha256:{digest}"} for hit in hits)
        return _Sent(written, len({(hit["entity"], hit["event_time"]) for hit in hits}))

    async def _write(self, key: str, data: bytes, tag: str) -> None:
        """Write an object that is there as it was read, and leave its type and metadata as they are.

        Raises OtherObjectError where its owner has written it meanwhile, as far as the store can tell.
        """
        try:
            await self._objects.put(key, data, await self._objects.about(key), tag)
        except NoObjectError:  # it was deleted meanwhile
            return

    async def _before(self, key: str) -> bytes | None:
        one = self._met.get(key)
        if one is not None and one.undo is not None:
            return one.undo.original
        try:
            return await self._objects.get(key)
        except NoObjectError:
            return None

    def _changed(self) -> list[tuple[str, _Undo]]:
        """Return the objects that were changed, or may have been."""
        return [(key, one.undo) for key, one in self._met.items() if one.undo is not None]

    async def confirm(self) -> Confirmation:
        """Read one changed object back. What its owner has just written anew is changed with the next listings.

        Raises FaultError where the store cannot be read.
        """
        deadline_s = time.monotonic() + LOOK_S
        while self._error is None:
            late = time.monotonic() > deadline_s
            try:
                changed = self._changed()
                for key, kept in reversed(changed):
                    if await self._as_changed(key, kept):
                        stuck = self._stuck()
                        if stuck is not None:
                            return Confirmation(None, {"why": stuck, "rows_hit": self._rows_hit})
                        found = {"rows_hit": self._rows_hit, "objects": len(changed), "read_back": key}
                        return Confirmation(True, found)
            except FaultError:  # perhaps it is being overwritten
                if late:
                    raise
            if late:
                break
            await asyncio.sleep(LIST_EVERY_S / 2)
        why = self._error or next((one.why for _, one in self._failures()), "no changed object was read back")
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
        is_gone = not self._changed() and "kept" in undo  # the process that changed them
        if is_gone:
            for key, data, digest in UndoStore(Path(undo["kept"])).objects():
                self._met[key] = _Object(undo=_Undo(data, digest))
        errors: list[FaultError] = []
        late: list[str] = []
        """Those that are whole, though nobody knows of the write that was to change them."""
        for key, kept in self._changed():
            try:
                is_whole = await self._put_back(key, kept)
            except FaultError as error:  # the others are put back all the same
                errors.append(error)
            else:
                late += [key] if is_whole and (is_gone or self._met[key].sent is not None) else []
        if errors:
            raise errors[0]
        await self._outwait(late)
        for key, _ in self._changed():
            if self._changed_by.get(self._place(key)) is self:
                del self._changed_by[self._place(key)]

    def _place(self, key: str) -> tuple[tuple[str, str], str]:
        return self._objects.place, key

    async def _put_back(self, key: str, kept: _Undo) -> bool:
        """Put an object back that is as it was changed. Returns whether it was not changed at all."""
        with contextlib.suppress(NoObjectError, OtherObjectError):  # its owner has deleted it, or written it anew
            data, tag = await self._objects.read(key)
            if _digest(data) == kept.changed:
                await self._write(key, kept.original, tag)
            return data == kept.original
        return False

    async def _outwait(self, late: list[str]) -> None:
        """Take back what a slow store makes of writes that it gave no answer to."""
        until_s = time.monotonic() + LATE_S
        while late and time.monotonic() < until_s:
            await asyncio.sleep(LOOK_AGAIN_S)
            for key in late:
                undo = self._met[key].undo
                if undo is not None:
                    await self._put_back(key, undo)
        for key in late:
            self._met[key].sent = None

    async def absent(self) -> Confirmation:
        """No object is as it was changed."""
        left = [key for key, kept in self._changed() if await self._as_changed(key, kept)]
        return Confirmation(bool(left), {"changed_objects_left": left, "rows_hit": self._rows_hit})

    async def _as_changed(self, key: str, kept: _Undo) -> bool:
        try:
            return _digest(await self._objects.get(key)) == kept.changed
        except NoObjectError:
            return False

    def manifest(self) -> list[dict[str, Any]]:
        """Return the rows changed since the last call."""
        taken, self._manifest = self._manifest, []
        return taken


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _failing(error: FaultError) -> _Failing:
    return _Failing(time.monotonic(), str(error))


def _looked_at(task: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()
