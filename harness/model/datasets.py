"""Where the data of a stack lies: what faults on data act on, and the evidence of data integrity."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from harness.model.fields import Command, Frozen, Name, Url
from harness.model.units import Quantity, Unit


def _a_duration(value: Quantity) -> Quantity:
    if value.unit not in (Unit.WALL, Unit.EVENT):
        raise ValueError("an age is needed here, such as 5s or 90min event")
    return value


Age = Annotated[Quantity, AfterValidator(_a_duration)]


class DatasetSpec(Frozen):
    """Objects under one prefix that a fault may target by name."""

    service: Name
    bucket: str
    prefix: str
    entity: str = Field("entity", description="the column that names whom a row is about")
    stamp: str = Field("event_time", description="the column that holds a row's event time")
    access_key: str | None = Field(None, description="without it, the keys of `integrity.store` on the same service")
    secret_key: str | None = None
    summary: str = ""

    @model_validator(mode="after")
    def _both_keys(self) -> DatasetSpec:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together")
        return self


class KeyspaceSpec(Frozen):
    """Keys under one prefix of a Redis-protocol store that a fault may target by name."""

    service: Name
    prefix: str
    db: Annotated[int, Field(ge=0)] = 0
    username: str | None = None
    password: str | None = None
    stamps: dict[str, str] = Field({}, description="each value field to the field that holds its event time")
    summary: str = ""


class StoreSpec(Frozen):
    """The object store that holds the ledger."""

    service: Name
    bucket: str
    access_key: str = ""
    secret_key: str = ""


class ExamplesSpec(Frozen):
    """Training examples: objects under a prefix, one row an example, identified by a column.

    `within` is how long after its answer and its outcome are known an example is written at the latest.
    """

    prefix: str
    id: str = "id"
    within: Age = Quantity(value=6 * 3600.0, unit=Unit.EVENT)


class PrefixSpec(Frozen):
    """Objects under a prefix."""

    prefix: str


class UrlSpec(Frozen):
    """An address that answers with JSON."""

    url: Url


class CheckSpec(Frozen):
    """A command of the stack's own tooling that prints one JSON line for each thing it checked."""

    command: Command


class Integrity(Frozen):
    """Where the evidence lies that no example was lost, doubled or poisoned and that every model can be traced."""

    store: StoreSpec | None = None
    examples: ExamplesSpec | None = None
    quarantine: PrefixSpec | None = None
    lineage: PrefixSpec | None = None
    promotions: UrlSpec | None = None
    checkpoints: CheckSpec | None = None
    models: PrefixSpec | None = None

    @property
    def has_artefacts(self) -> bool:
        """Whether the artefact of a model can be read, so that a score can be computed again."""
        return self.store is not None and self.models is not None
