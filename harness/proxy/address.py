"""Addresses as Toxiproxy writes them: `host:port`, `[v6]:port`, `:port`; and name lookups that do not block.

A numeric address is ready at once. A name is looked up in another thread, since a slow name server must delay nothing
else; the result is cached for a few seconds. A name with several addresses, such as that of a service with replicas,
is looked up more often, and each connection begins with the next of them, as it would by the name server's own turns.
"""

import contextlib
import ipaddress
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

SocketAddress = tuple[int, Any]  # address family, and the address as the socket module takes it
_CACHE_S = 5.0
_SEVERAL_CACHE_S = 0.2
"""For a name with several addresses: one that stops is soon left out by the name server."""


class AddressError(ValueError):
    """An invalid address; the message is worded as Toxiproxy words it."""


def split(address: str) -> tuple[str, str]:
    """Host and port of an address."""
    if not address:
        return "", "0"
    host, colon, port = address.rpartition(":")
    if not colon:
        raise AddressError(f"address {address}: missing port in address")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    if ":" in host:
        raise AddressError(f"address {address}: too many colons in address")
    return host, port


def port_number(port: str) -> int:
    if not port:
        return 0
    if port.isascii() and port.isdigit():
        if int(port) > 65535:
            raise AddressError(f"address {port}: invalid port")
        return int(port)
    with contextlib.suppress(OSError, ValueError):  # a NUL is a ValueError
        return socket.getservbyname(port, "tcp")
    raise AddressError(f"lookup tcp/{port}: unknown port")


def numeric(host: str, port: int) -> list[SocketAddress] | None:
    """The socket addresses of a host that needs no lookup; None when it is a name."""
    if not host and socket.has_dualstack_ipv6():
        return [(socket.AF_INET6, ("::", port))]
    if not host:
        return [(socket.AF_INET, ("0.0.0.0", port))]  # noqa: S104 - what an empty host means
    if host == "localhost":
        return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port))]
    try:
        version = ipaddress.ip_address(host.partition("%")[0]).version
    except ValueError:
        return None
    if version == 4:
        return [(socket.AF_INET, (host, port))]
    try:
        return [(info[0], info[4]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, ValueError):  # the zone of an address that there is not
        raise AddressError(f"lookup {host}: no such host") from None


def as_text(address: Any) -> str:
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class LookupNeeded(Exception):  # noqa: N818 - a request to wait, not an error
    """A name must be looked up first; do again what raised this when it has been."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host


class Resolver:
    """Looks names up in threads, which are started when first needed."""

    def __init__(self, now: Callable[[], float], post: Callable[[Callable[[], None]], None]) -> None:
        self._now = now
        self._post = post
        self._known: dict[str, tuple[float, list[SocketAddress] | str]] = {}
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def resolve(self, address: str) -> list[SocketAddress]:
        """The socket addresses of an address; LookupNeeded when its name must be looked up first, else AddressError."""
        host, port_text = split(address)
        port = port_number(port_text)
        addresses = numeric(host, port)
        if addresses is not None:
            return addresses
        until, answer = self._known.get(host, (0.0, ""))
        if self._now() >= until:
            raise LookupNeeded(host)
        if isinstance(answer, str):
            raise AddressError(answer)
        if len(answer) > 1:
            self._known[host] = (until, _turned(answer))
        return [(family, (found[0], port, *found[2:])) for family, found in answer]

    def look_up(self, host: str, then: Callable[[], None]) -> None:
        """Look a name up, and then call back in the loop's thread."""
        waiting = self._waiting.setdefault(host, [])
        waiting.append(then)
        if len(waiting) > 1:
            return
        if len(self._threads) < 4:
            thread = threading.Thread(target=self._work, name="harness-proxy-names", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._queue.put(host)

    def look_up_now(self, host: str) -> None:
        """The same, blocking: for the start of the program only."""
        self._add(host, _lookup(host))

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (host := self._queue.get()) is not None:
            answer = _lookup(host)
            self._post(lambda host=host, answer=answer: self._add(host, answer))  # type: ignore[misc]

    def _add(self, host: str, answer: list[SocketAddress] | str) -> None:
        if len(self._known) > 256:
            self._known.clear()
        several = not isinstance(answer, str) and len(answer) > 1
        self._known[host] = (self._now() + (_SEVERAL_CACHE_S if several else _CACHE_S), answer)
        for then in self._waiting.pop(host, []):
            then()


def _turned(addresses: list[SocketAddress]) -> list[SocketAddress]:
    """The same addresses, with the next one of the preferred family first."""
    family = addresses[0][0]
    same = [one for one in addresses if one[0] == family]
    return [*same[1:], same[0], *(one for one in addresses if one[0] != family)]


def _lookup(host: str) -> list[SocketAddress] | str:
    try:
        return [(info[0], info[4]) for info in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)]
    except (OSError, ValueError):
        return f"lookup {host}: no such host"
