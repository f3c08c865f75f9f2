"""bandwidth: at most `rate` KB (of 1,000 bytes) a second; a rate of 0 lets nothing through.

Bytes go in pieces of at most a tenth of a second's worth. Each piece occupies the wire for its size over the rate, and
leaves at the end of that time. Idle time is not saved up. With `shared` all connections have one wire together, and
take turns on it with smaller pieces, so that a bulk transfer slows the others and stops none.
"""

import collections

from harness.proxy.toxics.stage import Attribute, Data, End, HoldingStage, flag

PIECE_S = 0.1
SHARED_PIECE_S = 0.01


class SharedWire:
    """The wire of a toxic whose connections share one: when it is free, and who waits for it, in the order of turns."""

    __slots__ = ("free_at", "turns")

    def __init__(self) -> None:
        self.free_at = 0.0
        self.turns: collections.deque[Bandwidth] = collections.deque()


class Bandwidth(HoldingStage):
    attributes = (Attribute("rate"), Attribute("shared", False, flag, optional=True))

    __slots__ = ("free_at", "waits")

    def start(self) -> None:
        super().start()
        self.free_at = 0.0  # when the wire is free, where it is not shared
        self.waits = False  # for the shared wire, or has its turn on it

    def changed(self) -> None:
        self.free_at = self.stream.now()
        if self.toxic.common is not None:
            self.toxic.common.free_at = self.free_at
        super().changed()

    def stop(self) -> None:
        super().stop()
        if self.waits:
            self._end_turn(self._wire())

    def leaves_at(self, came: float, _offset: int, content: Data | End) -> float | None:
        bytes_per_s: int = self.toxic.values["rate"] * 1000
        if not bytes_per_s:
            return None
        shared: bool = self.toxic.values.get("shared", False)
        if isinstance(content, End):
            return came if shared else max(self.free_at, came)
        free_at, piece_s = self.free_at, PIECE_S
        if shared:
            wire = self._wire()
            if not self.waits:
                self.waits = True
                wire.turns.append(self)
            if wire.turns[0] is not self:
                return None
            free_at, piece_s = wire.free_at, SHARED_PIECE_S
        size = min(len(content), max(1, int(bytes_per_s * piece_s)))
        self.cut_head(size)
        return max(free_at, came) + size / bytes_per_s

    def left(self, due: float, _now: float) -> None:
        if self.waits:
            wire = self._wire()
            wire.free_at = due
            self._end_turn(wire)
        else:
            self.free_at = due

    def _wire(self) -> SharedWire:
        if self.toxic.common is None:
            self.toxic.common = SharedWire()
        wire: SharedWire = self.toxic.common
        return wire

    def _end_turn(self, wire: SharedWire) -> None:
        had_it = wire.turns[0] is self
        wire.turns.remove(self)
        self.waits = False
        if had_it and wire.turns:
            wire.turns[0].wake()
