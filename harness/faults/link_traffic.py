"""Whether anyone but the harness used a link while a fault was on it: by the proxy's counts of what clients sent.

A fault on a link that nobody uses changes nothing, and a clause that passes under it proves nothing. The harness's own
exchanges run through the same proxies; they are taken off at what they can have sent at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.seams.toxiproxy import Traffic

if TYPE_CHECKING:
    from harness.seams.link import LinkHandle


class LinkTraffic:
    """What consumers sent over some links since `begin`."""

    def __init__(self, links: Sequence[LinkHandle]) -> None:
        self._links = links
        self._before: Mapping[str, Traffic] = {}
        self._own: dict[str, Traffic] = {}

    async def begin(self) -> None:
        """Count from now on. Raises FaultError, also where the proxy does not count."""
        self._before = await self._counts()
        self._own = {}

    def add_own(self, link: LinkHandle, request: bytes) -> None:
        """Take note of an exchange of the harness itself: one connection, and the bytes of one request."""
        own = self._own.get(link.name, Traffic())
        self._own[link.name] = Traffic(own.received_bytes + len(request), own.connections + 1)

    async def sent(self) -> dict[str, Traffic]:
        """Return what others have sent over each port since `begin`, by its name. Raises FaultError."""
        now = await self._counts()
        return {link.name: self._of_others(link.name, now[link.name]) for link in self._links}

    def unused(self, sent: Mapping[str, Traffic]) -> list[str]:
        """Return the links, by name, over none of whose ports anything was sent."""
        used = {link.link.name for link in self._links if sent[link.name] != Traffic()}
        return list(dict.fromkeys(link.link.name for link in self._links if link.link.name not in used))

    def _of_others(self, name: str, now: Traffic) -> Traffic:
        before, own = self._before.get(name, Traffic()), self._own.get(name, Traffic())
        return Traffic(
            max(0, now.received_bytes - before.received_bytes - own.received_bytes),
            max(0, now.connections - before.connections - own.connections),
        )

    async def _counts(self) -> dict[str, Traffic]:
        """Return the counts of each link's proxy, by the name of its handle."""
        import asyncio  # here and not above: to list or check faults needs no event loop

        servers = {link.api.url: link.api for link in self._links}
        answers = await asyncio.gather(*(asyncio.to_thread(api.traffic) for api in servers.values()))
        found = dict(zip(servers, answers, strict=True))
        return {link.name: found[link.api.url].get(link.proxy_name, Traffic()) for link in self._links}
