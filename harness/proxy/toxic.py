"""A toxic of a proxy: its name, stream, toxicity and attributes, as the API shows them.

Which connections it strikes is a seeded choice by the connection's ordinal, so changing the toxicity from 0.3 to 0.6
keeps those that were struck and adds others.
"""

import struct
from typing import TYPE_CHECKING, Any

from harness.proxy.chance import Chance
from harness.proxy.tally import Tally
from harness.proxy.toxics.stage import Stage

if TYPE_CHECKING:
    from harness.proxy.leases import Claim

UPSTREAM, DOWNSTREAM = "upstream", "downstream"


class Toxic:
    """One entry of a proxy's list of toxics."""

    __slots__ = ("chance", "claim", "kind", "name", "stream", "tally", "toxicity", "type", "values")

    def __init__(
        self,
        name: str,
        kind: type[Stage],
        type_: str,
        stream: str,
        toxicity: float,
        values: dict[str, Any],
        chance: Chance,
    ) -> None:
        self.name = name
        self.kind = kind
        self.type = type_
        self.stream = stream
        self.toxicity = toxicity
        self.values = values
        self.chance = chance
        self.tally = Tally()
        self.claim: Claim | None = None

    def strikes(self, ordinal: int) -> bool:
        return self.toxicity >= 1 or self.chance.unit(ordinal) < self.toxicity

    def shown(self) -> dict[str, Any]:
        shown = {
            "attributes": dict(self.values),
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": _single(self.toxicity),
        }
        return shown if self.claim is None else {**shown, **self.claim.shown()}


def _single(value: float) -> float:
    """The shortest number that is the same in single precision: what Toxiproxy, which keeps 32 bits, would show."""
    try:
        kept = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return value
    for digits in range(1, 10):
        short = float(f"{kept:.{digits}g}")
        if struct.unpack("<f", struct.pack("<f", short))[0] == kept:
            return int(short) if short.is_integer() else short
    return value
