"""One direction of one connection: from its source socket, through the stages of its toxics, to its target.

Bytes that no stage needs to see are spliced through a pipe and never enter Python. Otherwise they are read in chunks,
pushed through the stages, and written; what the target does not take yet waits in `out`. Either way at most a window
of bytes is held, and then the source is read no more until some have left.
"""

import collections
import os
from collections.abc import Callable
from typing import Protocol

from harness.proxy.loop import Loop, Timer
from harness.proxy.sockets import Pipe, PipePool, Side
from harness.proxy.toxics.stage import Data, End, Receiver, Stage

CHUNK_BYTES = 1 << 16
WINDOW_BYTES = 1 << 18
_SPLICE = 0x3  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK
_MORE_BYTES = 1 << 14  # after fewer than that, the source is taken to be empty for now
_ROUNDS = range(4)  # reads in a row before other connections have their turn


class StreamOwner(Protocol):
    """The connection, which decides what an end or a failure means for its other stream."""

    loop: Loop
    pipes: PipePool
    ordinal: int
    closed: bool
    rearm: bool  # what the loop has to watch may have changed

    def settle(self) -> None: ...
    def close(self, *, reset: bool = False) -> None: ...
    def side_gone(self, side: Side) -> None: ...
    def stream_ended(self, stream: "Stream") -> None: ...
    def stream_finished(self, stream: "Stream") -> None: ...
    def stream_reset(self, stream: "Stream") -> None: ...
    def hang_up(self, stream: "Stream") -> None: ...


