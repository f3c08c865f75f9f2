"""`object.corrupt`: a seeded share of a dataset's objects is damaged, or holds what belongs to another one.

For what is not a table: model files, JSON, text, images. Objects that are there are changed, and those that are written
while the fault is in. An object is chosen by a hash of seed, fault and key.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from harness.faults.damage import Operation, inverted_bits, others_to_try, refuse_mismatched
from harness.model.errors import FaultError
from harness.model.fault import FaultKind, chosen
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.seams import Seams

if TYPE_CHECKING:
    from harness.faults.changed_objects import ChangedObjects
    from harness.faults.object_change import Before, Changed

CALL_LIMIT_S = 60.0
"""How long one call may take: a dataset may hold hundreds of objects, and each is read and written."""


class Parameters(Frozen):
    """What is done to a chosen object, and which ones are chosen."""

    operation: Operation = Field(
        description="`truncate`: its end is missing; `flip`: some bits are inverted; `empty`: no bytes are "
        "left; `other`: it holds what another object of the dataset does; `previous`: what the object before it by "
        "key does, or, written anew, what it held before; `content`: this text"
    )
    share: float = Field(1.0, gt=0, le=1, description="of objects, chosen by seed and key")
    match: str = Field("*", min_length=1, description="which objects: a pattern for their keys after the prefix")
    keep: float = Field(0.5, ge=0, lt=1, description="for `truncate`: the share of bytes that is left")
    bits: int = Field(8, ge=1, le=65536, description="for `flip`: how many")
    content: str | None = Field(None, description="for `content`: what each object holds then")

    @model_validator(mode="after")
    def _content_where_it_is_needed(self) -> Parameters:
        refuse_mismatched(self, self.operation, self.content)
        return self


class _Damage:
    """Decides object by object, from nothing but the seed, the key and what the dataset holds."""

    NEEDS = "bytes"

    def __init__(self, prefix: str, parameters: Parameters, seed: int, fault: str) -> None:
        self._prefix = prefix
        self._given = parameters
        self._seed = seed
        self._fault = fault
        self._held: dict[str, bytes] = {}
        """What each object held when it was last met, for `previous`."""

    async def changed(self, key: str, data: bytes, keys: list[str], before: Before) -> Changed:
        """Return what an object is changed to."""
        held = self._held.get(key)
        if self._given.operation == "previous":
            self._held[key] = data
        if not self._matches(key) or not chosen(self._given.share, self._seed, self._fault, key):
            return data, []
        written = await self._damaged(key, data, keys, before, held)
        if written is None or written == data:
            return data, []
        about = {"object": key, "entity": None, "event_time": None, "field": None}
        return written, [about | {"bytes_before": len(data), "bytes_after": len(written)}]

    async def _damaged(
        self, key: str, data: bytes, keys: list[str], before: Before, held: bytes | None
    ) -> bytes | None:
        """Return what the object is to hold; None where there is nothing of that kind. `held`: what it held before."""
        match self._given.operation:
            case "truncate":
                return data[: int(len(data) * self._given.keep)]
            case "flip":
                return self._flipped(key, data)
            case "empty":
                return b""
            case "content":
                return str(self._given.content).encode()
            case "other":
                matching = [other for other in keys if self._matches(other)]
                for other in others_to_try(self._seed, self._fault, key, matching):
                    found = await before(other)
                    if found is not None and found != data:
                        return found
                return None
            case "previous":
                if held is not None:  # it was written anew while the fault is in
                    return held
                earlier = [other for other in keys if other < key and self._matches(other)]
                return await before(earlier[-1]) if earlier else None

    def _flipped(self, key: str, data: bytes) -> bytes:
        changed = bytearray(data)
        for bit in inverted_bits(self._seed, self._fault, key, len(data), self._given.bits):
            changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    def _matches(self, key: str) -> bool:
        return fnmatchcase(key.removeprefix(self._prefix), self._given.match)


def _make(step: FaultStep, seams: Seams, seed: int) -> ChangedObjects:
    from harness.faults.changed_objects import ChangedObjects  # it brings asyncio, which a check does not need

    dataset = step.target.dataset
    if dataset is None:
        raise FaultError("object.corrupt acts on a dataset")
    parameters = Parameters.model_validate(step.parameters)
    damage = _Damage(seams.dataset_spec(dataset).prefix, parameters, seed, step.id)
    return ChangedObjects(seams, dataset, damage, step.id)


KIND = FaultKind(
    kind="object.corrupt",
    summary="a seeded share of a dataset's objects is damaged, or holds what belongs to another",
    targets=("dataset",),
    parameters=Parameters,
    confirmed_by="a changed object is read back",
    restored="objects that still are as changed are restored byte for byte; what their owner writes at that very "
    "moment stays, where the store knows `If-Match`",
    certifies="what readers do with a broken or a wrong file: checks of size and digest, the last good version kept",
    not_certified="wrong values in a file that is whole (`features.corrupt`), and a file that is read once and kept",
    make=_make,
    changes="rows",
    call_limit_s=CALL_LIMIT_S,
)
