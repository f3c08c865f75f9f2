"""Evidence about data: what a stack's own ledger contains after a run, one record for each part of it.

The ledger's own documents may have more fields; those are left out. Times here are event time. docs/ledger.md has their
form.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from harness.model.fields import Whole

NO_TRUTH = "what the fault wrote can be told from the truth with a made workload only"
"""Why rows cannot be traced where nothing says what is right."""
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
    matured: dict[str, float] = {}
    """Of each partition, the newest event time at which an outcome in it was known."""


class TrainedOn(Recorded):
    """One partition that a model version learned: its digest then, and its digest when the ledger was read.

    A digest that is None was not recorded: nothing follows from it.
    """

    key: str
    digest: str | None = None
    digest_now: str | None = None

    @property
    def unchanged(self) -> bool | None:
        """Whether the partition still is as it was learned; None where that cannot be told."""
        return same_bytes(self.digest, self.digest_now)


class ModelVersion(Recorded):
    """One model version and what it learned from."""

    version: Whole
    digest: str | None = None
    parent: Whole | None = None
    trained_until: Whole | str | None = None
    promoted: bool | None = None
    """None where nothing says whether it ever was."""
    trained_on: tuple[TrainedOn, ...]

    @property
    def parent_recorded(self) -> bool:
        """Whether the ledger records the parent at all; a first version has none."""
        return "parent" in self.model_fields_set


class Lineage(Recorded):
    """Every model version, and the ids of examples that still hold a value which a fault wrote, by partition.

    `poisoned` is None where that cannot be told, and has what was found where `untraced` says why there may be more.
    """

    PART: ClassVar[Part] = "lineage"
    versions: tuple[ModelVersion, ...]
    poisoned: dict[str, tuple[str, ...]] | None = {}
    untraced: str | None = None


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


def same_bytes(digest: str | None, other: str | None) -> bool | None:
    """Whether two digests are of the same bytes; None where one is missing, or they are not of one kind.

    The kind is what stands before the colon, such as `sha256`.
    """
    kinds = [one.lower().rpartition(":")[0] if one is not None else "" for one in (digest, other)]
    if not kinds[0] or kinds[0] != kinds[1]:
        return None
    return str(digest).lower() == str(other).lower()


def not_of_the_form(why: str) -> str:
    """Say that a part is not of the form that is documented, and where that is."""
    return f"not of the documented form: {why}; docs/ledger.md has the form"


LedgerPart = Examples | Lineage | Checkpoints | Promotions
PARTS: dict[str, type[LedgerPart]] = {part.PART: part for part in (Examples, Lineage, Checkpoints, Promotions)}
