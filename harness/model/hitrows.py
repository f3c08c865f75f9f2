"""A row that a fault hit, as far as the fault's manifest tells which: what its way into a model can be traced by.

A row is known again by entity, event time and field. An object is known again by the digest of what the fault wrote:
that tells who read it meanwhile, even after the fault has put the original back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class HitRow(NamedTuple):
    """One row of a manifest. None stands for what the manifest does not say."""

    entity: str | None
    event_time: int | None
    field: str | None
    object: str | None = None
    digest: str | None = None
    """Of the object as the fault wrote it, such as `sha256:…`."""
    dataset: str | None = None
    """The dataset that the fault aims at, if it is one."""

    @classmethod
    def of(cls, row: Mapping[str, Any], dataset: str | None = None) -> HitRow:
        """Read a row of a manifest."""
        text = {name: _text(row.get(name)) for name in ("entity", "field", "object", "digest")}
        return cls(event_time=_whole(row.get("event_time")), dataset=dataset, **text)

    @property
    def identified(self) -> bool:
        """Whether the row would be known again among others."""
        return self.entity is not None and self.event_time is not None and self.field is not None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None
