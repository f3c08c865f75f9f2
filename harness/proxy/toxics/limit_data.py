"""limit_data: the connection is closed after `bytes` bytes have passed in this stream since the toxic was added. Those
bytes arrive."""

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
            self.drop(len(data) - left)
        if left:
            self.passed_bytes += min(left, len(data))
            self.toxic.counts.bytes_passed += min(left, len(data))
            self.next.push(offset, data[:left])
        if len(data) >= left and not self.over:
            self.over = True
            self.touch()
            self.toxic.counts.closes += 1
            self.next.end(End.CLOSE)

    def end(self, how: End) -> None:
        if not self.over:
            self.next.end(how)
