"""The progress of a run, for live displays and logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

What = Literal["phase", "fault", "alert", "note", "notice", "done", "verdict"]
"""A `notice` is for the user at once, where progress is otherwise only kept: the run will take longer than usual.
A `verdict` comes after `done`, and not of every run: of others it is known when the whole suite is over."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that happened in one run, on that run's clock."""

    run: str
    at_s: float
    what: What
    text: str
    data: dict[str, Any] = field(default_factory=dict)


OnProgress = Callable[[Progress], None]
