"""`features.corrupt`: a seeded share of feature rows gets wrong values: scaled, null, swapped or with the sign turned.

In a key space, each chosen row is changed just after it is written, until revert. In a dataset, chosen rows of its
Parquet objects are changed in place, those written later too. A row is chosen by a hash of seed, fault, entity and
event time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.faults.corruption import Corruption, Values
from harness.model.errors import FaultError, did_you_mean
from harness.model.fault import FaultKind, chosen
from harness.model.faultstep import FaultStep
from harness.seams import Seams
from harness.seams.stored import Change, Row

if TYPE_CHECKING:
    from harness.faults.changed_objects import ChangedObjects
    from harness.faults.rewriting import Rewriting
    from harness.seams.keyspace import Keyspace

NULL = "nan"
"""How a null is written into a store that knows only text."""
CALL_LIMIT_S = 60.0
"""How long one call may take: a dataset may hold hundreds of objects, and each is read and written."""


class _Rows:
    """Decides row by row, from nothing but the seed and what the row is."""

    def __init__(self, keyspace: Keyspace, corruption: Corruption, seed: int, fault: str) -> None:
        self._keyspace = keyspace
        self._corruption = corruption
        self._seed = seed
        self._fault = fault

    def decide(self, key: str, row: Row) -> Change | None:
        stamps = self._keyspace.spec.stamps
        entity = self._keyspace.entity(key)
        live: Values = {}
        for field, stamp in stamps.items():
            at = _number(row[stamp]) if field in row and stamp in row else None
            if at is not None:
                event_time = int(at)
                if chosen(self._corruption.share, self._seed, self._fault, entity, event_time):
                    live[field] = _number(row[field])
        changed = self._corruption.corrupt(live)
        if not changed:
            return None
        after = {f: NULL if v is None else repr(v) for f, v in changed.items()}
        return Change({f: row[f] for f in after}, after)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _make(step: FaultStep, seams: Seams, seed: int) -> Rewriting | ChangedObjects:
    from harness.faults.changed_objects import ChangedObjects  # they bring asyncio, which a check does not need
    from harness.faults.parquet_corruption import ParquetCorruption
    from harness.faults.rewriting import Rewriting

    corruption = Corruption.model_validate(step.parameters)
    if step.target.dataset is not None:
        dataset = step.target.dataset
        change = ParquetCorruption(seams.dataset_spec(dataset), corruption, seed, step.id)
        return ChangedObjects(seams, dataset, change, step.id)
    name = str(step.target.keyspace)
    stamped = seams.keyspace_spec(name).stamps
    for field in corruption.fields:
        if field not in stamped:
            raise FaultError(f"no field {field!r} in the key space {name}", remedy=did_you_mean(field, stamped))
    keyspace = seams.keyspace(name)
    return Rewriting(keyspace, _Rows(keyspace, corruption, seed, step.id).decide, kept=seams.kept(step.id))


KIND = FaultKind(
    kind="features.corrupt",
    summary="a seeded share of feature rows gets wrong values",
    targets=("keyspace", "dataset"),
    parameters=Corruption,
    confirmed_by="changed rows, or objects, are read back",
    restored="rows that still are as changed get their values back; objects are restored byte for byte",
    certifies="detection of wrong values, and the guards that keep them out of training and of answers",
    not_certified="changes of schema or type, and objects that cannot be read",
    make=_make,
    changes="rows",
    call_limit_s=CALL_LIMIT_S,
)
