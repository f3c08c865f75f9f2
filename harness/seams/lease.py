"""The lease that ends a run's toxics with the run, even where the run is killed."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

from harness.model.errors import FaultError
from harness.seams.toxiproxy import ProxyApi

LEASE_TTL_S = 15.0
"""Far more than a busy machine delays a renewal. If a lease expires all the same, its fault is no longer confirmed."""
LEASE_RENEW_S = 3.0


class LeaseKeeper:
    """The run's lease on one proxy server, renewed until it is closed: toxics outlive no run that is killed.

    Toxiproxy itself has no leases; a toxic there stays until it is removed, by this run or by `harness heal`.
    """

    def __init__(self, api: ProxyApi) -> None:
        self._api = api
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
