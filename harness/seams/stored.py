"""Objects of a store as faults and probes see them, apart from the client that reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.errors import FaultError


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as a listing shows it."""

    key: str
    etag: str
    size: int


class NoObjectError(FaultError):
    """There is no object under that key, or not any more."""
