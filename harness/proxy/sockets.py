"""The two sides of a connection: a socket each, what the loop watches it for, and how the upstream is dialled.

Dialling waits for nothing: a name is looked up in another thread, a connection is made without blocking. So an
upstream that does not answer delays its own client and no other.
"""

import contextlib
import errno
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from typing import Protocol

from harness.proxy.address import AddressError, LookupNeeded, Resolver, SocketAddress
from harness.proxy.loop import Loop

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s
_PROBE_AFTER_S = 5


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
