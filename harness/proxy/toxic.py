"""A toxic of a proxy: its attributes as the API shows them, its seeded choices, and counts of what it really did.

Which connections it affects is a seeded choice by the connection's ordinal, so raising the toxicity from 0.3 to 0.6
keeps those already affected and adds others. What it does to their bytes is up to a stage (`toxics/stage.py`).
"""

import struct
from functools import lru_cache
from typing import Any

from harness.proxy.leases import Expiry

try:
    from _blake2 import blake2b  # the same as hashlib's, without loading OpenSSL: 4 MB in every proxy
except ImportError:
    from hashlib import blake2b

UPSTREAM, DOWNSTREAM = "upstream", "downstream"
FLIPS_KEPT = 256
DRAWS = 32  # draws of 16 bits that one hash gives
_PLACE = struct.Struct("<QQ")
_DRAWS = struct.Struct("<32H")


class Toxic:
    """One entry of a proxy's list of toxics; `type` is its name in the table of toxics."""

    __slots__ = ("choice", "common", "counts", "expiry", "name", "seed", "stream", "toxicity", "type", "values")

    def __init__(
        self,
        name: str,
        type_: str,
        stream: str,
        toxicity: float,
        values: dict[str, Any],
        choice: "SeededChoice",
        seed: int | None = None,
    ) -> None:
        """`seed`: the toxic's own, where its choices do not come from the server's."""
        self.name = name
        self.type = type_
        self.stream = stream
        self.toxicity = toxicity
        self.values = values
        self.choice = choice
        self.seed = seed
        self.counts = ToxicCounts()
        self.common: Any = None  # what its stages share, if anything
        self.expiry: Expiry | None = None

    def affects(self, ordinal: int) -> bool:
        return self.toxicity >= 1 or self.choice.unit(ordinal) < self.toxicity

    def as_json(self) -> dict[str, Any]:
        fields = {
            "attributes": dict(self.values),
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": _single_precision(self.toxicity),
        }
        if self.seed is not None:
            fields["seed"] = self.seed
        return fields if self.expiry is None else {**fields, **self.expiry.as_json()}


class SeededChoice:
    """The random choices of one toxic: each a hash of (seed, proxy, toxic, connection ordinal, place in the stream).

    Without state or clock, so a choice depends neither on when it is made nor on how the bytes were chunked, and one
    choice never shifts another. The same seed gives the same choices on every machine.
    """

    __slots__ = ("_key",)

    def __init__(self, seed: int, *names: str) -> None:
        digest = blake2b(str(seed).encode(), digest_size=32)
        for name in names:
            raw = name.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(4, "little") + raw)
        self._key = digest.digest()

    def raw(self, ordinal: int, place: int) -> bytes:
        """64 bytes for a connection and a place in its stream."""
        return blake2b(_PLACE.pack(ordinal, place), key=self._key).digest()

    def unit(self, ordinal: int, place: int = 0) -> float:
        """A number in [0, 1) for a connection and a place in its stream."""
        return (int.from_bytes(self.raw(ordinal, place)[:8], "little") >> 11) / (1 << 53)

    def draw(self, ordinal: int, block: int) -> float:
        """A number in [-1, 1) for one block of the stream; neighbouring blocks share one hash."""
        return _cached_draws(self._key, ordinal, block // DRAWS)[block % DRAWS] / 32768 - 1


@lru_cache(maxsize=256)
def _cached_draws(key: bytes, ordinal: int, place: int) -> tuple[int, ...]:
    return _DRAWS.unpack(blake2b(_PLACE.pack(ordinal, place), key=key).digest())


class ToxicCounts:
    """What a toxic did over all its connections, counted where it is done, so that a fault can be confirmed."""

    __slots__ = (
        "affected", "bits_flipped", "bytes_delayed", "bytes_dropped", "bytes_passed", "closes", "delay_count",
        "delay_max_s", "delay_min_s", "delay_sum_s", "flips", "resets", "spared", "touched",
    )  # fmt: skip

    def __init__(self) -> None:
        self.affected = self.spared = self.touched = 0
        self.bytes_passed = self.bytes_delayed = self.bytes_dropped = self.bits_flipped = 0
        self.closes = self.resets = 0
        self.flips: list[tuple[int, int, int]] = []  # the first: connection, offset, bit
        self.delay_count = 0
        self.delay_sum_s = self.delay_max_s = 0.0
        self.delay_min_s: float | None = None

    def delayed(self, delay_s: float, size: int) -> None:
        self.bytes_delayed += size
        self.delay_count += 1
        self.delay_sum_s += delay_s
        if delay_s > self.delay_max_s:
            self.delay_max_s = delay_s
        if self.delay_min_s is None or delay_s < self.delay_min_s:
            self.delay_min_s = delay_s

    def flipped(self, ordinal: int, offset: int, bit: int) -> None:
        self.bits_flipped += 1
        if len(self.flips) < FLIPS_KEPT:
            self.flips.append((ordinal, offset, bit))

    def as_json(self) -> dict[str, Any]:
        mean_s = self.delay_sum_s / self.delay_count if self.delay_count else None
        return {
            "connections": self.affected,
            "connections_spared": self.spared,
            "connections_touched": self.touched,
            "bytes_passed": self.bytes_passed,
            "bytes_delayed": self.bytes_delayed,
            "bytes_dropped": self.bytes_dropped,
            "bits_flipped": self.bits_flipped,
            "flips": self.flips,
            "closes": self.closes,
            "resets": self.resets,
            "delays": self.delay_count,
            "delay_min_ms": _ms(self.delay_min_s),
            "delay_mean_ms": _ms(mean_s),
            "delay_max_ms": _ms(self.delay_max_s) if self.delay_count else None,
        }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _single_precision(value: float) -> float:
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
