"""A starter: one scenario to begin with, as its family describes it, before the clauses are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.onboarding.discovery.starters.rules import RuleFacts

ROUND_TRIPS = 3
"""So many a request may take on a new connection, which is opened and greeted first."""
LONGEST_S = 300
"""The longest fault that is written. What takes longer to show is for a test configuration with shorter times."""


@dataclass(frozen=True)
class Starter:
    """What is broken, what could feel it, and what its owner has to look at."""

    condition: str
    """The word for what happens: `slow`. With `subject` it makes the name."""
    subject: str
    """What it happens to."""
    family: str
    """`store`, `producer`, `server` or `alert`: the folder in the standard suite."""
    summary: str
    covers: Sequence[str]
    hits: Sequence[str]
    """The services that the fault acts on."""
    fault: Mapping[str, Any]
    """`fault`, `target` and `with` of its step."""
    edit: Sequence[str]
    """What to look at, for its header."""
    felt_at: frozenset[str] | None = None
    """Where work has to be asked for, so that anything could feel it; None where what is hit shows it by itself."""
    missed: Sequence[str] = ()
    """Whose work is missing then, where that is not whose services are hit."""
    breaks: bool = True
    """Whether what is asked of the services that are hit must break, and so cannot be held to stay."""
    may_fail: bool = False
    """Whether the fault by itself may keep requests from being answered in time."""
    silent: bool = False
    """Whether whoever asks waits in vain, a monitor too, instead of being refused."""
    heals_itself: bool = False
    """Whether the stack has to recover while the fault is still in."""
    may_die: Sequence[str] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    bounds: Sequence[Mapping[str, Any]] = ()
    """Bounds of its own that the fault must break, each with its probe."""
    detects: Sequence[RuleFacts] = ()
    """The rules that must fire."""
    guarantees: Sequence[str] = ()
    """Guarantees about data that must hold."""
    more_steps: Sequence[Mapping[str, Any]] = ()
    """Further faults in its timeline."""
    lasts_s: int = 20
    begins_after_s: int = 0
    """How long it may take until the fault is in, of the time that it lasts."""

    @property
    def first_name(self) -> str:
        """Its name among the first scenarios."""
        return f"{self.condition}-{self.subject}"

    @property
    def standard_name(self) -> str:
        """Its name in the standard suite: by the family, what happens, and what it happens to."""
        return f"{self.family}-{self.condition}-{self.subject}"


@dataclass(frozen=True, slots=True)
class Missing:
    """A starter that was not written: why, and what it would take."""

    condition: str
    subject: str
    why: str
    remedy: str = ""