class Stream:
    """Moves the bytes of one direction."""

    __slots__ = (
        "blocked", "connection", "direction", "discarding", "ended", "finished", "hanging_up", "held", "needs_bytes",
        "now", "offset", "ordinal", "out", "pipe", "piped", "sent", "silenced", "source", "stages", "target", "window",
    )  # fmt: skip

    def __init__(self, connection: StreamOwner, direction: str, source: Side, target: Side) -> None:
        self.connection = connection
        self.direction = direction
        self.source = source
        self.target = target
        self.now = connection.loop.now
        self.ordinal = connection.ordinal
        self.stages: tuple[Stage, ...] = ()
        self.offset = 0  # bytes read from the source so far
        self.sent = 0  # bytes written to the target so far
        self.held = 0  # bytes read, and neither written nor dropped, while not in the pipe
        self.window = WINDOW_BYTES
        self.needs_bytes = False  # some stage needs to see the bytes
        self.silenced = False  # some stage forbids that anything reaches the target
        self.out: collections.deque[Data] | None = None
        self.pipe: Pipe | None = None
        self.piped = 0  # bytes in the pipe
        self.blocked = False  # the target takes no more for now
        self.ended = False  # the source has ended
        self.discarding = False  # the target is gone: what is written to it is dropped
        self.finished = False  # the end has been passed on
        self.hanging_up = False  # a stage asked to close the connection when all is sent

    # For the connection.

    def wants_reading(self) -> bool:
        return not (self.ended or self.piped or self.hanging_up) and self.held < self.window

    def read(self) -> None:
        """The source may have bytes, or have ended."""
        for _ in _ROUNDS:
            if self.ended or self.piped or self.held >= self.window:
                return
            if (
                self._read_chunk() if self.needs_bytes or self.held or self.discarding else self._splice()
            ) < _MORE_BYTES:
                return

    def write(self) -> None:
        """The target may take bytes again."""
        self.blocked = False
        self.connection.rearm = True
        if self.piped:
            self._empty_pipe()
        if self.out and not self.blocked:
            self._empty_out()

    def add(self, stage: Stage) -> None:
        if self.stages:
            self.stages[-1].next = stage
        self._restage((*self.stages, stage))
        stage.start()

    def remove(self, stage: Stage) -> None:
        place = self.stages.index(stage)
        stage.flush()
        stage.stop()
        if self.closed:
            return
        if place:
            self.stages[place - 1].next = stage.next
        self._restage(self.stages[:place] + self.stages[place + 1 :])

    def close(self) -> None:
        for stage in self.stages:
            stage.stop()
        self._return_pipe()
        self.ended = self.finished = True

    # For the stages.

    def push(self, _offset: int, data: Data) -> None:
        """The exit of the stages: towards the target."""
        if self.discarding or self.hanging_up or self.silenced:
            self.lost(len(data))
        elif self.out or self.piped or self.blocked:
            self._wait(data)
        else:
            try:
                size = os.write(self.target.fd, data)
            except BlockingIOError:
                size = 0
            except OSError:
                self.held -= len(data)
                self.connection.side_gone(self.target)
                return
            self.lost(size)
            self.sent += size
            if size < len(data):
                self._wait(memoryview(data)[size:])

    def end(self, how: End) -> None:
        """The exit of the stages, for the end."""
        if self.finished or self.hanging_up or self.silenced:
            return
        self.hanging_up = how is End.CLOSE
        if how is End.RESET or self.discarding:
            self.finished = True
            self.connection.stream_reset(self)
        elif self.out or self.piped:
            self._wait(b"")  # an empty piece is the end
        else:
            self._sent_all()

    @property
    def closed(self) -> bool:
        return self.connection.closed

    def close_connection(self, *, reset: bool = False) -> None:
        self.connection.close(reset=reset)

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        """Call a stage at a moment; what it does may change what the loop has to watch."""

        def due() -> None:
            try:
                call()
            except Exception:
                self.connection.close()
                raise
            if self.connection.rearm:
                self.connection.settle()

        return self.connection.loop.at(when, due)

    def lost(self, size: int) -> None:
        self.held -= size
        self.connection.rearm = True

    def discard(self) -> int:
        waiting = sum(len(piece) for piece in self.out or ())
        size = self.piped + waiting
        self.lost(waiting)
        self.out = None
        self.blocked = False
        self._return_pipe()
        return size

    # Moving bytes.

    def _restage(self, stages: tuple[Stage, ...]) -> None:
        self.stages = stages
        self.needs_bytes = any(stage.sees_bytes for stage in stages)
        self.silenced = any(stage.silences for stage in stages)
        self.window = max([WINDOW_BYTES, *(stage.window_bytes for stage in stages)])
        self.connection.rearm = True

    def _source_ended(self, *, reset: bool) -> int:
        self.ended = True
        self.connection.rearm = True
        if reset:
            self.source.broken = True
        first: Receiver = self.stages[0] if self.stages else self
        first.end(End.RESET if self.source.broken else End.DONE)
        self.connection.stream_ended(self)
        return 0

    def _read_chunk(self) -> int:
        try:
            data = os.read(self.source.fd, CHUNK_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            return self._source_ended(reset=True)
        if not data:
            return self._source_ended(reset=False)
        offset = self.offset
        self.offset += len(data)
        self.held += len(data)
        first: Receiver = next((stage for stage in self.stages if stage.sees_bytes), self)
        first.push(offset, data)
        if self.held >= self.window:
            self.connection.rearm = True
        return len(data)

    def _splice(self) -> int:
        """Once from the source through the hot pipe to the target: the shortest way, taken by nearly all bytes."""
        pool = self.connection.pipes
        pipe = pool.hot or pool.keep_hot()
        if pipe is None:
            return self._read_chunk()
        try:
            size = os.splice(self.source.fd, pipe.w, pipe.size_bytes, None, None, _SPLICE)
            if not size:
                return self._source_ended(reset=False)
            self.offset += size
            self.piped = size
            sent = os.splice(pipe.r, self.target.fd, size, None, None, _SPLICE)
            self.sent += sent
            self.piped -= sent
            if not self.piped:
                return size
        except BlockingIOError:
            if not self.piped:
                return 0
        except OSError:
            if not self.piped:
                return self._source_ended(reset=True)
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
                self.connection.side_gone(self.target)
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
                self.connection.side_gone(self.target)
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

    def _wait(self, piece: Data) -> None:
        if self.out is None:
            self.out = collections.deque()
        self.out.append(piece)
        self.blocked = self.connection.rearm = True

    def _return_pipe(self) -> None:
        if self.pipe is not None:
            self.connection.pipes.give(self.pipe, empty=not self.piped)
        self.pipe = None
        self.piped = 0
