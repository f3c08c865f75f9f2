"""What each service of one running stack is: whether its containers run, and where its replicas are.

The engine is asked anew each time. A replica that was started here and is not there any more counts as one that ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from harness.backends.compose.layout import ComposeAddresses
from harness.backends.compose.processes import Processes
from harness.backends.compose.snapshots import ContainerSnapshot, by_service
from harness.model.backend import ServiceStatus
from harness.model.replicas import replica_name
from harness.model.stack import StackDescription

CONTAINER_STATES: dict[str, Literal["running", "paused", "exited"]] = {"running": "running", "paused": "paused"}


class ServiceStates:
    """Looks at the containers of one run."""

    def __init__(
        self,
        description: StackDescription,
        client: Any,
        places: ComposeAddresses,
        processes: Processes,
        seen: Callable[[], Awaitable[list[ContainerSnapshot]]],
        *,
        started_here: bool,
    ) -> None:
        """`started_here`: each service has as many replicas as its compose file says, unless some were removed."""
        self._description = description
        self._client = client
        self._places = places
        self._processes = processes
        self._seen = seen
        self._started_here = started_here
        self._asked: asyncio.Future[list[ContainerSnapshot]] | None = None

    async def all(self) -> tuple[ServiceStatus, ...]:
        """Return the state of every service, or of each of its replicas, in the order of the description."""
        seen = by_service(await self._seen())
        known = [one for name in self._description.services for one in seen.get(name, ())]
        found = [status for status in await asyncio.gather(*map(self._status, known)) if status is not None]
        order = list(self._description.services)
        missing = [one for name in order for one in self._missing(name, seen.get(name, ()))]
        return tuple(sorted([*found, *missing], key=lambda one: (order.index(one.service), one.replica or 0)))

    async def places(self, service: str, port: int) -> dict[int, str | None]:
        """Return `host:port` of each replica of a service, by number; None of one that has no address now."""
        seen = by_service(await self._now()).get(service, [])
        gone = {int(one.replica or 0): None for one in self._missing(service, seen)}
        return {one.number: self._places.place_of(one, port) for one in seen} | gone

    def replica(self, service: str, number: int | None) -> int | None:
        """Return the number of a replica; None where its service has one container alone."""
        return number if self.several(service) or (number or 1) > 1 else None

    def several(self, service: str) -> bool:
        """Whether a service has several containers."""
        return service in self._places.layout.replicated

    def _missing(self, name: str, seen: Sequence[ContainerSnapshot]) -> Iterator[ServiceStatus]:
        """Yield the replicas of a service that are not there any more, though they were started here."""
        service = self._description.services[name]
        if service.replicas > 1 and self._started_here:
            for number in sorted({*range(1, service.replicas + 1)} - {one.number for one in seen}):
                yield ServiceStatus(name, service.node, None, "exited", 0, replica=number)

    async def _now(self) -> list[ContainerSnapshot]:
        """Return the containers as the engine has them now; those who ask at the same moment share an answer."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.ensure_future(self._seen())
            self._asked.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._asked)

    async def _status(self, seen: ContainerSnapshot) -> ServiceStatus | None:
        about = await asyncio.to_thread(self._inspected, seen.id)
        if about is None:
            return None
        state = CONTAINER_STATES.get(seen.state, "exited")
        replica = self.replica(seen.service, seen.number)
        down = state == "exited" and replica_name(seen.service, replica) in self._processes.suppressed
        pid = about["State"]["Pid"] or None
        node = self._description.services[seen.service].node
        health = (about["State"].get("Health") or {}).get("Status")
        restarts = about["RestartCount"]
        return ServiceStatus(seen.service, node, pid, "suppressed" if down else state, restarts, health, replica)

    def _inspected(self, container: str) -> Mapping[str, Any] | None:
        """Return what the engine tells of a container; None where somebody has removed it meanwhile."""
        import docker.errors

        try:
            return dict(self._client.api.inspect_container(container))
        except docker.errors.NotFound:
            return None
