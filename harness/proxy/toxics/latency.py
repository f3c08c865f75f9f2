"""latency: every byte leaves `latency` ± `jitter` milliseconds after it came.

Jitter is drawn for each block of 256 bytes of the stream, not for each chunk, so that the same seed delays the same
bytes alike however they were chunked. As in TCP, a later block never overtakes an earlier one.
"""

import collections

from harness.proxy.loop import Timer
from harness.proxy.toxics.stage import Attribute, Stage

BLOCK_BYTES = 256


class Latency(Stage):
    attributes = (Attribute("latency"), Attribute("jitter"))
    window_bytes = 32 << 20

    __slots__ = ("held", "last_delay_s", "timer", "until")

    def start(self) -> None:
        # (came, offset, bytes); no bytes: the end, and whether it is a reset.
        self.held: collections.deque[tuple[float, int, bytes | bool]] = collections.deque()
        self.timer: Timer | None = None
        self.until = 0.0  # when the head of `held` is due

    def push(self, offset: int, data: bytes) -> None:
        came = self.stream.loop.now()
        if self.toxic.values["jitter"]:
            for start, piece in self._pieces(offset, data):
                self.held.append((came, start, piece))
        else:
            self.held.append((came, offset, data))
        self._arm()

    def end(self, reset: bool) -> None:
        self.held.append((self.stream.loop.now(), self.stream.offset, reset))
        self._arm()

    def changed(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self._arm()

    def flush(self) -> None:
        self.stop()
        while self.held:
            self._pass_on(self.held.popleft(), self.stream.loop.now())

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _delay_s(self, offset: int) -> float:
        delay_ms = self.toxic.values["latency"]
        jitter_ms = self.toxic.values["jitter"]
        if jitter_ms:
            delay_ms += jitter_ms * self.toxic.chance.draw(self.stream.ordinal, offset // BLOCK_BYTES)
        return max(0.0, delay_ms / 1000)

    def _pieces(self, offset: int, data: bytes) -> list[tuple[int, bytes]]:
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

    def _arm(self) -> None:
        if self.timer is None and self.held:
            came, offset, _ = self.held[0]
            self.until = came + self._delay_s(offset)
            self.timer = self.stream.at(self.until, self._due)

    def _due(self) -> None:
        self.timer = None
        now = self.stream.loop.now()
        while self.held and self.timer is None:
            came, offset, _ = self.held[0]
            self.until = came + self._delay_s(offset)
            if self.until > now:
                break
            self._pass_on(self.held.popleft(), now)
        self._arm()

    def _pass_on(self, entry: tuple[float, int, bytes | bool], now: float) -> None:
        came, offset, content = entry
        if isinstance(content, bool):
            self.next.end(content)
            return
        self.toxic.tally.delayed(now - came, len(content))
        self.next.push(offset, content)
