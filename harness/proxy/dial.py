"""The dialling of an upstream: find where it is, try each place in turn, and wait for nothing.

A name is looked up in another thread, a connection is made without blocking; so an upstream that does not answer holds
up its own client and nobody else's.
"""

import contextlib
import errno
import socket
from typing import TYPE_CHECKING

from harness.proxy.address import AddressError, NotYetKnown, Place

if TYPE_CHECKING:
    from harness.proxy.connection import Connection


class Dial:
    """One connection's way to its upstream; it ends by `dialled` or `unreachable`."""

    __slots__ = ("connection", "places")

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.places: list[Place] = []

    def start(self) -> None:
        proxy = self.connection.proxy
        try:
            self.places = list(proxy.resolver.known(proxy.upstream))
        except NotYetKnown as name:
            self.connection.settle()
            proxy.resolver.ask(name.host, self._known)
            return
        except AddressError:
            self.places = []
        self._next()

    def answered(self) -> None:
        """The socket says that its connecting has come to an end."""
        server = self.connection.server
        assert server.sock is not None
        if server.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.connection.release(server)
            self._next()
            return
        try:
            server.sock.getpeername()
        except OSError:
            return  # not yet: the event was meant for an earlier socket of the same number
        with contextlib.suppress(OSError):
            server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.connection.dialled()

    def _known(self) -> None:
        if not self.connection.closed:
            self.start()

    def _next(self) -> None:
        server = self.connection.server
        while self.places:
            family, place = self.places.pop(0)
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
            except OSError:  # out of descriptors
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            error = sock.connect_ex(place)
            if error in (0, errno.EINPROGRESS):
                server.sock, server.fd = sock, sock.fileno()
                if not error:
                    self.answered()
                self.connection.settle()
                return
            sock.close()
        self.connection.unreachable()
