"""packet_loss: segments of 1,460 bytes of the stream are lost with probability `loss_rate`, in bursts if correlated.

After a lost segment the next is lost with probability `loss_rate` + `correlation`. They are not retransmitted:
the stream arrives with holes, as in Toxiproxy, which loses whole chunks. The seed and the place decide each segment.
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
                self.drop(until - start)
            else:
                self.toxic.counts.bytes_passed += until - start
                self.next.push(start, data[start - offset : until - offset])
            start = until

    def is_lost(self, segment: int) -> bool:
        """Walk back to a segment that is lost, or not, whatever the one before it was."""
        rate: float = self.toxic.values["loss_rate"]
        after_loss = min(1.0, rate + self.toxic.values["correlation"])
        place = segment
        while place >= 0 and rate <= self._draw(place) < after_loss:
            place -= 1
        # From `place` to the segment all draws lie between the two rates: each is lost if the one before is.
        return place >= 0 and self._draw(place) < rate

    def _draw(self, segment: int) -> float:
        return (self.toxic.choice.draw(self.stream.ordinal, segment) + 1) / 2
