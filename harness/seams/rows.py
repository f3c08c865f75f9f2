"""Rows of a key space as faults see them, apart from the client that reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What a row was and what it is to be: only the fields that differ."""

    before: Row
    after: Row
