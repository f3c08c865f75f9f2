"""What a fault is: something that acts at a seam, measures its own effect there, and can be reverted.

A fault is one file in `harness/faults/`: a `FaultKind` (its name, its targets, its parameters) whose `make` gives a
`Fault` bound to the seams of one run. It never judges, and it never checks whether the stack coped. Each of its choices
is a hash of (seed, fault, what is decided), never of the order in which things arrive: one choice never shifts another,
and the same seed makes the same decision for every row that two runs both saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen

NO_TRAFFIC = "no traffic of"
"""How the `why` of a fault begins that is in effect, and that nothing met."""


Changes = Literal["nothing", "rows", "anything"]
"""What a fault changes in the stack's data: nothing, rows that its manifest lists, or nobody knows what."""


class NoParameters(Frozen):
    """For faults that have nothing to set."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What was measured at the seam: whether the effect was there; None where it could not be measured."""

    landed: bool | None
    evidence: dict[str, Any] = field(default_factory=dict)


class Fault(Protocol):
    """One fault of one run. Every call has a deadline set by the runner; all of them may be called again."""

    async def prepare(self) -> dict[str, Any]:
        """Look at the target and return, as data, all that `revert` needs. Changes nothing. Raises FaultError."""

    async def inject(self) -> None:
        """Put the fault in. Raises FaultError."""

    async def confirm(self) -> Confirmation:
        """Measure the effect at the seam, now. Called until it is confirmed, and repeatedly until revert."""

    async def revert(self, undo: dict[str, Any]) -> None:
        """Take the fault out, from the undo data alone. Harmless where it is out already. Raises FaultError."""

    async def absent(self) -> Confirmation:
        """Measure, now, that the fault is gone: `landed` False means gone."""

    def manifest(self) -> list[dict[str, Any]]:
        """Return the rows hit since the last call, for faults that change data: entity, event_time, field, …

        Rows of an object have its key as `object`, and as `digest` the SHA-256 of the object as the fault wrote it
        (`sha256:…`): it tells who read it before it was put back.
        """


@dataclass(frozen=True, slots=True)
class FaultKind:
    """An entry of the table of faults."""

    kind: str
    summary: str
    targets: tuple[str, ...]
    parameters: type[Frozen]
    make: Callable[[FaultStep, Any, int], Fault]
    """`make(step, seams, seed)`: `seams` gives the handles of this run, see `harness.seams`."""
    confirmed_by: str = ""
    """For the reference, as are the next three: what must be measured for it to count as confirmed."""
    restored: str = ""
    """What its revert restores."""
    certifies: str = ""
    """What a stack that passes has shown."""
    not_certified: str = ""
    """What one might think it has shown, and has not."""
    call_limit_s: float | None = None
    """How long one call of it may take; the runner's own limits where it is None or below them."""
    in_flight_s: float | Callable[[FaultStep], float] = 5.0
    """How long what it has asked others to do may go on after the process that asked has died."""
    by_answers: bool = False
    """Whether it is confirmed by answers over its links: it never is where the service answers no request of ours."""
    in_containers: bool = False
    """Whether it can be put in only where the stack runs in containers."""
    each_replica: bool = False
    """Whether it acts on each replica of a service by itself, so that a target may name some of them."""
    restarts: bool | Callable[[FaultStep], bool] = False
    """Whether the containers that it hits end, and are started again."""
    changes: Changes | Callable[[FaultStep], Changes] = "anything"
    """What it changes in the stack's data. A kind that does not say so may have changed anything."""

    def may_be_in_flight_s(self, step: FaultStep) -> float:
        """Return how long a call of a step may go on after the process that made it has died."""
        return self.in_flight_s(step) if callable(self.in_flight_s) else self.in_flight_s

    def may_restart(self, step: FaultStep) -> bool:
        """Whether a step ends the containers that it hits, so that they are started again."""
        return self.restarts(step) if callable(self.restarts) else self.restarts

    def untold(self, step: FaultStep) -> str | None:
        """Say why nobody can tell what data a step changes; None where its manifest has it all."""
        changes = self.changes(step) if callable(self.changes) else self.changes
        return f"the fault {self.kind} does not report what data it changed" if changes == "anything" else None


def draw(seed: int, *what: object) -> float:
    """Return a number in [0, 1) that depends on nothing but the seed and what is decided."""
    text = "\x1f".join((str(seed), *map(str, what)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64


def chosen(share: float, seed: int, *what: object) -> bool:
    """Return whether this one is among the share that is hit."""
    return draw(seed, *what) < share
