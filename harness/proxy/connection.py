"""One client's connection: two sides, two streams between them, and what an end on one side means for the other.

A half-close stays a half-close, a reset stays a reset, and while a toxic silences a stream nothing whatever is done
to the socket behind it.
"""

import socket
from typing import Protocol

from harness.proxy.address import Resolver
from harness.proxy.dead_upstream import CLOSE
from harness.proxy.loop import ERROR, HANG_UP, IN, OUT, Loop
from harness.proxy.sockets import Dial, PipePool, Side
from harness.proxy.stream import Stream
from harness.proxy.toxic import DOWNSTREAM, UPSTREAM, Toxic
from harness.proxy.toxics import TOXICS

_CLOSE_WITHIN_S, _RESET_WITHIN_S = 30.0, 1.0  # how long unread bytes may delay a close, and a reset


class ConnectionOwner(Protocol):
    """The proxy that accepted the connection."""

    upstream: str
    loop: Loop
    pipes: PipePool
    resolver: Resolver
    dead_upstream: str

    def dial_failed(self, *, hidden: bool) -> None: ...
    def closed(self, connection: "Connection") -> None: ...


class Connection:
    """Two sockets and the two streams between them."""

    __slots__ = (
        "client", "closed", "dialling", "down", "loop", "lost", "ordinal", "pipes", "proxy", "rearm",
        "server", "up",
    )  # fmt: skip

    def __init__(self, proxy: ConnectionOwner, sock: socket.socket, ordinal: int) -> None:
        self.proxy = proxy
        self.loop = proxy.loop
        self.pipes = proxy.pipes
        self.ordinal = ordinal
        self.client = Side(sock)
        self.server = Side(None)
        self.up = Stream(self, UPSTREAM, self.client, self.server)
        self.down = Stream(self, DOWNSTREAM, self.server, self.client)
        self.closed = False
        self.dialling: Dial | None = Dial(self, self.server, self.loop, proxy.resolver, proxy.upstream)
        self.lost = False  # the upstream could not be reached, and a toxic hides that from the client
        self.rearm = True  # what the loop has to watch may have changed

    # Toxics.

    def add(self, toxic: Toxic) -> None:
        """A toxic may affect this connection."""
        if not toxic.affects(self.ordinal):
            toxic.counts.spared += 1
            return
        toxic.counts.affected += 1
        stream = self.up if toxic.stream == UPSTREAM else self.down
        stream.add(TOXICS[toxic.type](toxic, stream))
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
                    if toxic.affects(self.ordinal):
                        stage.changed()
                    else:
                        stream.remove(stage)
                    self.settle()
                    return
        if not self.closed and toxic.affects(self.ordinal):
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
        """The upstream has not accepted. The client hears of it, unless a toxic silences the connection."""
        self.dialling = None
        hidden = self.up.silenced or self.down.silenced
        self.proxy.dial_failed(hidden=hidden)
        if hidden:
            self.lost = True
            self.up.discarding = True
            self.down.ended = True
            self.settle()
        else:
            self.close(reset=self.proxy.dead_upstream != CLOSE)

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
        """An error or a hang-up on a side that is not being read now."""
        side.quiet = self.rearm = True
        if self.dialling:
            self.close()
        elif mask & ERROR and not side.broken:
            self.side_gone(side)

    # What streams report.

    def stream_finished(self, stream: Stream) -> None:
        """A stream has passed on its end: so does the socket."""
        other = self._other(stream)
        stream.target.shut_down_writing()
        if stream.source.broken:
            self.hang_up(stream, reset=True)
        elif other.finished:
            self.close()
        elif other.ended and self._silenced_towards(stream.source):
            self._hold(stream.source, stream.target)

    def stream_reset(self, stream: Stream) -> None:
        """A stream has passed on a reset, or ended towards a target that is gone."""
        if self._silenced_towards(stream.source) and not stream.source.broken:
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
        """A side was reset. What it had sent before is still passed on; then its own stream passes on the reset."""
        side.broken = True
        towards, outof = (self.down, self.up) if side is self.client else (self.up, self.down)
        towards.discard()
        towards.discarding = True
        if outof.ended and not self.closed:
            if outof.finished and not outof.silenced:
                self.hang_up(outof, reset=True)
            else:
                self.release(side)

    def hang_up(self, stream: Stream, waited_s: float = 0.0, *, reset: bool = False) -> None:
        """Close both sides as soon as the target has acknowledged all that was sent to it."""
        if self.closed:
            return
        target = stream.target
        if target.sock is None:
            self.close(reset=reset)
            return
        if not waited_s:
            self.up.ended = self.down.ended = self.rearm = True
            if not reset:
                target.shut_down_writing()
        limit_s = _RESET_WITHIN_S if reset else _CLOSE_WITHIN_S
        if target.broken or waited_s > limit_s or not target.unacknowledged_bytes():
            self.close(reset=reset)
            return
        pause_s = min(0.05, 0.0005 + waited_s)
        self.loop.after(pause_s, lambda: self.hang_up(stream, waited_s + pause_s, reset=reset))

    # Closing, and what to watch.

    def close(self, *, reset: bool = False) -> None:
        if self.closed:
            return
        self.closed = True
        for side in (self.client, self.server):
            side.release(self.loop, reset=reset)
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
        self.client.watch(self.loop, client, self.on_client)
        server = (IN if down.wants_reading() and not self.dialling else 0) | (OUT if up.blocked or self.dialling else 0)
        self.server.watch(self.loop, server, self.on_server)

    def release(self, side: Side) -> None:
        side.release(self.loop)
        if self.client.fd < 0 and self.server.fd < 0 and not self.dialling:
            self.close()

    def _other(self, stream: Stream) -> Stream:
        return self.down if stream is self.up else self.up

    def _silenced_towards(self, side: Side) -> bool:
        """Nothing may reach this side: a toxic silences it, or hides from it that the upstream is unreachable."""
        return self.lost or (self.down if side is self.client else self.up).silenced

    def _hold(self, silent: Side, done: Side) -> None:
        """Close one side and keep the other open in silence, as long as its peer exists."""
        silent.probe_peer()
        self.release(done)
