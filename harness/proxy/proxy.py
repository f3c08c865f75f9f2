"""A proxy: an address listened on, an upstream, the toxics between them, and the connections it has."""

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from harness.proxy.address import Place, Resolver, shown
from harness.proxy.connection import Connection
from harness.proxy.loop import IN, Loop
from harness.proxy.pipes import PipePool
from harness.proxy.toxic import DOWNSTREAM, UPSTREAM, Toxic

if TYPE_CHECKING:
    from harness.proxy.leases import Claim

_BACKLOG = 4096
_ACCEPT_AT_ONCE = 32
_OUT_OF_DESCRIPTORS_S = 0.05


class ListenError(Exception):
    """The address cannot be listened on; worded as Toxiproxy words it."""


class Proxy:
    """One entry of /proxies."""

    def __init__(self, name: str, listen: str, upstream: str, loop: Loop, pipes: PipePool, resolver: Resolver) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self.loop = loop
        self.pipes = pipes
        self.resolver = resolver
        self.toxics: list[Toxic] = []
        self.connections: set[Connection] = set()
        self.accepted = 0
        self.dials_failed = 0
        self.past_bytes = {UPSTREAM: [0, 0], DOWNSTREAM: [0, 0]}  # received and sent by connections that are closed
        self.claim: Claim | None = None
        self.down_claim: Claim | None = None
        self._listener: socket.socket | None = None

    def shown(self) -> dict[str, Any]:
        shown = {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "toxics": [toxic.shown() for toxic in self.ordered_toxics()],
        }
        claim = self.claim if self.enabled else self.down_claim or self.claim
        return shown if claim is None else {**shown, **claim.shown()}

    def ordered_toxics(self) -> list[Toxic]:
        """Upstream first, then downstream; in each, in the order in which they came and in which they act."""
        return [toxic for stream in (UPSTREAM, DOWNSTREAM) for toxic in self.toxics if toxic.stream == stream]

    def toxic(self, name: str) -> Toxic | None:
        return next((toxic for toxic in self.toxics if toxic.name == name), None)

    # Being up and down.

    def start(self, places: list[Place]) -> None:
        """Listen at the first of the places; ListenError when that is refused."""
        family, place = places[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # The sockets that are accepted inherit these.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if family == socket.AF_INET6 and place[0] == "::":
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(place)
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            why = os.strerror(error.errno or 0).lower()
            raise ListenError(f"listen tcp {shown(place)}: bind: {why}") from None
        self._listener = sock
        self.listen = shown(sock.getsockname())
        self.enabled = True
        self.loop.register(sock.fileno(), IN, self._accept)

    def stop(self) -> None:
        """Listen no more and close every connection."""
        self.enabled = False
        if self._listener is not None:
            self.loop.unregister(self._listener.fileno())
            self._listener.close()
            self._listener = None
        for connection in list(self.connections):
            connection.close()

    # Toxics.

    def add(self, toxic: Toxic) -> None:
        self.toxics.append(toxic)
        for connection in list(self.connections):
            connection.add(toxic)

    def change(self, toxic: Toxic) -> None:
        for connection in list(self.connections):
            connection.change(toxic)

    def remove(self, toxic: Toxic) -> None:
        self.toxics.remove(toxic)
        for connection in list(self.connections):
            connection.remove(toxic)

    # Connections.

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        for stream in (connection.up, connection.down):
            past = self.past_bytes[stream.direction]
            past[0] += stream.offset
            past[1] += stream.sent

    def moved_bytes(self, direction: str) -> tuple[int, int]:
        """Received and sent in one direction, so far."""
        received, sent = self.past_bytes[direction]
        for connection in self.connections:
            stream = connection.up if direction == UPSTREAM else connection.down
            received += stream.offset
            sent += stream.sent
        return received, sent

    def _accept(self, _mask: int) -> None:
        for _ in range(_ACCEPT_AT_ONCE):
            if self._listener is None:
                return
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ECONNABORTED:  # out of descriptors or memory
                    self.loop.rest(self._listener.fileno(), IN, self._accept, _OUT_OF_DESCRIPTORS_S)
                return
            if sock.fileno() >= self.pipes.descriptors:
                sock.close()  # the last few are kept for the API
                continue
            sock.setblocking(False)
            self.accepted += 1
            connection = Connection(self, sock, self.accepted)
            self.connections.add(connection)
            for toxic in self.toxics:
                connection.add(toxic)
            if not connection.closed:
                connection.dial()
