"""timeout: nothing passes, and after `timeout` milliseconds the connection is closed; 0 is a black hole for ever.

Neither bytes nor the end of the stream pass, not even when the other side refuses or dies, because a lost node is
silent. Removing the toxic closes the connection, since bytes were lost from it.
"""

from harness.proxy.loop import Timer
from harness.proxy.toxics.stage import Attribute, Data, End, Stage


class Timeout(Stage):
    attributes = (Attribute("timeout"),)
    silences = True

    __slots__ = ("began", "timer")

    def start(self) -> None:
        self.timer: Timer | None = None
        self.began = self.stream.now()
        self.touch()
        self.toxic.counts.bytes_dropped += self.stream.discard()
        self.changed()

    def changed(self) -> None:
        self.stop()
        if self.toxic.values["timeout"]:
            self.timer = self.stream.at(self.began + self.toxic.values["timeout"] / 1000, self._close)

    def push(self, _offset: int, data: Data) -> None:
        self.drop(len(data))

    def end(self, _how: End) -> None:
        """Dropped, like the bytes."""

    def flush(self) -> None:
        self._close()

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _close(self) -> None:
        self.stop()
        self.toxic.counts.closes += 1
        self.stream.close_connection()
