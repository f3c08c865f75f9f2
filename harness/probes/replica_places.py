"""Where an HTTP probe asks: at one address that stays, or at replicas of a service, whose addresses may change.

The address of a replica is looked up anew for each reading: one that starts again may get the address that another
one had, which would then be read in its place.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from harness.model.errors import ProbeError
from harness.model.replicas import FindsReplicas
from harness.probes.reader import NotAskedError, ProbeContext, asking_backend


class ReplicaPlaces:
    """The replicas that a URL means: the one of a number, or all of its service."""

    def __init__(self, url: str, around: ProbeContext, replica: int | None) -> None:
        parts = urlsplit(url)
        service = around.service_of(parts.hostname)
        if service is None:
            raise ProbeError(f"`replica` goes with a URL that names a service of the stack, and {url!r} names none")
        self._parts = parts
        self._service = service
        self._port = parts.port or around.stack.services[service].port or (443 if parts.scheme == "https" else 80)
        self._around = around
        self._replica = replica

    async def urls(self) -> list[str | None]:
        """Return the URL of each; None of one that has no address now. Raises NotAskedError."""
        backend = self._around.backend
        if not isinstance(backend, FindsReplicas):
            raise NotAskedError(f"{self._service!r} runs as one local process, and has no replicas")
        async with asking_backend(self._around.deadline_s):
            places = await backend.replica_places(self._service, self._port)
        if self._replica is not None:
            places = {self._replica: places.get(self._replica)}
        return [self._at(place) for place in places.values()] or [None]

    def _at(self, place: str | None) -> str | None:
        if place is None:
            return None
        head, _, _host = self._parts.netloc.rpartition("@")
        return self._parts._replace(netloc=f"{head}@{place}" if head else place).geturl()


def replicas_asked(url: str, around: ProbeContext, replica: int | None) -> ReplicaPlaces | None:
    """Return the replicas that a probe asks; None where its service has one place alone."""
    service, backend = around.service_of(urlsplit(url).hostname), around.backend
    several = service is not None and isinstance(backend, FindsReplicas) and backend.has_replicas(service)
    return ReplicaPlaces(url, around, replica) if several or replica is not None else None
