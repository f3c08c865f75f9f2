"""One client's connection: the dialling of the upstream, two streams, and what an end on one side means for the other.

A half-close stays half a close, a reset stays a reset, and while a toxic silences a stream nothing whatever is done
to the socket behind it. Dialling never waits.
"""

import contextlib
import fcntl
import socket
import struct
import termios
from typing import TYPE_CHECKING

from harness.proxy.dial import Dial
from harness.proxy.loop import ERROR, HANG_UP, IN, OUT, Loop
from harness.proxy.stream import Stream
from harness.proxy.toxic import DOWNSTREAM, UPSTREAM, Toxic

if TYPE_CHECKING:
    from harness.proxy.proxy import Proxy

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
_CLOSE_WITHIN_S, _RESET_WITHIN_S = 30.0, 1.0  # how long unread bytes may keep a close, and a reset, waiting


class Side:
    """One of the two sockets."""

    __slots__ = ("broken", "fd", "mask", "quiet", "sock")

    def __init__(self, sock: socket.socket | None) -> None:
        self.sock = sock
        self.fd = -1 if sock is None else sock.fileno()
        self.mask = -1  # what the loop was asked for; -1: not registered
        self.broken = False  # the peer has reset it
        self.quiet = False  # registered for nothing it would still be reported: keep it out of the loop


