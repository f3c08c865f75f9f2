"""corrupt: one bit is flipped in a share `rate` of the stream's bytes, and in the bytes at `offsets`.

Which bytes, and which bit of each, is a function of the seed and the byte's place in the stream. The first flips are
kept with the toxic's counts, so that a test can name what was corrupted.
"""

import math
import random
from typing import Any

from harness.proxy.toxics.stage import Attribute, Data, Stage, ValueRefusedError, share, whole

BLOCK_BYTES = 4096
OFFSETS = 1000


def _offsets(name: str, value: Any) -> list[int]:
    if not isinstance(value, list) or len(value) > OFFSETS:
        raise ValueRefusedError(f"{name} must be a list of at most {OFFSETS} integers")
    return sorted({whole()(f"each of {name}", one) for one in value})


class Corrupt(Stage):
    attributes = (Attribute("rate", 0.0, share), Attribute("offsets", [], _offsets))

    __slots__ = ("block", "hits", "hits_rate")

    def start(self) -> None:
        self.block = self.hits_rate = -1.0
        self.hits: list[tuple[int, int]] = []

    def push(self, offset: int, data: Data) -> None:
        flips = self._flips(offset, offset + len(data))
        if flips:
            self.touch()
            changed = bytearray(data)
            for place, bit in flips:
                changed[place - offset] ^= 1 << bit
                self.toxic.counts.flipped(self.stream.ordinal, place, bit)
            data = bytes(changed)
        self.toxic.counts.bytes_passed += len(data)
        self.next.push(offset, data)

    def _flips(self, start: int, stop: int) -> list[tuple[int, int]]:
        """(offset, bit) of every flip from one place of the stream to another, in order."""
        named = {place: self._bit(place) for place in self.toxic.values["offsets"] if start <= place < stop}
        if self.toxic.values["rate"]:
            for block in range(start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES + 1):
                named.update((place, bit) for place, bit in self._by_rate(block) if start <= place < stop)
        return sorted(named.items())

    def _by_rate(self, block: int) -> list[tuple[int, int]]:
        """The flips of one block: from hit to hit by geometric gaps, so that each byte has the same chance."""
        rate: float = self.toxic.values["rate"]
        if (block, rate) != (self.block, self.hits_rate):
            # Only .random() is used: it is what Python promises to keep the same from version to version.
            generator = random.Random(self.toxic.choice.raw(self.stream.ordinal, block)[:8])
            scale = math.log1p(-rate) if rate < 1 else -math.inf
            self.hits, place = [], -1
            while True:
                place += 1 + (int(min(BLOCK_BYTES, math.log1p(-generator.random()) / scale)) if rate < 1 else 0)
                if place >= BLOCK_BYTES:
                    break
                self.hits.append((block * BLOCK_BYTES + place, int(generator.random() * 8)))
            self.block, self.hits_rate = block, rate
        return self.hits

    def _bit(self, place: int) -> int:
        return self.toxic.choice.raw(self.stream.ordinal, place)[8] % 8
