"""Whether anyone but the harness used a link while a fault was on it: by the proxy's counts of what clients sent.

A fault on a link that nobody uses changes nothing, and a clause that passes under it proves nothing. The harness's own
exchanges run through the same proxies; they are taken off at what they can have sent at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from harness.seams.toxiproxy import ProxyApi

if TYPE_CHECKING:
    from harness.seams.link import LinkHandle

T = TypeVar("T")


class LinkTraffic:
    """What consumers sent over some links since `begin`."""

    def __init__(self, links: Sequence[LinkHandle]) -> None:
        self._links = links
        self._before: Mapping[str, int] = {}
        self._own: Counter[str] = Counter()

    async def begin(self) -> None:
        """Count from now on. Raises FaultError, also where the proxy does not count."""
        self._before = await self._counts()
        self._own.clear()

    def add_own(self, link: LinkHandle, request: bytes) -> None:
        """Take note of an exchange of the harness itself: the bytes of one request."""
        self._own[link.name] += len(request)

    async def sent(self) -> dict[str, int]:
        """Return how many bytes others have sent over each port since `begin`, by its name. Raises FaultError."""
        now = await self._counts()
        return {
            link.name: max(0, now[link.name] - self._before.get(link.name, 0) - self._own[link.name])
            for link in self._links
        }

    def unused(self, sent: Mapping[str, int]) -> list[str]:
        """Return the links, by name, over none of whose ports anything was sent.

        A connection without a byte is no use of it: a health check that only connects meets no delayed answer.
        """
        used = {link.link.name for link in self._links if sent[link.name]}
        return list(dict.fromkeys(link.link.name for link in self._links if link.link.name not in used))

    async def _counts(self) -> dict[str, int]:
        """Return the counts of each link's proxy, by the name of its handle."""
        return await asked(self._links, ProxyApi.received_bytes, 0)


async def asked(links: Sequence[LinkHandle], ask: Callable[[ProxyApi], Mapping[str, T]], nothing: T) -> dict[str, T]:
    """Return what each link's proxy server says of it, by the name of its handle; `nothing` where it says nothing.

    One request for each server: in containers the links of a stack may be spread over several. Raises FaultError.
    """
    import asyncio  # here and not above: to list or check faults needs no event loop

    servers = {link.api.url: link.api for link in links}
    answers = await asyncio.gather(*(asyncio.to_thread(ask, api) for api in servers.values()))
    found = dict(zip(servers, answers, strict=True))
    return {link.name: found[link.api.url].get(link.proxy_name, nothing) for link in links}