class Connection:
    """Two sockets and the two streams between them."""

    __slots__ = (
        "client", "closed", "dialling", "down", "loop", "lost", "ordinal", "pipes", "proxy", "rearm",
        "server", "up",
    )  # fmt: skip

    def __init__(self, proxy: "Proxy", sock: socket.socket, ordinal: int) -> None:
        self.proxy = proxy
        self.loop: Loop = proxy.loop
        self.pipes = proxy.pipes
        self.ordinal = ordinal
        self.client = Side(sock)
        self.server = Side(None)
        self.up = Stream(self, UPSTREAM, self.client, self.server)
        self.down = Stream(self, DOWNSTREAM, self.server, self.client)
        self.closed = False
        self.dialling: Dial | None = Dial(self)
        self.lost = False  # the upstream could not be reached, and a toxic keeps that from the client
        self.rearm = True  # what to wait for may have changed

    def add(self, toxic: Toxic) -> None:
        """A toxic may strike this connection."""
        if not toxic.strikes(self.ordinal):
            toxic.tally.spared += 1
            return
        toxic.tally.chosen += 1
        stream = self.up if toxic.stream == UPSTREAM else self.down
        stream.add(toxic.kind(toxic, stream))
        self.settle()

    def remove(self, toxic: Toxic) -> None:
        for stream in (self.up, self.down):
            for stage in stream.stages:
                if stage.toxic is toxic and not self.closed:
                    stream.remove(stage)
        self.settle()

    def change(self, toxic: Toxic) -> None:
        """The toxic's attributes or toxicity have changed."""
        for stream in (self.up, self.down):
            for stage in stream.stages:
                if stage.toxic is toxic and not self.closed:
                    if toxic.strikes(self.ordinal):
                        stage.changed()
                    else:
                        stream.remove(stage)
                    self.settle()
                    return
        if not self.closed and toxic.strikes(self.ordinal):
            self.add(toxic)

    # Dialling.

    def dial(self) -> None:
        if self.dialling is not None:
            self.dialling.start()

    def dialled(self) -> None:
        """The upstream has accepted."""
        self.dialling = None
        self.rearm = True

    def unreachable(self) -> None:
        """The upstream has not accepted; whether the client is told depends on the toxics."""
        self.proxy.dials_failed += 1
        self.dialling = None
        if self.up.silenced or self.down.silenced:
            self.lost = True
            self.up.deaf = True
            self.down.ended = True
            self.settle()
        else:
            self.close()

    # Events.

    def on_client(self, mask: int) -> None:
        if mask & OUT:
            self.down.write()
        if mask & ~OUT:
            if self.up.wants_reading() and not self.dialling:
                self.up.read()
            elif mask & (ERROR | HANG_UP):
                self._failed(self.client, mask)
        if self.rearm:
            self.settle()

    def on_server(self, mask: int) -> None:
        if self.dialling is not None:
            self.dialling.answered()
            self.settle()
            return
        if mask & OUT:
            self.up.write()
        if mask & ~OUT:
            if self.down.wants_reading():
                self.down.read()
            elif mask & (ERROR | HANG_UP):
                self._failed(self.server, mask)
        if self.rearm:
            self.settle()

    def _failed(self, side: Side, mask: int) -> None:
        """Nothing is read from this side now, yet something has happened to it."""
        side.quiet = self.rearm = True
        if self.dialling:
            self.close()
        elif mask & ERROR and not side.broken:
            self.side_gone(side)

    # What streams report.

    def stream_finished(self, stream: Stream) -> None:
        """A stream has passed on its end: so does the socket."""
        other = self._other(stream)
        if stream.target.sock is not None:
            with contextlib.suppress(OSError):
                stream.target.sock.shutdown(socket.SHUT_WR)
        if stream.source.broken:
            self.hang_up(stream, reset=True)
        elif other.finished:
            self.close()
        elif other.ended and self._untouchable(stream.source):
            self._hold(stream.source, stream.target)

    def stream_reset(self, stream: Stream) -> None:
        """A stream has passed on a reset, or ended towards a target that is gone."""
        if self._untouchable(stream.source) and not stream.source.broken:
            self._other(stream).ended = True
            self._hold(stream.source, stream.target)
        else:
            self.hang_up(stream, reset=True)

    def stream_ended(self, stream: Stream) -> None:
        """A stream's source has ended, and its stages know."""
        if self.closed:
            return
        if stream.source.broken:
            self.side_gone(stream.source)
        elif stream.silenced and self._other(stream).finished:
            self._hold(stream.target, stream.source)

    def side_gone(self, side: Side) -> None:
        """A side was reset. What it had sent before is still read; then its own stream says so to the other side."""
        side.broken = True
        into, outof = (self.down, self.up) if side is self.client else (self.up, self.down)
        into.discard()
        into.deaf = True
        if outof.ended and not self.closed:
            if outof.finished and not outof.silenced:
                self.hang_up(outof, reset=True)
            else:
                self.release(side)

    def hang_up(self, stream: Stream, waited_s: float = 0.0, *, reset: bool = False) -> None:
        """Close both sides as soon as the target has acknowledged all that was sent to it."""
        if self.closed:
            return
        sock = stream.target.sock
        if sock is None:
            self.close(reset=reset)
            return
        if not waited_s:
            self.up.ended = self.down.ended = self.rearm = True
            if not reset:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)
        left = _unacknowledged_bytes(sock)
        if not left or stream.target.broken or waited_s > (_RESET_WITHIN_S if reset else _CLOSE_WITHIN_S):
            self.close(reset=reset)
            return
        pause_s = min(0.05, 0.0005 + waited_s)
        self.loop.after(pause_s, lambda: self.hang_up(stream, waited_s + pause_s, reset=reset))

    # Closing, and what to wait for.

    def close(self, *, reset: bool = False) -> None:
        if self.closed:
            return
        self.closed = True
        for side in (self.client, self.server):
            if reset and side.sock is not None:
                with contextlib.suppress(OSError):
                    side.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.release(side)
        self.up.close()
        self.down.close()
        self.proxy.closed(self)

    def settle(self) -> None:
        """Tell the loop what this connection now waits for."""
        if self.closed:
            return
        self.rearm = False
        up, down = self.up, self.down
        client = (IN if up.wants_reading() and not self.dialling else 0) | (OUT if down.blocked else 0)
        if client != self.client.mask or self.client.quiet:
            self._register(self.client, client)
        server = (IN if down.wants_reading() and not self.dialling else 0) | (OUT if up.blocked or self.dialling else 0)
        if server != self.server.mask or self.server.quiet:
            self._register(self.server, server)

    def _register(self, side: Side, mask: int) -> None:
        if side.fd < 0:
            return
        if side.mask < 0:
            if mask or not side.quiet:
                self.loop.register(side.fd, mask, self.on_client if side is self.client else self.on_server)
                side.mask, side.quiet = mask, False
        elif not mask and side.quiet:
            self.loop.unregister(side.fd)
            side.mask = -1
        else:
            self.loop.modify(side.fd, mask)
            side.mask, side.quiet = mask, False

    def release(self, side: Side) -> None:
        if side.mask >= 0:
            self.loop.unregister(side.fd)
        if side.sock is not None:
            side.sock.close()
        side.sock, side.fd, side.mask = None, -1, -1
        if self.client.fd < 0 and self.server.fd < 0 and not self.dialling:
            self.close()

    def _other(self, stream: Stream) -> Stream:
        return self.down if stream is self.up else self.up

    def _untouchable(self, side: Side) -> bool:
        """A toxic forbids that anything reaches this side."""
        return self.lost or (self.down if side is self.client else self.up).silenced

    def _hold(self, silent: Side, done: Side) -> None:
        """One side is done with and the other must hear nothing: keep it open, and ask its peer now and then whether
        it still exists, so that it is not kept for ever."""
        if silent.sock is not None:
            with contextlib.suppress(OSError):
                silent.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
                    if hasattr(socket, option):
                        silent.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), 5)
        self.release(done)


def _unacknowledged_bytes(sock: socket.socket) -> int:
    """What the peer's kernel has not acknowledged yet; 0 where that cannot be asked."""
    try:
        left: int = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    except OSError:
        return 0
    return left
