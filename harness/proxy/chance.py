"""Seeded choice: every choice is a hash of (seed, proxy, toxic, connection ordinal, place in the stream).

Pure: no state and no clock, so a choice depends neither on when it is asked for nor on how the bytes happened to be
chunked, and one choice never shifts another. The same seed gives the same choices on every machine.
"""

import hashlib
import struct
from functools import lru_cache

_PLACE = struct.Struct("<QQ")
_DRAWS = struct.Struct("<32H")
DRAWS = 32  # draws of 16 bits that one hash gives


class Chance:
    """The choices of one toxic of one proxy under one seed."""

    __slots__ = ("_key",)

    def __init__(self, seed: int, *names: str) -> None:
        told = hashlib.blake2b(str(seed).encode(), digest_size=32)
        for name in names:
            raw = name.encode("utf-8", "surrogatepass")
            told.update(len(raw).to_bytes(4, "little") + raw)
        self._key = told.digest()

    def raw(self, ordinal: int, place: int) -> bytes:
        """64 bytes for a connection and a place in its stream."""
        return hashlib.blake2b(_PLACE.pack(ordinal, place), key=self._key).digest()

    def unit(self, ordinal: int, place: int = 0) -> float:
        """A number in [0, 1) for a connection and a place in its stream."""
        return (int.from_bytes(self.raw(ordinal, place)[:8], "little") >> 11) / (1 << 53)

    def draws(self, ordinal: int, place: int) -> tuple[int, ...]:
        """32 numbers in [0, 65536): draws for neighbouring blocks, for the price of one hash."""
        return _cached_draws(self._key, ordinal, place)

    def draw(self, ordinal: int, block: int) -> float:
        """A number in [-1, 1) for one block of the stream, taken from `draws`."""
        return self.draws(ordinal, block // DRAWS)[block % DRAWS] / 32768 - 1


@lru_cache(maxsize=256)
def _cached_draws(key: bytes, ordinal: int, place: int) -> tuple[int, ...]:
    return _DRAWS.unpack(hashlib.blake2b(_PLACE.pack(ordinal, place), key=key).digest())
