"""A value that was found out, and the reason for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Guess:
    """A value and why it is believed. `sure` where the files say it outright."""

    value: Any
    why: str
    sure: bool = False
