"""slicer: the stream is cut into slices of `average_size` ± `size_variation` bytes, `delay` microseconds apart.

The cuts are places in the stream, one near every multiple of the average size, so they are a function of the seed
and do not depend on how the bytes came.
"""

import collections

from harness.proxy.loop import Timer
from harness.proxy.toxics.stage import Attribute, BadValue, Stage, whole


class Slicer(Stage):
    attributes = (Attribute("average_size", 0, whole(1)), Attribute("size_variation"), Attribute("delay"))

    __slots__ = ("busy_s", "held", "timer")

    @classmethod
    def check(cls, values: dict[str, int]) -> None:
        if values["average_size"] < 1:
            raise BadValue("average_size must be 1 or more")
        if values["size_variation"] >= values["average_size"]:
            raise BadValue("size_variation must be smaller than average_size")

    def start(self) -> None:
        self.held: collections.deque[tuple[float, int, bytes | bool]] = collections.deque()
        self.timer: Timer | None = None
        self.busy_s = 0.0  # before then, no slice may leave

    def push(self, offset: int, data: bytes) -> None:
        now, start = self.stream.loop.now(), offset
        while start < offset + len(data):
            stop = min(self._cut_after(start), offset + len(data))
            self.held.append((now, start, data[start - offset : stop - offset]))
            start = stop
        self._go(now)

    def end(self, reset: bool) -> None:
        self.held.append((self.stream.loop.now(), self.stream.offset, reset))
        self._go(self.stream.loop.now())

    def flush(self) -> None:
        self.stop()
        while self.held:
            self._pass_on(*self.held.popleft())

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _cut_after(self, offset: int) -> int:
        """The first cut behind this place. Cut k is near k times the average; half the variation keeps them in order."""
        average, variation = self.toxic.values["average_size"], self.toxic.values["size_variation"]
        number = max(1, (offset - variation) // average)
        while True:
            shift = variation / 2 * self.toxic.chance.draw(self.stream.ordinal, number) if variation else 0
            cut = number * average + int(shift)
            if cut > offset:
                return cut
            number += 1

    def _go(self, now: float) -> None:
        if self.timer is not None:
            return
        while self.held and self.busy_s <= now:
            self._pass_on(*self.held.popleft())
            self.busy_s = now + self.toxic.values["delay"] / 1e6
        if self.held:
            self.timer = self.stream.at(self.busy_s, self._due)

    def _due(self) -> None:
        self.timer = None
        self._go(self.stream.loop.now())

    def _pass_on(self, came: float, offset: int, content: bytes | bool) -> None:
        if isinstance(content, bool):
            self.next.end(content)
            return
        self.toxic.tally.delayed(self.stream.loop.now() - came, len(content))
        self.next.push(offset, content)
