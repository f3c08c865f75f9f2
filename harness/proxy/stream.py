"""One direction of one connection: from its source socket, through the stages of its toxics, to its destination.

Bytes that no stage needs to see are spliced through a pipe and never enter Python. Otherwise they are read in chunks,
pushed through the stages, and written; what the destination does not take yet waits in `out`. Either way at most a
window of bytes is held, and then the source is read no more until some have left.
"""

import collections
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.proxy.loop import Loop, Timer
from harness.proxy.pipes import Pipe
from harness.proxy.toxics.stage import Data, End, Receiver, Stage

if TYPE_CHECKING:
    from harness.proxy.connection import Connection, Side

CHUNK_BYTES = 1 << 16
WINDOW_BYTES = 1 << 18
_SPLICE = 0x3  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK
_MORE_BYTES = 1 << 14  # after fewer than that, the source is taken to be empty for now
_ROUNDS = range(4)  # so many turns before the other connections have theirs


class Stream:
    """Moves the bytes of one direction; `connection` decides what an end or a failure means for the other."""

    __slots__ = (
        "blocked", "connection", "deaf", "direction", "ended", "finished", "hanging_up", "held", "loop", "offset",
        "ordinal", "out", "pipe", "piped", "sent", "sight", "silenced", "source", "stages", "target", "window",
    )  # fmt: skip

    def __init__(self, connection: "Connection", direction: str, source: "Side", target: "Side") -> None:
        self.connection = connection
        self.direction = direction
        self.source = source
        self.target = target
        self.loop: Loop = connection.loop
        self.ordinal = connection.ordinal
        self.stages: tuple[Stage, ...] = ()
        self.offset = 0  # bytes read from the source so far
        self.sent = 0  # bytes written to the target so far
        self.held = 0  # bytes read, and neither written nor dropped, while not in the pipe
        self.window = WINDOW_BYTES
        self.sight = False  # some stage needs to see the bytes
        self.silenced = False  # some stage forbids that anything reaches the target
        self.out: collections.deque[Data] | None = None
        self.pipe: Pipe | None = None
        self.piped = 0  # bytes in the pipe
        self.blocked = False  # the target takes no more for now
        self.ended = False  # the source has ended
        self.deaf = False  # the target is gone: what is written to it is thrown away
        self.finished = False  # the end has been passed on
        self.hanging_up = False  # a stage asked to close the connection when all is sent

    # What the connection asks.

    def wants_reading(self) -> bool:
        return not (self.ended or self.piped or self.hanging_up) and self.held < self.window

    def read(self) -> None:
        """The source may have bytes, or have ended."""
        if self.ended:
            return
        for _ in _ROUNDS:
            if self.piped or self.held >= self.window:
                return
            size = self._read_chunk() if self.sight or self.held or self.deaf else self._splice()
            if size < _MORE_BYTES or self.ended:
                return

    def write(self) -> None:
        """The target may take bytes again."""
        self.blocked = False
        self.connection.rearm = True
        if self.piped:
            self._empty_pipe()
        if self.out and not self.blocked:
            self._empty_out()

    # What the stages ask.

    def push(self, _offset: int, data: Data) -> None:
        """The way out of the stages: towards the target."""
        if self.deaf or self.hanging_up or self.silenced:
            self.lost(len(data))
            return
        if not self.out and not self.piped and not self.blocked:
            try:
                size = os.write(self.target.fd, data)
            except BlockingIOError:
                size = 0
            except OSError:
                self.held -= len(data)
                self._target_gone()
                return
            self.held -= size
            self.sent += size
            self.connection.rearm = True
            if size < len(data):
                self._wait([memoryview(data)[size:]])
            return
        self._wait([data])

    def end(self, how: End) -> None:
        """The way out of the stages, for the end."""
        if self.finished or self.hanging_up or self.silenced:
            return
        self.hanging_up = how is End.CLOSE
        if how is End.RESET or self.deaf:
            self.finished = True
            self.connection.stream_reset(self)
        elif self.out or self.piped:
            self._wait([b""])  # an empty piece is the end
        else:
            self._sent_all()

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        """Call a stage at a moment; what it does may change what the connection waits for."""

        def due() -> None:
            try:
                call()
            except Exception:
                self.connection.close()
                raise
            if self.connection.rearm:
                self.connection.settle()

        return self.loop.at(when, due)

    def lost(self, size: int) -> None:
        """A stage dropped bytes that were held."""
        self.held -= size
        self.connection.rearm = True

    def discard(self) -> int:
        """Throw away what is on its way out already; how much it was."""
        size = self.piped + sum(len(piece) for piece in self.out or ())
        self.held -= size - self.piped
        self.out = None
        self.blocked = False
        self._return_pipe()
        self.connection.rearm = True
        return size

    # Stages.

    def add(self, stage: Stage) -> None:
        if self.stages:
            self.stages[-1].next = stage
        self._restage((*self.stages, stage))
        stage.start()

    def remove(self, stage: Stage) -> None:
        place = self.stages.index(stage)
        stage.flush()
        stage.stop()
        if self.connection.closed:
            return
        if place:
            self.stages[place - 1].next = stage.next
        self._restage(self.stages[:place] + self.stages[place + 1 :])

    def close(self) -> None:
        for stage in self.stages:
            stage.stop()
        self._return_pipe()
        self.ended = self.finished = True

    def _restage(self, stages: tuple[Stage, ...]) -> None:
        self.stages = stages
        self.sight = any(stage.sees_bytes for stage in stages)
        self.silenced = any(stage.silences for stage in stages)
        self.window = max([WINDOW_BYTES, *(stage.window_bytes for stage in stages)])
        self.connection.rearm = True

    # Moving bytes.

    def _head(self) -> Receiver:
        return self.stages[0] if self.stages else self

    def _source_ended(self, reset: bool) -> None:
        self.ended = True
        self.connection.rearm = True
        if reset:
            self.source.broken = True
        self._head().end(End.RESET if self.source.broken else End.DONE)
        self.connection.stream_ended(self)

    def _read_chunk(self) -> int:
        try:
            data = os.read(self.source.fd, CHUNK_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            self._source_ended(reset=True)
            return 0
        if not data:
            self._source_ended(reset=False)
            return 0
        offset = self.offset
        self.offset += len(data)
        self.held += len(data)
        self._bytes_head().push(offset, data)
        if self.held >= self.window:
            self.connection.rearm = True
        return len(data)

    def _bytes_head(self) -> Receiver:
        """The first stage that wants to see bytes; those that do not are not bothered."""
        for stage in self.stages:
            if stage.sees_bytes:
                return stage
        return self

    def _splice(self) -> int:
        """Once from the source through the hot pipe to the target: the shortest way, taken by nearly all bytes."""
        pool = self.connection.pipes
        pipe = pool.hot or pool.keep_hot()
        if pipe is None:
            return self._read_chunk()
        try:
            size = os.splice(self.source.fd, pipe.w, pipe.size_bytes, None, None, _SPLICE)
            if size:
                self.offset += size
                self.piped = size
                sent = os.splice(pipe.r, self.target.fd, size, None, None, _SPLICE)
                self.sent += sent
                if sent == size:
                    self.piped = 0
                    return size
                self.piped -= sent
        except BlockingIOError:
            if not self.piped:
                return 0
        except OSError:
            if not self.piped:
                self._source_ended(reset=True)
                return 0
        if not self.piped:
            self._source_ended(reset=False)
            return 0
        self.pipe = pipe
        pool.keep_hot()
        self._empty_pipe()
        return size

    def _empty_pipe(self) -> None:
        assert self.pipe is not None
        while self.piped:
            try:
                size = os.splice(self.pipe.r, self.target.fd, self.piped, None, None, _SPLICE)
            except BlockingIOError:
                self.blocked = self.connection.rearm = True
                return
            except OSError:
                self._target_gone()
                return
            self.piped -= size
            self.sent += size
        self._return_pipe()

    def _empty_out(self) -> None:
        out = self.out
        while out:
            piece = out[0]
            if not piece:
                self.out = None
                self._sent_all()
                return
            try:
                size = os.write(self.target.fd, piece)
            except BlockingIOError:
                self.blocked = self.connection.rearm = True
                return
            except OSError:
                self._target_gone()
                return
            self.held -= size
            self.sent += size
            if size == len(piece):
                out.popleft()
            else:
                out[0] = memoryview(piece)[size:]
        self.out = None

    def _sent_all(self) -> None:
        """What was written last was the end."""
        if self.hanging_up:
            self.connection.hang_up(self)
        else:
            self.finished = True
            self.connection.stream_finished(self)

    def _wait(self, pieces: list[Data]) -> None:
        if self.out is None:
            self.out = collections.deque()
        self.out.extend(pieces)
        self.blocked = self.connection.rearm = True

    def _target_gone(self) -> None:
        """The target refused bytes: from now on they are thrown away, and its own stream will say why."""
        self.connection.side_gone(self.target)

    def _return_pipe(self) -> None:
        if self.pipe is not None:
            self.connection.pipes.give(self.pipe, empty=not self.piped)
        self.pipe = None
        self.piped = 0
