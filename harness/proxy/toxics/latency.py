"""latency: every byte leaves `latency` ± `jitter` milliseconds after it came.

Jitter is drawn for each block of 256 bytes of the stream, not for each chunk, so that the same seed delays the same
bytes alike however they were chunked. As in TCP, a later block never overtakes an earlier one.
"""

from harness.proxy.toxics.stage import Attribute, Data, End, HoldingStage

BLOCK_BYTES = 256


class Latency(HoldingStage):
    attributes = (Attribute("latency"), Attribute("jitter"))
    window_bytes = 48 << 20

    __slots__ = ()

    def push(self, offset: int, data: Data) -> None:
        if not self.toxic.values["jitter"]:
            super().push(offset, data)
            return
        for start, piece in self._pieces(offset, data):
            super().push(start, piece)

    def leaves_at(self, came: float, offset: int, _content: Data | End) -> float:
        return came + self._delay_s(offset)

    def _delay_s(self, offset: int) -> float:
        delay_ms: float = self.toxic.values["latency"]
        jitter_ms = self.toxic.values["jitter"]
        if jitter_ms:
            delay_ms += jitter_ms * self.toxic.choice.draw(self.stream.ordinal, offset // BLOCK_BYTES)
        return max(0.0, delay_ms / 1000)

    def _pieces(self, offset: int, data: Data) -> list[tuple[int, Data]]:
        """Cut where a block has a longer delay than all before it; the rest waits for those before it anyway."""
        cuts, longest, place = [offset], self._delay_s(offset), offset // BLOCK_BYTES * BLOCK_BYTES + BLOCK_BYTES
        while place < offset + len(data):
            delay_s = self._delay_s(place)
            if delay_s > longest:
                cuts.append(place)
                longest = delay_s
            place += BLOCK_BYTES
        ends = [*cuts[1:], offset + len(data)]
        return [(start, data[start - offset : stop - offset]) for start, stop in zip(cuts, ends, strict=True)]
