"""One request with its answer, as it was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """One request with its answer."""

    unix_s: float
    """When it was sent, in seconds since 1970; 0 in a log that tells no times."""
    method: str
    path: str
    """With the query."""
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the request."""
    body: Any = None
    """Of the request: a text, or what its JSON holds; None where there is none."""
    unreadable: str | None = None
    """Why the body of the request cannot be written down, where that is so."""
    answer: Any = None
    """What the answer's JSON holds."""
    answer_is_json: bool = False
    took_s: float | None = None
    """How long it took; None where nobody measured that."""
    host: str = ""
    """Whom it was sent to, with the port where that is not the usual one; empty where a log does not tell."""
