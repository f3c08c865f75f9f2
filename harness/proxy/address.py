"""Addresses as Toxiproxy writes them: `host:port`, `[v6]:port`, `:port`; and looking names up without blocking.

A numeric address is ready at once. A name is looked up in a thread of its own, since a slow name server must stop
nobody; what is found is kept for a short while.
"""

import contextlib
import ipaddress
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

Place = tuple[int, Any]  # address family, socket address
_KEEP_S = 5.0


class AddressError(ValueError):
    """An address that cannot be one; the message is worded as Toxiproxy words it."""


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
    with contextlib.suppress(OSError):
        return socket.getservbyname(port, "tcp")
    raise AddressError(f"lookup tcp/{port}: unknown port")


def numeric(host: str, port: int) -> list[Place] | None:
    """The places of a host that need no looking up; None when it is a name."""
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
    return [(info[0], info[4]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def shown(place: Any) -> str:
    host, port = place[0], place[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class NotYetKnown(Exception):  # noqa: N818 - a request to wait, not an error
    """A name that must be looked up first; do again what raised this when it has been."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host


class Resolver:
    """Looks names up in a thread that is started when the first one is asked for."""

    def __init__(self, now: Callable[[], float], post: Callable[[Callable[[], None]], None]) -> None:
        self._now = now
        self._post = post
        self._known: dict[str, tuple[float, list[Place] | str]] = {}
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def known(self, address: str) -> list[Place]:
        """Where an address is; NotYetKnown when it has to be asked for first, AddressError when it is nowhere."""
        host, port_text = split(address)
        port = port_number(port_text)
        places = numeric(host, port)
        if places is not None:
            return places
        until, answer = self._known.get(host, (0.0, ""))
        if self._now() >= until:
            raise NotYetKnown(host)
        if isinstance(answer, str):
            raise AddressError(answer)
        return [(family, (place[0], port, *place[2:])) for family, place in answer]

    def ask(self, host: str, then: Callable[[], None]) -> None:
        """Look a name up and call back, in the loop's thread, when the answer is known."""
        waiting = self._waiting.setdefault(host, [])
        waiting.append(then)
        if len(waiting) > 1:
            return
        if len(self._threads) < 4:
            thread = threading.Thread(target=self._work, name="harness-proxy-names", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._asked.put(host)

    def look_up(self, host: str) -> None:
        """The same, waiting for the answer: for the start of a program only."""
        self._learnt(host, _found(host))

    def close(self) -> None:
        for _ in self._threads:
            self._asked.put(None)

    def _work(self) -> None:
        while (host := self._asked.get()) is not None:
            answer = _found(host)
            self._post(lambda host=host, answer=answer: self._learnt(host, answer))  # type: ignore[misc]

    def _learnt(self, host: str, answer: list[Place] | str) -> None:
        if len(self._known) > 256:
            self._known.clear()
        self._known[host] = (self._now() + _KEEP_S, answer)
        for then in self._waiting.pop(host, []):
            then()


def _found(host: str) -> list[Place] | str:
    try:
        return [(info[0], info[4]) for info in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return f"lookup {host}: no such host"
