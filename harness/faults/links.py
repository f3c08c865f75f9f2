"""What faults on links share: which links a target means, and toxics of ours put on, found and taken off.

A toxic of ours carries the fault's id in its name, so that taking it off never touches anybody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.model.errors import FaultError
from harness.model.scenario import Target
from harness.seams import Seams

if TYPE_CHECKING:
    from harness.seams.link import Link


def links_of(target: Target, seams: Seams) -> tuple[str, ...]:
    """Return the names of the planned links that a target means: itself, or all that lead to a service."""
    if target.link is not None:
        return (target.link,)
    if target.links:
        return target.links
    to_service = tuple(name for name in seams.backend.links if name.endswith(f" -> {target.service}"))
    if not to_service:
        raise FaultError(f"no planned link is meant by the target {target}")
    return to_service


@dataclass(frozen=True, slots=True)
class Toxic:
    """One toxic of a fault: what it does, on which stream."""

    name: str
    kind: str
    stream: str
    attributes: dict[str, int]


class Toxics:
    """The same toxics on several links."""

    def __init__(self, seams: Seams, links: tuple[str, ...], toxics: tuple[Toxic, ...]) -> None:
        self.links: list[Link] = [seams.link(name) for name in links]
        self._toxics = toxics
        self._seams = seams
        self._leases: dict[str, str | None] = {}

    async def ready(self) -> None:
        """Take this run's lease on each proxy server, so that nothing outlives a run that is killed."""
        for url in sorted({link.proxy_api_url for link in self.links}):
            self._leases[url] = await self._seams.lease(url)

    async def on(self) -> None:
        """Put them on all links; every link is tried, and the first error is raised at the end."""
        await _each(
            [
                partial(link.add_now, t.name, t.kind, t.stream, t.attributes, self._leases.get(link.proxy_api_url))
                for link in self.links
                for t in self._toxics
            ]
        )

    async def off(self) -> None:
        """Take them off all links; every link is tried, and the first error is raised at the end."""
        await _each([partial(link.remove_now, t.name) for link in self.links for t in self._toxics])

    async def missing(self) -> list[str]:
        """Return `link: toxic` for each of ours that is not on, though it should be."""
        on = set(await self.still_on())
        return [name for link in self.links for t in self._toxics if (name := f"{link.name}: {t.name}") not in on]

    async def still_on(self) -> list[str]:
        """Return `link: toxic` for each of ours that is on."""
        names = {t.name for t in self._toxics}
        # One question for each proxy server: in containers the links of a stack may be spread over several.
        servers = {link.proxy_api_url: link for link in self.links}
        told = await asyncio.gather(*(asyncio.to_thread(link.toxics_everywhere_now) for link in servers.values()))
        found = dict(zip(servers, told, strict=True))
        return [
            f"{link.name}: {name}"
            for link in self.links
            for name in found[link.proxy_api_url].get(link.proxy_name, ())
            if name in names
        ]


async def _each(calls: Sequence[Callable[[], None]]) -> None:
    """Make every call, one after the other in one thread, before the first error is raised.

    A thread for each would be no quicker: they would take turns with one another, and the run's own clock would wait.
    """

    def make() -> FaultError | None:
        first = None
        for call in calls:
            try:
                call()
            except FaultError as error:
                first = first or error
        return first

    error = await asyncio.to_thread(make)
    if error is not None:
        raise error


async def round_trips(
    links: list[Link], seams: Seams, timeout_s: float, direct: bool = False
) -> dict[str, float | None]:
    """Measure one exchange over each link at once, in seconds; None where no answer came."""

    async def one(link: Link) -> float | None:
        service = seams.service(link.name.partition(" -> ")[2])
        path = service.health.http if service.health is not None else None
        return await link.round_trip_s(path, timeout_s, direct)

    found = await asyncio.gather(*(one(link) for link in links))
    return {link.name: value for link, value in zip(links, found, strict=True)}


def as_milliseconds(times: dict[str, float | None]) -> dict[str, Any]:
    """Return measured times as evidence."""
    return {name: None if value is None else round(value * 1e3, 1) for name, value in times.items()}
