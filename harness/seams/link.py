"""A planned link between two services, and how an exchange over it ends.

An exchange sends a small request and waits for the first byte. How it ends tells faults on links apart: a link that
refuses connections is not a slow one, and one that is silent is not one that resets. It needs the event loop,
which `toxiproxy`, the API that puts toxics on links, does without: every fault on links imports that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from harness.model.backend import LinkEndpoint
from harness.model.errors import FaultError
from harness.model.fields import Link
from harness.seams.toxiproxy import ProxyApi, unknown_link

Outcome = Literal["answered", "refused", "reset", "closed", "silent"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """How one exchange over a link ended, and how long that took.

    `answered`: a byte came back. `refused`: no connection was made. `reset`: the connection was broken off by RST.
    `closed`: it was ended in good order without a byte. `silent`: neither connection nor answer came in time.
    """

    outcome: Outcome
    time_s: float


FindWay = Callable[[], Awaitable[str | None]]


class LinkHandle:
    """One port of a planned link, as its consumer uses it and beside it."""

    def __init__(self, endpoint: LinkEndpoint, port: int, through: str | None, direct: str | FindWay | None) -> None:
        """Take the link's endpoint, the port of its service, and `host:port` of both ways to that port: the way that
        the consumer takes, and the direct one. None is the way to what does not run; one to replicas is found anew.
        """
        self.link = Link.parse(endpoint.name)
        self.port = port
        self.is_main = port == next(iter(endpoint.proxies))
        self.name = endpoint.name if self.is_main else f"{endpoint.name}:{port}"
        self.through = through
        self.direct = direct
        self.proxy_name = endpoint.proxies[port]
        self.api = ProxyApi(endpoint.proxy_api_url, endpoint.proxy_token)

    async def toxics(self) -> list[str]:
        """Return the names of the toxics on the link, whoever put them there. Raises FaultError."""
        everywhere = await asyncio.to_thread(self.api.toxics)
        if self.proxy_name not in everywhere:
            raise unknown_link(self.name)
        return everywhere[self.proxy_name]

    async def exchange(self, request: bytes, timeout_s: float, direct: bool = False) -> Exchange:
        """Make one small exchange over the link, or directly with the service. Raises FaultError without a way."""
        way = self.direct if direct else self.through
        if callable(way):
            way = await way()
        if way is None:
            raise FaultError(f"the link {self.name!r} leads to what has no address: it does not run")
        return await exchange_at(way, request, timeout_s)


async def exchange_at(where: str, request: bytes, timeout_s: float) -> Exchange:
    """Make one small exchange with whoever listens at `host:port`."""
    host, _, port = where.rpartition(":")
    started_s = time.monotonic()
    outcome = await _outcome(host, int(port), request, timeout_s)
    return Exchange(outcome, time.monotonic() - started_s)


async def _outcome(host: str, port: int, request: bytes, timeout_s: float) -> Outcome:
    connected = False
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            connected = True
            try:
                writer.write(request)
                return "answered" if await reader.read(1) else "closed"
            finally:
                writer.transport.abort()
    except TimeoutError:
        return "silent"  # ETIMEDOUT of the kernel is one too
    except OSError:
        return "reset" if connected else "refused"
