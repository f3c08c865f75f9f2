"""reset_peer: `timeout` milliseconds after the first byte (or the end) of the stream, the connection is reset (RST).

The bytes are dropped. Both sides are reset.
"""

from harness.proxy.loop import Timer
from harness.proxy.toxics.stage import Attribute, Data, End, Stage


class ResetPeer(Stage):
    attributes = (Attribute("timeout"),)

    __slots__ = ("came", "timer")

    def start(self) -> None:
        self.timer: Timer | None = None
        self.came: float | None = None

    def push(self, _offset: int, data: Data) -> None:
        self.drop(len(data))
        self._arm()

    def end(self, _how: End) -> None:
        self._arm()

    def changed(self) -> None:
        if self.came is not None:
            self.stop()
            self.timer = self.stream.at(self.came + self.toxic.values["timeout"] / 1000, self.flush)

    def flush(self) -> None:
        """Reset at once: bytes were already dropped from the stream, so removing the toxic cannot restore it."""
        self.stop()
        if self.came is not None:
            self.toxic.counts.resets += 1
            self.stream.close_connection(reset=True)

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _arm(self) -> None:
        if self.came is None:
            self.touch()
            self.came = self.stream.now()
            self.changed()
