"""The two sides of a connection, a socket each, and the kernel pipes that are lent to it while bytes are on their way.

Dialling waits for nothing: a name is looked up in another thread, a connection is made without blocking. So an
upstream that does not answer delays its own client and no other. An idle connection holds no pipe, so 9,000 of them
cost 18,000 descriptors and not 36,000. Where the platform has no splice, or no descriptor is left, `take` returns None
and the bytes go through Python instead.
"""

import contextlib
import errno
import fcntl
import os
import resource
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import Protocol

from harness.proxy.address import AddressError, LookupNeeded, Resolver, SocketAddress
from harness.proxy.loop import Loop

_KEPT_FOR_THE_API = 64  # descriptors, so that a fault can be removed whatever it has caused
WANTED_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ
CAN_SPLICE = hasattr(os, "splice")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
_PROBE_AFTER_S = 5


class Pipe:
    __slots__ = ("r", "size_bytes", "w")

    def __init__(self) -> None:
        self.r, self.w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.size_bytes = 65536
        with contextlib.suppress(OSError):  # over the user's limit of pipe memory: the default size will do
            self.size_bytes = fcntl.fcntl(self.w, _SET_PIPE_SIZE, WANTED_BYTES)

    def close(self) -> None:
        os.close(self.r)
        os.close(self.w)


class PipePool:
    """Empty pipes to lend. `hot` is used without being lent, as long as each use leaves it empty."""

    def __init__(self, keep: int = 16, *, portable: bool = False) -> None:
        self.splice = CAN_SPLICE and not portable
        self._keep = keep
        self._idle: list[Pipe] = []
        self.hot = self.take()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.descriptors = sys.maxsize if limit == resource.RLIM_INFINITY else max(64, limit - _KEPT_FOR_THE_API)

    def take(self) -> Pipe | None:
        if self._idle:
            return self._idle.pop()
        if not self.splice:
            return None
        try:
            return Pipe()
        except OSError:
            return None

    def give(self, pipe: Pipe, *, empty: bool) -> None:
        """Take a pipe back; one with bytes left in it is closed, never lent again."""
        if empty and len(self._idle) < self._keep:
            self._idle.append(pipe)
        else:
            pipe.close()

    def keep_hot(self) -> Pipe | None:
        """The hot pipe was left with bytes in it and is now lent: replace it."""
        self.hot = self.take()
        return self.hot

    def close(self) -> None:
        if self.hot is not None:
            self.hot.close()
        while self._idle:
            self._idle.pop().close()


class Side:
    """One of the two sockets, or the place for it while it is not connected or released."""

    __slots__ = ("broken", "fd", "mask", "quiet", "sock")

    def __init__(self, sock: socket.socket | None) -> None:
        self.sock = sock
        self.fd = -1 if sock is None else sock.fileno()
        self.mask = -1  # what the loop watches it for; -1: not registered
        self.broken = False  # the peer has reset it
        self.quiet = False  # an event that cannot be masked was reported: watch it only when there is a mask

    def connect(self, sock: socket.socket) -> None:
        self.sock, self.fd = sock, sock.fileno()

    def watch(self, loop: Loop, mask: int, handler: Callable[[int], None]) -> None:
        """Have the loop call the handler for these events."""
        if self.fd < 0 or (mask == self.mask and not self.quiet):
            return
        if self.mask < 0:
            if mask or not self.quiet:
                loop.register(self.fd, mask, handler)
                self.mask, self.quiet = mask, False
        elif not mask and self.quiet:
            loop.unregister(self.fd)
            self.mask = -1
        else:
            loop.modify(self.fd, mask)
            self.mask, self.quiet = mask, False

    def release(self, loop: Loop, *, reset: bool = False) -> None:
        """Close the socket, by an RST if `reset`."""
        if self.mask >= 0:
            loop.unregister(self.fd)
        if self.sock is not None:
            if reset:
                with contextlib.suppress(OSError):
                    self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.sock.close()
        self.sock, self.fd, self.mask = None, -1, -1

    def shut_down_writing(self) -> None:
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)

    def probe_peer(self) -> None:
        """Have the kernel ask every few seconds whether the peer still exists."""
        if self.sock is None:
            return
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
                if hasattr(socket, option):
                    self.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), _PROBE_AFTER_S)

    def unacknowledged_bytes(self) -> int:
        """What the peer's kernel has not acknowledged yet; 0 where the kernel cannot tell."""
        try:
            size: int = struct.unpack("i", fcntl.ioctl(self.fd, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        except (OSError, ValueError):
            return 0
        return size


class DialOwner(Protocol):
    """The connection whose upstream is dialled."""

    closed: bool

    def dialled(self) -> None: ...
    def unreachable(self) -> None: ...
    def settle(self) -> None: ...


class Dial:
    """Connects a side to its upstream, trying each address in turn; ends by `dialled` or `unreachable`."""

    __slots__ = ("_addresses", "_loop", "_owner", "_resolver", "_side", "_upstream")

    def __init__(self, owner: DialOwner, side: Side, loop: Loop, resolver: Resolver, upstream: str) -> None:
        self._owner = owner
        self._side = side
        self._loop = loop
        self._resolver = resolver
        self._upstream = upstream
        self._addresses: list[SocketAddress] = []

    def start(self) -> None:
        if self._owner.closed:
            return
        try:
            self._addresses = list(self._resolver.resolve(self._upstream))
        except LookupNeeded as needed:
            self._owner.settle()
            self._resolver.look_up(needed.host, self.start)
            return
        except AddressError:
            self._addresses = []
        self._next()

    def answered(self) -> None:
        """The socket reports that connecting has ended."""
        sock = self._side.sock
        assert sock is not None
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._side.release(self._loop)
            self._next()
            return
        try:
            sock.getpeername()
        except OSError:
            return  # not yet: the event was meant for an earlier socket of the same number
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._owner.dialled()

    def _next(self) -> None:
        while self._addresses:
            family, address = self._addresses.pop(0)
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
            except OSError:  # out of descriptors
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            error = sock.connect_ex(address)
            if error in (0, errno.EINPROGRESS):
                self._side.connect(sock)
                if not error:
                    self.answered()
                self._owner.settle()
                return
            sock.close()
        self._owner.unreachable()
