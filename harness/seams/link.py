"""A planned link between two services: what an exchange over it ends in; and the lease that ends toxics with the run.

An exchange sends a small request and waits for the first byte. How it ends tells faults on links apart: a link that
refuses connections is not a slow one, and one that is silent is not one that resets. Both need the event loop, which
`toxiproxy`, the API that puts toxics on links, does without: every fault on links imports that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from dataclasses import dataclass
from typing import Literal

from harness.model.backend import LinkEndpoint
from harness.model.errors import FaultError
from harness.seams.toxiproxy import ProxyApi

Outcome = Literal["answered", "refused", "reset", "closed", "silent"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """How one exchange over a link ended, and how long that took.

    `answered`: a byte came back. `refused`: no connection was made. `reset`: the connection was broken off by RST.
    `closed`: it was ended in good order without a byte. `silent`: neither connection nor answer came in time.
    """

    outcome: Outcome
    time_s: float


class LinkHandle:
    """One planned link, as its consumer uses it and beside it."""

    def __init__(self, endpoint: LinkEndpoint, through: str, direct: str) -> None:
        """Take the proxy's endpoint, and `host:port` of the link as its consumer sees it and of the service itself."""
        self.name = endpoint.name
        self.through = through
        self.direct = direct
        self.proxy_name = endpoint.proxy_name
        self.api = ProxyApi(endpoint.proxy_api_url)

    async def toxics(self) -> list[str]:
        """Return the names of the toxics on the link, whoever put them there. Raises FaultError."""
        everywhere = await asyncio.to_thread(self.api.toxics)
        return everywhere.get(self.proxy_name, [])

    async def exchange(self, health_path: str | None, timeout_s: float, direct: bool = False) -> Exchange:
        """Make one small exchange over the link, or directly with the service.

        The request is a GET of HTTP/1.0, for the service's health page where it has one. Servers of the Redis protocol
        read that as a command with too many arguments, and answer it too.
        """
        host, _, port = (self.direct if direct else self.through).rpartition(":")
        request = f"GET {health_path or '/'} HTTP/1.0\r\n\r\n".encode()
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


LEASE_TTL_S = 15.0
"""Far more than a busy machine delays a renewal. If a lease expires all the same, its fault is no longer confirmed."""
LEASE_RENEW_S = 3.0


class LeaseKeeper:
    """The run's lease on one proxy server, renewed until it is closed: toxics outlive no run that is killed.

    Toxiproxy itself has no leases; a toxic there stays until it is removed, by this run or by `harness heal`.
    """

    def __init__(self, api_url: str) -> None:
        self._api = ProxyApi(api_url)
        self._renewing: asyncio.Task[None] | None = None
        self.name: str | None = None
        """None where the server has no leases."""

    async def acquire(self) -> None:
        """Create the lease, and renew it from now on. Raises FaultError where the server does not answer."""
        name = f"harness-{uuid.uuid4().hex[:12]}"
        if await asyncio.to_thread(self._api.create_lease, name, LEASE_TTL_S):
            self.name = name
            self._renewing = asyncio.create_task(self._renew(name))

    async def _renew(self, name: str) -> None:
        while True:
            await asyncio.sleep(LEASE_RENEW_S)
            # A server that is away for a moment is tried again; a lease that expired shows in the fault's confirmation.
            with contextlib.suppress(FaultError):
                await asyncio.to_thread(self._api.renew_lease, name)

    async def close(self) -> None:
        """Delete the lease, and with it every toxic that is still on. Idempotent."""
        renewing, self._renewing = self._renewing, None
        if renewing is None or self.name is None:
            return
        renewing.cancel()
        with contextlib.suppress(FaultError):
            await asyncio.to_thread(self._api.delete_lease, self.name)
