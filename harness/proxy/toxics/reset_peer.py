"""reset_peer: `timeout` milliseconds after the first byte (or the end) of the stream, the connection is reset (RST).

What came is dropped. Both sides are reset.
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
        self.toxic.tally.dropped(len(data))
        self.stream.lost(len(data))
        self._arm()

    def end(self, _how: End) -> None:
        self._arm()

    def changed(self) -> None:
        if self.came is not None:
            self.stop()
            self.timer = self.stream.at(self.came + self.toxic.values["timeout"] / 1000, self.flush)

    def flush(self) -> None:
        """Bytes were lost from a stream that was to be reset: removing the toxic does not bring them back."""
        self.stop()
        if self.came is not None:
            self.toxic.tally.reset()
            self.stream.connection.close(reset=True)

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _arm(self) -> None:
        if self.came is None:
            self.touch()
            self.came = self.stream.loop.now()
            self.changed()
