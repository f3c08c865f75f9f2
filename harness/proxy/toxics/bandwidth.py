"""bandwidth: at most `rate` KB (of 1,000 bytes) a second; a rate of 0 lets nothing through.

Bytes go in pieces of at most a tenth of a second's worth. Each piece occupies the wire for its size over the rate, and
leaves at the end of that time. Idle time is not saved up.
"""

from harness.proxy.toxics.stage import Attribute, Data, End, HoldingStage

PIECE_S = 0.1


class Bandwidth(HoldingStage):
    attributes = (Attribute("rate"),)

    __slots__ = ("free_at",)

    def start(self) -> None:
        super().start()
        self.free_at = 0.0  # when the wire is free

    def changed(self) -> None:
        self.free_at = self.stream.now()
        super().changed()

    def leaves_at(self, came: float, _offset: int, content: Data | End) -> float | None:
        bytes_per_s: int = self.toxic.values["rate"] * 1000
        if not bytes_per_s:
            return None
        begins: float = max(self.free_at, came)
        if isinstance(content, End):
            return begins
        size = min(len(content), max(1, int(bytes_per_s * PIECE_S)))
        self.cut_head(size)
        return begins + size / bytes_per_s

    def left(self, due: float, _now: float) -> None:
        self.free_at = due
