"""slicer: the stream is cut into slices of `average_size` ± `size_variation` bytes, `delay` microseconds apart.

The cuts are places in the stream, one near every multiple of the average size, so they are a function of the seed
and do not depend on how the bytes were chunked.
"""

from typing import Any

from harness.proxy.toxics.stage import Attribute, Data, End, HoldingStage, ValueRefusedError, whole


class Slicer(HoldingStage):
    attributes = (Attribute("average_size", 0, whole(1)), Attribute("size_variation"), Attribute("delay"))

    __slots__ = ("free_at",)

    @classmethod
    def check(cls, values: dict[str, Any]) -> None:
        if values["average_size"] < 1:
            raise ValueRefusedError("average_size must be 1 or more, not 0")
        if values["size_variation"] > values["average_size"]:
            raise ValueRefusedError("size_variation must not be larger than average_size")

    def start(self) -> None:
        super().start()
        self.free_at = 0.0  # before then, no slice may leave

    def leaves_at(self, _came: float, offset: int, _content: Data | End) -> float:
        self.cut_head(self._cut_after(offset) - offset)
        return self.free_at

    def left(self, _due: float, now: float) -> None:
        self.free_at = now + self.toxic.values["delay"] / 1e6

    def _cut_after(self, offset: int) -> int:
        """The first cut behind this place. Cut k is near k × average; half the variation keeps the cuts in order."""
        average: int = self.toxic.values["average_size"]
        variation: int = self.toxic.values["size_variation"]
        number = max(1, (offset - variation) // average)
        while True:
            shift = variation / 2 * self.toxic.choice.draw(self.stream.ordinal, number) if variation else 0
            cut = number * average + int(shift)
            if cut > offset:
                return cut
            number += 1
