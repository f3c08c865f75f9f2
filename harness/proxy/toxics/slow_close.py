"""slow_close: the end of the stream is passed on only after `delay` milliseconds. Bytes are not delayed."""

from harness.proxy.loop import Timer
from harness.proxy.toxics.stage import Attribute, End, Stage


class SlowClose(Stage):
    attributes = (Attribute("delay"),)
    sees_bytes = False

    __slots__ = ("came", "how", "timer")

    def start(self) -> None:
        self.timer: Timer | None = None
        self.came = 0.0
        self.how: End | None = None  # the end that is held back, if one is

    def end(self, how: End) -> None:
        self.touch()
        self.how = how
        self.came = self.stream.now()
        self.changed()

    def changed(self) -> None:
        if self.how is not None:
            self.stop()
            self.timer = self.stream.at(self.came + self.toxic.values["delay"] / 1000, self.flush)

    def flush(self) -> None:
        self.stop()
        if self.how is not None:
            how, self.how = self.how, None
            self.toxic.counts.delayed(self.stream.now() - self.came, 0)
            self.next.end(how)

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
