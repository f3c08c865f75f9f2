"""A lease on a fault proxy: the toxics of a run last only as long as the process that put them on is there to renew it.

Toxiproxy itself knows no leases; what is put on there stays until it is removed, by this run or by `harness heal`.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid

from toxiproxy.exceptions import NotFound

from harness.model.errors import FaultError
from harness.seams.link import consumer, translated

TTL_S = 15.0
"""Far more than a busy machine keeps a renewal waiting. A lease that runs out all the same is seen: its fault is not
confirmed any more."""
RENEW_S = 3.0
CREATED = 201


class LeaseKeeper:
    """One lease on one proxy server, renewed until it is closed."""

    def __init__(self, api_url: str) -> None:
        self._api = consumer(api_url)
        self._wanted = f"harness-{uuid.uuid4().hex[:12]}"
        self._renewing: asyncio.Task[None] | None = None
        self.name: str | None = None
        """None where the server knows no leases."""

    async def take(self) -> None:
        """Take it, and keep it from now on. Raises FaultError where the server does not answer."""
        if not await asyncio.to_thread(translated, self._taken):
            return
        self.name = self._wanted
        self._renewing = asyncio.create_task(self._renew())

    def _taken(self) -> bool:
        try:
            answer = self._api.post("/leases", json={"name": self._wanted, "ttl": round(TTL_S * 1e3)})
        except NotFound:
            return False
        if answer.status_code != CREATED:
            raise FaultError("the fault proxy's answer to a new lease is neither a lease nor that it knows none")
        return True

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(FaultError):  # a server that is away for a moment; a lease that is gone shows
                await asyncio.to_thread(translated, lambda: self._api.post(f"/leases/{self.name}", json={}))

    async def close(self) -> None:
        """Give it up, and with it whatever is still on. Idempotent."""
        renewing, self._renewing = self._renewing, None
        if renewing is None:
            return
        renewing.cancel()
        with contextlib.suppress(FaultError):
            await asyncio.to_thread(translated, lambda: self._api.delete(f"/leases/{self.name}"))
