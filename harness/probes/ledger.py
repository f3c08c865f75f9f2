"""Reads a stack's own ledger after a run: examples by partition, lineage of versions, promotions, checkpoints.

Facts only, read directly from the stores and never through a faulted link; the judge draws the conclusions. A part that
cannot be read has an error instead, and the clauses that rest on it are unknown.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from pydantic import ValidationError

from harness.model.datasets import Integrity
from harness.model.errors import FaultError, HarnessError
from harness.model.hitrows import HitRow
from harness.model.ledger import (
    Checkpoint,
    Checkpoints,
    Examples,
    LedgerPart,
    Lineage,
    ModelVersion,
    Part,
    Promotion,
    Promotions,
    not_of_the_form,
)
from harness.model.readings import Evidence
from harness.model.units import Unit
from harness.model.wording import in_short
from harness.probes.http import get
from harness.probes.poison import Poison, null
from harness.probes.reader import NoAnswerError
from harness.probes.strict_json import read_json
from harness.probes.workload_file import Workload
from harness.seams import Seams

PART_S = 10.0


class Ledger:
    """Reads the ledger of one run."""

    def __init__(self, seams: Seams, workload: Workload | None, hits: set[HitRow]) -> None:
        self._seams = seams
        self._spec: Integrity = seams.stack.integrity
        self._poison = Poison(seams.stack, workload, hits)
        self._fetched: asyncio.Future[tuple[Promotion, ...]] | None = None
        self._objects: dict[str, asyncio.Future[bytes]] = {}

    async def read(self) -> list[Evidence]:
        """Return the evidence of every part that the stack describes. All are read at once."""
        parts: list[tuple[Part, Callable[[], Awaitable[LedgerPart]]]] = []
        if self._spec.checkpoints is not None:
            parts.append(("checkpoints", self._checkpoints))
        if self._spec.promotions is not None:
            parts.append(("promotions", self._promotions))
        if self._spec.store is not None and self._spec.lineage is not None:
            parts.append(("lineage", self._lineage))
        if self._spec.store is not None and self._spec.examples is not None:
            parts.append(("examples", self._examples))
        return list(await asyncio.gather(*(self._part(name, read) for name, read in parts)))

    async def _part(self, name: Part, read: Callable[[], Awaitable[LedgerPart]]) -> Evidence:
        try:
            async with asyncio.timeout(PART_S):
                return Evidence(check=name, data=await read())
        except TimeoutError:
            return Evidence(check=name, error=f"it could not be read within {PART_S:g} s")
        except (HarnessError, NoAnswerError) as error:
            return Evidence(check=name, error=str(error))
        except ValidationError as error:
            return Evidence(check=name, error=not_of_the_form(in_short(error)))
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            return Evidence(check=name, error=not_of_the_form(f"{type(error).__name__}: {error}"))

    async def _promotions(self) -> Promotions:
        return Promotions(history=await self._history())

    async def _history(self) -> tuple[Promotion, ...]:
        """Fetch the promotions once, for both parts that need them."""
        if self._fetched is None:
            self._fetched = asyncio.ensure_future(self._fetch_history())
        return await asyncio.shield(self._fetched)

    async def _fetch_history(self) -> tuple[Promotion, ...]:
        assert self._spec.promotions is not None
        async with aiohttp.ClientSession() as session:
            page = await get(session, self._seams.backend.resolve(self._spec.promotions.url))
        return Promotions.model_validate({"history": read_json(page)}).history

    async def _lineage(self) -> Lineage:
        assert self._spec.lineage is not None
        store = self._store()
        history = await self._history() if self._spec.promotions is not None else ()
        promoted = None
        if self._spec.promotions is not None:
            promoted = {entry.version for entry in history if entry.action in ("promote", "rollback")}
        stored = await store.list(self._spec.lineage.prefix)
        pages = await asyncio.gather(*(store.get(one.key) for one in stored))
        versions = [_version(read_json(page)) for page in pages]
        keys = sorted({part.key for version in versions for part in version.trained_on})
        now = dict(zip(keys, await asyncio.gather(*(self._object(key) for key in keys)), strict=True))
        poisoned, untraced = await self._traced(now)
        digests = {key: f"sha256:{hashlib.sha256(data).hexdigest()}" for key, data in now.items()}
        known = [_checked(version, promoted, digests) for version in versions]
        return Lineage(versions=tuple(sorted(known, key=lambda v: v.version)), poisoned=poisoned, untraced=untraced)

    async def _traced(self, partitions: dict[str, bytes]) -> tuple[dict[str, tuple[str, ...]] | None, str | None]:
        """Return, by partition, the examples that hold what a fault wrote, and why there may be more."""
        if not self._poison.can_be_told:
            return None, self._poison.untraced
        found: dict[str, tuple[str, ...]] = {}
        untraced = self._poison.untraced
        for key, data in partitions.items() if self._poison.by_row else ():
            ids, why = await asyncio.to_thread(self._look, data)
            untraced = untraced or why
            if ids:
                found[key] = tuple(ids)
        return found, untraced

    def _look(self, data: bytes) -> tuple[list[str], str | None]:
        return self._poison.look(_rows(data))

    async def _examples(self) -> Examples:
        assert self._spec.examples is not None
        read_unix = time.time()
        beside = self._spec.quarantine
        prefixes = [self._spec.examples.prefix, *([beside.prefix] if beside is not None else [])]
        found = await asyncio.gather(*(self._ids(prefix) for prefix in prefixes))
        quarantined = found[1][0] if beside is not None else {}
        return Examples(
            training=found[0][0],
            quarantine=quarantined,
            settled_until=max((moment for _, matured in found for moment in matured.values()), default=None),
            due_until=self._due_until(read_unix),
            matured=found[0][1],
        )

    def _due_until(self, unix: float) -> float | None:
        """Return until when, in event time, examples must have been written at a moment of the wall clock."""
        assert self._spec.examples is not None
        clock, within = self._seams.clock, self._spec.examples.within
        if clock is None:
            return None
        if within.unit is Unit.WALL:
            return clock.event_at(unix - within.value)
        return clock.event_of_active(clock.active(clock.event_at(unix)) - within.value)

    async def _ids(self, prefix: str) -> tuple[dict[str, tuple[str, ...]], dict[str, float]]:
        """Return the ids in each partition, and when the last outcome in it was known."""
        assert self._spec.examples is not None
        store = self._store()
        keys = [stored.key for stored in await store.list(prefix)]
        pages = await asyncio.gather(*(self._object(key) for key in keys))
        found: dict[str, tuple[str, ...]] = {}
        matured: dict[str, float] = {}
        for key, data in zip(keys, pages, strict=True):
            ids, last = await asyncio.to_thread(_ids_of, data, self._spec.examples.id)
            found[key] = tuple(ids)
            if last is not None:
                matured[key] = last
        return found, matured

    async def _checkpoints(self) -> Checkpoints:
        assert self._spec.checkpoints is not None
        done = await self._seams.backend.run_job(self._spec.checkpoints.command, PART_S - 1.0)
        if done.exit_code != 0:
            raise FaultError(f"the restore check exited with {done.exit_code}: {done.stderr.strip()[-300:]}")
        lines = [read_json(line) for line in done.stdout.splitlines() if line.strip()]
        return Checkpoints(checkpoints=tuple(Checkpoint.model_validate(line) for line in lines))

    async def _object(self, key: str) -> bytes:
        """Fetch an object once, for all parts that need it."""
        if key not in self._objects:
            self._objects[key] = asyncio.ensure_future(self._store().get(key))
        return await asyncio.shield(self._objects[key])

    def _store(self) -> Any:
        assert self._spec.store is not None
        return self._seams.objects(self._spec.store.service, self._spec.store.bucket)


def _version(document: Any) -> ModelVersion:
    version = ModelVersion.model_validate(document)
    missing = sorted({"digest", "parent", "trained_until"} - version.model_fields_set)
    if missing:
        raise KeyError(missing[0])
    return version


def _checked(version: ModelVersion, history: set[int] | None, digests: dict[str, str]) -> ModelVersion:
    """Return a version with what was read beside it: whether it was promoted, and its partitions' digests now."""
    parts = tuple(part.model_copy(update={"digest_now": digests[part.key]}) for part in version.trained_on)
    promoted = version.promoted
    if history is not None:
        # A document that says so, of a version that the history does not have: nobody knows which is right.
        promoted = True if version.version in history else None if version.promoted else False
    return version.model_copy(update={"promoted": promoted, "trained_on": parts})


def _ids_of(data: bytes, column: str) -> tuple[list[str], int | None]:
    """Return the ids in an object and the last moment at which one of its rows matured."""
    from harness.seams.parquet import ParquetRows

    columns = ParquetRows().columns(data, (column, "matured_at"))
    if column not in columns:
        raise KeyError(column)
    matured = [int(moment) for moment in columns.get("matured_at", ()) if not null(moment)]
    return [str(one) for one in columns[column]], max(matured, default=None)


def _rows(data: bytes) -> list[dict[str, Any]]:
    from harness.seams.parquet import ParquetRows

    return ParquetRows().read(data)
