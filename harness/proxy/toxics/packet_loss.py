"""packet_loss: segments of 1,460 bytes of the stream are lost with probability `loss_rate`, in bursts if asked.

After a lost segment the next is lost with probability `loss_rate` + `correlation`. Nothing sends them again: what
arrives has holes, as in Toxiproxy, which loses whole chunks. Fates are a function of the seed and the place.
"""

from harness.proxy.toxics.stage import Attribute, Data, Stage, share

SEGMENT_BYTES = 1460


class PacketLoss(Stage):
    attributes = (Attribute("loss_rate", 0.1, share), Attribute("correlation", 0.0, share))

    __slots__ = ()

    def push(self, offset: int, data: Data) -> None:
        start, stop = offset, offset + len(data)
        while start < stop:
            until = min(stop, (start // SEGMENT_BYTES + 1) * SEGMENT_BYTES)
            if self.is_lost(start // SEGMENT_BYTES):
                self.touch()
                self.toxic.tally.dropped(until - start)
                self.stream.lost(until - start)
            else:
                self.toxic.tally.passed(until - start)
                self.next.push(start, data[start - offset : until - offset])
            start = until

    def is_lost(self, segment: int) -> bool:
        """Walk back to a segment whose fate does not hang on the one before it, then forth again."""
        rate: float = self.toxic.values["loss_rate"]
        after_loss = min(1.0, rate + self.toxic.values["correlation"])
        place = segment
        while place >= 0 and rate <= self._draw(place) < after_loss:
            place -= 1
        # From `place` to the segment all draws lie between the two rates: each shares the fate of the one before.
        return place >= 0 and self._draw(place) < rate

    def _draw(self, segment: int) -> float:
        return (self.toxic.chance.draw(self.stream.ordinal, segment) + 1) / 2
