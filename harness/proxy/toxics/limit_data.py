"""limit_data: the connection is closed after `bytes` bytes have passed in this stream, counted from the toxic's
coming. The bytes before that arrive."""

from harness.proxy.toxics.stage import Attribute, Data, End, Stage


class LimitData(Stage):
    attributes = (Attribute("bytes"),)

    __slots__ = ("over", "passed_bytes")

    def start(self) -> None:
        self.passed_bytes = 0
        self.over = False

    def push(self, offset: int, data: Data) -> None:
        left = 0 if self.over else max(0, self.toxic.values["bytes"] - self.passed_bytes)
        if len(data) > left:
            self.toxic.tally.dropped(len(data) - left)
            self.stream.lost(len(data) - left)
        if left:
            self.passed_bytes += min(left, len(data))
            self.toxic.tally.passed(min(left, len(data)))
            self.next.push(offset, data[:left])
        if len(data) >= left and not self.over:
            self.over = True
            self.touch()
            self.toxic.tally.closed()
            self.next.end(End.CLOSE)

    def end(self, how: End) -> None:
        if not self.over:
            self.next.end(how)
