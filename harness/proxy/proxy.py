"""A proxy: a listen address, an upstream, the toxics between them, and the open connections."""

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from harness.proxy.address import Resolver, SocketAddress, as_text
from harness.proxy.connection import Connection
from harness.proxy.dead_upstream import CLOSE, REFUSE, RETRY_S, UpstreamWatch
from harness.proxy.leases import Expiry
from harness.proxy.loop import IN, Loop, Timer
from harness.proxy.sockets import PipePool
from harness.proxy.toxic import DOWNSTREAM, UPSTREAM, Toxic
from harness.proxy.toxics import TOXICS

_BACKLOG = 4096
_ACCEPT_AT_ONCE = 32
_OUT_OF_DESCRIPTORS_S = 0.05


class ListenError(Exception):
    """The proxy cannot listen at its address; worded as Toxiproxy words it."""


class Proxy:
    """One entry of /proxies."""

    def __init__(
        self,
        name: str,
        listen: str,
        upstream: str,
        loop: Loop,
        pipes: PipePool,
        resolver: Resolver,
        record: Callable[..., None],
    ) -> None:
        """`record`: writes an event to the journal."""
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self.dead_upstream = CLOSE
        self.loop = loop
        self.pipes = pipes
        self.resolver = resolver
        self.toxics: list[Toxic] = []
        self.connections: set[Connection] = set()
        self.accepted = 0
        self.dials_failed = 0
        self.past_bytes = {UPSTREAM: [0, 0], DOWNSTREAM: [0, 0]}  # received and sent by connections that are closed
        self.expiry: Expiry | None = None  # of the proxy
        self.down_expiry: Expiry | None = None  # of its being disabled
        self._record = record
        self._listener: socket.socket | None = None
        self._awaited: UpstreamWatch | Timer | None = None  # while clients are refused: what ends that

    def as_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "toxics": [toxic.as_json() for toxic in self.ordered_toxics()],
        }
        if self.dead_upstream != CLOSE:
            fields["dead_upstream"] = self.dead_upstream
        expiry = self.expiry if self.enabled else self.down_expiry or self.expiry
        return fields if expiry is None else {**fields, **expiry.as_json()}

    def ordered_toxics(self) -> list[Toxic]:
        """Upstream first, then downstream; each in the order in which they were added and act."""
        return [toxic for stream in (UPSTREAM, DOWNSTREAM) for toxic in self.toxics if toxic.stream == stream]

    def toxic(self, name: str) -> Toxic | None:
        return next((toxic for toxic in self.toxics if toxic.name == name), None)

    # Up and down.

    def start(self, addresses: list[SocketAddress]) -> None:
        """Listen at the first of the addresses; raises ListenError."""
        family, address = addresses[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Accepted sockets inherit these.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if family == socket.AF_INET6 and address[0] == "::":
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(address)
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            reason = os.strerror(error.errno or 0).lower()
            raise ListenError(f"listen tcp {as_text(address)}: bind: {reason}") from None
        self._listener = sock
        self.listen = as_text(sock.getsockname())
        self.enabled = True
        self.loop.register(sock.fileno(), IN, self._accept)

    def stop(self) -> None:
        """Stop listening, and close every connection."""
        self.enabled = False
        self._end_refusing()
        self._close_listener()
        for connection in list(self.connections):
            connection.close()

    def _close_listener(self) -> None:
        if self._listener is not None:
            self.loop.unregister(self._listener.fileno())
            self._listener.close()
            self._listener = None

    # A dead upstream.

    def when_dead(self, how: str) -> None:
        """What clients get from now on whose upstream cannot be reached."""
        self.dead_upstream = how
        if how != REFUSE:
            self._accept_again("no longer refused")

    def dial_failed(self, *, hidden: bool) -> None:
        """The upstream cannot be reached; `hidden` where a toxic keeps that from the client."""
        self.dials_failed += 1
        if self.dead_upstream == REFUSE and not hidden and self._listener is not None and not self._silences():
            self._close_listener()
            self._awaited = UpstreamWatch(self.loop, self.resolver, self.upstream, self._upstream_back)
            self._record("proxy_refuses", proxy=self.name, why=f"the upstream {self.upstream} cannot be reached")

    def _upstream_back(self) -> None:
        self._accept_again("the upstream accepts again")

    def _accept_again(self, why: str) -> None:
        if self._awaited is None:
            return
        self._end_refusing()
        try:
            self.start(self.resolver.resolve(self.listen))
        except ListenError:  # in use just now: keep trying, the proxy must not stay down
            self._awaited = self.loop.after(RETRY_S, lambda: self._accept_again(why))
            return
        self._record("proxy_accepts", proxy=self.name, why=why)

    def _end_refusing(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None

    def _silences(self) -> bool:
        """A toxic hides what becomes of connections: a refusal would tell."""
        return any(TOXICS[toxic.type].silences for toxic in self.toxics)

    # Toxics.

    def add(self, toxic: Toxic) -> None:
        self.toxics.append(toxic)
        if self._silences():
            self._accept_again(f"{toxic.name} is to be silent")
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
