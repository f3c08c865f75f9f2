"""bandwidth: at most `rate` KB (of 1,000 bytes) a second; a rate of 0 lets nothing through.

A clock of when the wire is free again: each piece of at most a tenth of a second's worth occupies it for as long as
the rate says, and leaves at the end of that. Unused time is not saved up.
"""

import collections

from harness.proxy.loop import Timer
from harness.proxy.toxics.stage import Attribute, Stage

PIECE_S = 0.1


class Bandwidth(Stage):
    attributes = (Attribute("rate"),)

    __slots__ = ("busy_s", "came", "held", "timer")

    def start(self) -> None:
        self.held: collections.deque[tuple[float, int, bytes | bool]] = collections.deque()
        self.timer: Timer | None = None
        self.busy_s = 0.0  # until when the wire is taken

    def push(self, offset: int, data: bytes) -> None:
        self.held.append((self.stream.loop.now(), offset, data))
        self._arm()

    def end(self, reset: bool) -> None:
        self.held.append((self.stream.loop.now(), self.stream.offset, reset))
        self._arm()

    def changed(self) -> None:
        self.stop()
        self.busy_s = self.stream.loop.now()
        self._arm()

    def flush(self) -> None:
        self.stop()
        while self.held:
            self._pass_on(*self.held.popleft())

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _arm(self) -> None:
        rate = self.toxic.values["rate"]
        if self.timer is not None or not self.held or not rate:
            return
        came, offset, content = self.held[0]
        size = 0
        if isinstance(content, bytes):
            size = min(len(content), max(1, int(rate * 1000 * PIECE_S)))
            if size < len(content):
                self.held[0] = (came, offset, content[:size])
                self.held.insert(1, (came, offset + size, content[size:]))
        self.timer = self.stream.at(max(self.busy_s, came) + size / (rate * 1000), self._due)
        self.busy_s = max(self.busy_s, came) + size / (rate * 1000)

    def _due(self) -> None:
        self.timer = None
        self._pass_on(*self.held.popleft())
        self._arm()

    def _pass_on(self, came: float, offset: int, content: bytes | bool) -> None:
        if isinstance(content, bool):
            self.next.end(content)
            return
        self.toxic.tally.delayed(self.stream.loop.now() - came, len(content))
        self.next.push(offset, content)
