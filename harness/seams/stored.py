"""Rows of a key space and objects of a store as faults and probes see them, apart from the clients that read them.

Without those clients a fault can be listed and its parameters checked, whatever extras are installed.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.errors import FaultError

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What a row was and what it is to be: only the fields that differ."""

    before: Row
    after: Row


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as a listing shows it."""

    key: str
    etag: str
    size: int


class NoObjectError(FaultError):
    """There is no object under that key, or not any more."""


class OtherObjectError(FaultError):
    """The object under that key is not any more what it was when it was read."""
