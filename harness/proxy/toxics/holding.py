"""The base of toxics that hold bytes back: a queue whose head leaves at a moment that the toxic names.

Order is kept whatever the moments are, and the end of the stream queues like bytes do.
"""

import abc
import collections

from harness.proxy.loop import Timer
from harness.proxy.toxics.stage import Data, End, Stage

AT_ONCE = 256  # entries that leave in one go


class HoldingStage(Stage):
    """Say by `leaves_at` when the head may leave, and by `gone` what follows from its leaving."""

    __slots__ = ("held", "timer")

    def start(self) -> None:
        # (when it came, offset, bytes); in place of bytes may be the end of the stream.
        self.held: collections.deque[tuple[float, int, Data | End]] = collections.deque()
        self.timer: Timer | None = None

    @abc.abstractmethod
    def leaves_at(self, came: float, offset: int, content: Data | End) -> float | None:
        """When the head may leave; None: not as things stand. It may cut the head in two."""

    def gone(self, due: float, now: float) -> None:
        """The head has left."""

    def push(self, offset: int, data: Data) -> None:
        self.touch()
        self.held.append((self.stream.loop.now(), offset, data))
        if self.timer is None:
            self.go()

    def end(self, how: End) -> None:
        self.touch()
        self.held.append((self.stream.loop.now(), self.stream.offset, how))
        if self.timer is None:
            self.go()

    def changed(self) -> None:
        self.stop()
        self.go()

    def flush(self) -> None:
        self.stop()
        while self.held:
            self._pass_on(*self.held.popleft(), self.stream.loop.now())

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def go(self) -> None:
        """Let go of what is due, and come back for the rest."""
        self.timer = None
        now = self.stream.loop.now()
        for _ in range(AT_ONCE):
            if not self.held or self.stream.connection.closed:
                return
            due = self.leaves_at(*self.held[0])
            if due is None:
                return
            if due > now:
                now = self.stream.loop.now()
                if due > now:
                    self.timer = self.stream.at(due, self.go)
                    return
            entry = self.held.popleft()
            self.gone(due, now)
            self._pass_on(*entry, now)
        self.timer = self.stream.at(now, self.go)  # others have their turn first

    def cut_head(self, size: int) -> None:
        """Make two entries of the first, which is longer than that, without copying it."""
        came, offset, content = self.held[0]
        if isinstance(content, End) or len(content) <= size:
            return
        whole = memoryview(content)
        self.held[0] = (came, offset, whole[:size])
        self.held.insert(1, (came, offset + size, whole[size:]))

    def _pass_on(self, came: float, offset: int, content: Data | End, now: float) -> None:
        if isinstance(content, End):
            self.next.end(content)
            return
        self.toxic.tally.delayed(now - came, len(content))
        self.next.push(offset, content)
