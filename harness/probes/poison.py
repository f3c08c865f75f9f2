"""Looks for what faults wrote in the partitions that a stack's models learned from.

A row is looked for in the examples, by entity, event time of its feature group, and field, and compared with the truth
of a made workload. That needs examples that carry all of it; where something is missing the row is not traced, and
`untraced` says why. Rows of the partitions themselves are left out: the fault puts those objects back before anybody
looks, and the digest of what it wrote tells which version learned from them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from harness.model.datasets import DatasetSpec, ExamplesSpec
from harness.model.hitrows import HitRow
from harness.model.ledger import NO_TRUTH
from harness.model.stack import StackDescription
from harness.probes.workload_file import FeatureSpec, Workload

STAMP_ENDING = "__t"


class _UntracedError(Exception):
    """Something of a row that would be needed to trace what was hit is not there."""


class Poison:
    """What the faults of one run hit, to be looked for in partitions."""

    def __init__(self, stack: StackDescription, workload: Workload | None, hits: Iterable[HitRow]) -> None:
        self._stack = stack
        self._workload = workload
        self._features = workload.features if workload is not None else {}
        self._by_row: set[tuple[str | None, int | None, str | None]] = set()
        self._fields: dict[str, FeatureSpec] = {}
        self.untraced: str | None = None
        """Why some of what the faults hit may be in a partition and not have been found."""
        for hit in hits:
            try:
                self._take(hit)
            except _UntracedError as why:
                self.untraced = min(str(why), self.untraced or str(why))

    def _take(self, hit: HitRow) -> None:
        if self._in_a_partition(hit):
            if hit.digest is None:
                raise _UntracedError(f"a fault changed {hit.object or 'a partition'} and does not say what it wrote")
            return
        if not hit.identified:
            raise _UntracedError(f"a row was hit that has no {_missing(hit)}")
        self._by_row.add((hit.entity, hit.event_time, hit.field))
        if self._workload is None:
            raise _UntracedError(NO_TRUTH)
        if hit.field not in self._features:
            raise _UntracedError(f"the workload does not say what {hit.field} truly was")
        self._fields[hit.field] = self._features[hit.field]

    @property
    def can_be_told(self) -> bool:
        """Whether what was hit can be told from what is right at all."""
        return not self._by_row or self._workload is not None

    def _in_a_partition(self, hit: HitRow) -> bool:
        """Whether a row lies in an object that versions learn from as it is."""
        examples, dataset = self._stack.integrity.examples, self._stack.datasets.get(hit.dataset or "")
        if examples is None or (dataset is None and hit.object is None):
            return False
        if dataset is not None and not self._in_the_ledger_s_store(dataset):
            return False
        if hit.object is not None:
            return hit.object.startswith(examples.prefix)
        return dataset is not None and _overlap(dataset, examples)

    def _in_the_ledger_s_store(self, dataset: DatasetSpec) -> bool:
        store = self._stack.integrity.store
        return store is not None and (dataset.service, dataset.bucket) == (store.service, store.bucket)

    def look(self, rows: list[dict[str, Any]]) -> tuple[list[str], str | None]:
        """Return the ids of examples that still hold a value that a fault wrote, and why there may be more."""
        examples = self._stack.integrity.examples
        if examples is None:
            return [], "the stack describes no examples"
        found, untraced = [], None
        for row in rows:
            for name, spec in self._fields.items():
                try:
                    wrong = self._wrong(row, name, spec)
                except _UntracedError as why:
                    untraced = str(why)
                    continue
                if wrong:
                    found.append(str(row[examples.id]))
                    break
        return found, untraced

    @property
    def by_row(self) -> bool:
        """Whether there is anything to look for in rows."""
        return bool(self._fields)

    def _wrong(self, row: dict[str, Any], name: str, spec: FeatureSpec) -> bool:
        stamp_column = spec.group + STAMP_ENDING
        for column in ("entity", stamp_column, name):
            if column not in row:
                raise _UntracedError(f"the examples have no column {column}")
        entity, stamp, value = row["entity"], row[stamp_column], row[name]
        if null(entity) or null(stamp):
            if null(value):
                return False  # nothing was learned of it
            raise _UntracedError(f"an example has a {name} without its {'entity' if null(entity) else stamp_column}")
        if (str(entity), int(stamp), name) not in self._by_row:
            return False
        assert self._workload is not None
        truth = self._workload.truth.as_of(str(entity), spec.group, int(stamp))
        if truth is None or name not in truth:
            raise _UntracedError(f"the workload does not say what {name} of {entity} truly was at {int(stamp)}")
        return not _equal(value, truth[name], spec)


def _missing(hit: HitRow) -> str:
    named = {"entity": hit.entity, "event time": hit.event_time, "field": hit.field}
    return next(name for name, value in named.items() if value is None)


def _overlap(dataset: DatasetSpec, examples: ExamplesSpec) -> bool:
    return dataset.prefix.startswith(examples.prefix) or examples.prefix.startswith(dataset.prefix)


def null(value: Any) -> bool:
    """Whether a cell is empty: tools that know no empty number write one that is none."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _equal(value: Any, true: float | None, spec: FeatureSpec) -> bool:
    if null(value) or true is None:
        return null(value) and true is None
    return bool(abs(value - true) <= spec.atol + spec.rtol * abs(true))
