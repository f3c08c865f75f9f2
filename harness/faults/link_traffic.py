"""Whether anyone but the harness used a link while a fault was on it: by the proxy's counts of what clients sent.

A fault on a link that nobody uses changes nothing, and a clause that passes under it proves nothing. The harness's own
exchanges run through the same proxies; they are taken off at what they can have sent at most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from harness.seams.toxiproxy import ProxyApi, Traffic

if TYPE_CHECKING:
    from harness.seams.link import LinkHandle

T = TypeVar("T")


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
        return await asked(self._links, ProxyApi.traffic, Traffic())


async def asked(links: Sequence[LinkHandle], ask: Callable[[ProxyApi], Mapping[str, T]], nothing: T) -> dict[str, T]:
    """Return what each link's proxy server says of it, by the name of its handle; `nothing` where it says nothing.

    One request for each server: in containers the links of a stack may be spread over several. Raises FaultError.
    """
    import asyncio  # here and not above: to list or check faults needs no event loop

    servers = {link.api.url: link.api for link in links}
    answers = await asyncio.gather(*(asyncio.to_thread(ask, api) for api in servers.values()))
    found = dict(zip(servers, answers, strict=True))
    return {link.name: found[link.api.url].get(link.proxy_name, nothing) for link in links}
