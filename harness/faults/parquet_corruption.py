"""Rows of Parquet objects with wrong values: how `features.corrupt` changes the objects of a dataset."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from harness.faults.corruption import Corruption
from harness.faults.object_change import Before, Changed
from harness.model.datasets import DatasetSpec
from harness.model.fault import chosen


class ParquetCorruption:
    """A seeded share of the rows of each object."""

    NEEDS = "Parquet rows"

    def __init__(self, spec: DatasetSpec, corruption: Corruption, seed: int, fault: str) -> None:
        from harness.seams.parquet import ParquetRows

        self._spec = spec
        self._codec = ParquetRows()
        self._corruption = corruption
        self._seed = seed
        self._fault = fault

    async def changed(self, key: str, data: bytes, keys: list[str], before: Before) -> Changed:
        """Return an object with its chosen rows changed. Raises FaultError for one without Parquet rows."""
        return await asyncio.to_thread(self._changed, key, data)

    def _changed(self, key: str, data: bytes) -> Changed:
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
        return (self._codec.rewrite(data, changed) if hits else data), hits


def _number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)
