"""The fault proxy in memory, without a socket or a name server: its HTTP API, and the file of `--config`."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from unittest import mock

from harness.proxy import registry as registry_module
from harness.proxy.access import Access, Upstreams
from harness.proxy.address import LookupNeeded, Resolver, SocketAddress, as_text
from harness.proxy.api import Api
from harness.proxy.httpd import ApiResponse, HttpRequest, Incomplete, MalformedRequestError, parse
from harness.proxy.loop import Loop, Timer
from harness.proxy.proxy import Proxy
from harness.proxy.registry import ProxyRegistry
from harness.proxy.server import ProxyServer
from harness.proxy.sockets import PipePool
from harness.proxy.wire import ApiError

MOST_REQUESTS = 40
MOST_TIMERS = 100
MOST_LOOKUPS = 1000
_LATER_S = 90_000.0
"""Longer than any lease or time to live."""


class _Loop(Loop):
    """Timers on a clock of their own; no descriptor is ever ready."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.now = lambda: self.at_s
        self._due: list[tuple[float, int, Timer]] = []

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._due, (when, len(self._due), timer))
        return timer

    def end(self) -> None:
        """Run what is due within a day."""
        for _ in range(MOST_TIMERS):
            if not self._due or self._due[0][0] > _LATER_S:
                return
            self.at_s, _, timer = heapq.heappop(self._due)
            if timer.call is not None:
                timer.call()


class _Proxy(Proxy):
    """A proxy that only says that it listens."""

    def start(self, addresses: list[SocketAddress]) -> None:
        self.listen = as_text(addresses[0][1])
        self.enabled = True


_PIPES = PipePool(portable=True)


def serve(data: bytes) -> bool:
    """Answer the requests of one connection; return whether one was granted. Raises what would have ended it."""
    loop = _Loop()
    resolver = Resolver(loop.now, lambda call: call())
    registry = ProxyRegistry(loop, _PIPES, resolver, 1, Upstreams())
    api = Api(registry, Access(), with_metrics=True)
    received = bytearray(data)
    granted = False
    with mock.patch.object(registry_module, "Proxy", _Proxy):
        for _ in range(MOST_REQUESTS):
            try:
                request, size = parse(received)
            except (Incomplete, MalformedRequestError):
                break
            assert 0 < size <= len(received)
            del received[:size]
            response = _answer(api, resolver, request)
            granted |= response.status < 300
            response.encode(head=request.method == "HEAD", close=request.close)
            if response.content_type == "application/json" and response.body:
                json.loads(response.body, parse_constant=_no_json)
        loop.end()
    return granted


def _answer(api: Api, resolver: Resolver, request: HttpRequest) -> ApiResponse:
    looked_up = 0
    while True:
        try:
            return api(request)
        except LookupNeeded as needed:
            resolver._add(needed.host, f"lookup {needed.host}: no such host")
            looked_up += 1
            if looked_up > MOST_LOOKUPS:
                raise RuntimeError("names are looked up without end") from None


class _Names(Resolver):
    """A resolver that knows no name."""

    def look_up_now(self, host: str) -> None:
        self._add(host, f"lookup {host}: no such host")


class _Server(ProxyServer):
    """A proxy server that listens nowhere: what `load` needs."""

    def __init__(self, loop: _Loop) -> None:
        self.resolver = _Names(loop.now, lambda call: call())
        self.registry = ProxyRegistry(loop, _PIPES, self.resolver, 1, Upstreams())


def load(folder: Path, data: bytes) -> bool:
    """Start with a file of proxies; return whether it was taken. Raises what a start must not raise.

    Whatever had a lifetime in the file is over: nothing that can expire may come back.
    """
    file = folder / "proxies.json"
    file.write_bytes(data)
    loop = _Loop()
    server = _Server(loop)
    registry = server.registry
    with mock.patch.object(registry_module, "Proxy", _Proxy):
        taken = False
        with suppress(ApiError, json.JSONDecodeError, UnicodeDecodeError):
            server.load(file)
            taken = True
        for proxy in registry.proxies.values():
            assert proxy.expiry is None, "a proxy with a lifetime came back"
            assert proxy.down_expiry is None, "a downtime came back"
            assert all(toxic.expiry is None for toxic in proxy.toxics), "a toxic with a lifetime came back"
        api = Api(registry, Access(), with_metrics=True)
        for verb, path in (("GET", "/proxies"), ("GET", "/journal"), ("GET", "/metrics"), ("POST", "/reset")):
            request, _ = parse(bytearray(f"{verb} {path} HTTP/1.1\r\nContent-Length: 0\r\n\r\n".encode()))
            response = _answer(api, server.resolver, request)
            if response.content_type == "application/json" and response.body:
                json.loads(response.body, parse_constant=_no_json)
        loop.end()
    return taken


def _no_json(name: str) -> NoReturn:
    raise AssertionError(f"{name} is no JSON")
