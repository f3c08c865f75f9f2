"""Evidence about data: what a stack's own ledger contains after a run, one record for each part of it.

The ledger's own documents may have more fields; those are left out. Times here are event time.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from harness.model.fields import Whole

Part = Literal["examples", "lineage", "checkpoints", "promotions"]


class Recorded(BaseModel):
    """A record read from documents that the stack wrote."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True)


class Examples(Recorded):
    """Ids of the training examples, and of those in quarantine, by partition."""

    PART: ClassVar[Part] = "examples"
    training: dict[str, tuple[str, ...]]
    quarantine: dict[str, tuple[str, ...]] = {}
    settled_until: float | None
    """The newest event time at which an outcome in them was known."""
    due_until: float | None = None
    """Examples whose answer and outcome were known by then must have been written, by the stack's own clock."""


class TrainedOn(Recorded):
    """One partition that a model version learned: its digest then, and its digest when the ledger was read."""

    key: str
    digest: str | None = None
    digest_now: str | None = None


class ModelVersion(Recorded):
    """One model version and what it learned from."""

    version: Whole
    digest: str | None = None
    parent: Whole | None = None
    trained_until: Whole | str | None = None
    promoted: bool = False
    trained_on: tuple[TrainedOn, ...]

    @property
    def parent_recorded(self) -> bool:
        """Whether the ledger records the parent at all; a first version has none."""
        return "parent" in self.model_fields_set


class Lineage(Recorded):
    """Every model version, and the ids of examples that still hold a value which a fault wrote, by partition.

    None where that cannot be told.
    """

    PART: ClassVar[Part] = "lineage"
    versions: tuple[ModelVersion, ...]
    poisoned: dict[str, tuple[str, ...]] | None = {}


class Checkpoint(Recorded):
    """One checkpoint and whether it could be restored."""

    key: str
    ok: bool
    error: str | None = None


class Checkpoints(Recorded):
    """Every checkpoint."""

    PART: ClassVar[Part] = "checkpoints"
    checkpoints: tuple[Checkpoint, ...]


class Promotion(Recorded):
    """One entry of the registry's history."""

    seq: Whole
    version: Whole
    action: str
    digest: str | None = None
    at_event: float | None = None
    reason: str | None = None


class Promotions(Recorded):
    """The registry's history."""

    PART: ClassVar[Part] = "promotions"
    history: tuple[Promotion, ...]


LedgerPart = Examples | Lineage | Checkpoints | Promotions
PARTS: dict[str, type[LedgerPart]] = {part.PART: part for part in (Examples, Lineage, Checkpoints, Promotions)}
