"""The handles of one run, made on demand and closed together.

What a handle needs beyond the core (a Redis client, an S3 client) is imported at first use, and a missing
package is named in the error. So is the event loop: every fault imports this, and to list or check faults needs none.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.model.errors import BackendError, FaultError, did_you_mean, install_extra
from harness.model.fields import Link
from harness.model.replicas import FindsReplicas, replica_of
from harness.model.secrets import reveal

if TYPE_CHECKING:
    from harness.model.backend import Backend
    from harness.model.containers import Containers
    from harness.model.datasets import DatasetSpec, KeyspaceSpec
    from harness.model.eventtime import EventClock
    from harness.model.stack import ServiceSpec, StackDescription
    from harness.seams.keyspace import Keyspace
    from harness.seams.lease import LeaseKeeper
    from harness.seams.link import FindWay, LinkHandle
    from harness.seams.objects import Objects
    from harness.seams.toxiproxy import ProxyApi
    from harness.seams.undo_store import UndoStore

CLOSE_S = 1.0
_IN_CONTAINERS = "run it with --backend compose"


class Seams:
    """Handles on a running stack."""

    def __init__(
        self,
        backend: Backend,
        stack: StackDescription,
        clock: EventClock | None = None,
        kept_dir: Path | None = None,
        seed: int | None = None,
    ) -> None:
        """`kept_dir`: where faults keep what they change; without it they keep it in memory only.

        `seed`: the seed of the run, for random choices that are made outside of this process.
        """
        self.seed = seed
        self._kept_dir = kept_dir
        self.backend = backend
        self.stack = stack
        self.clock = clock
        self.changed_by: dict[tuple[tuple[str, str], str], object] = {}
        """Which fault has changed an object, by its store and key. Another would keep the damage as the original."""
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self._objects: dict[tuple[str, str, str, str], Objects] = {}
        self._leases: dict[str, LeaseKeeper] = {}

    def kept(self, fault: str) -> UndoStore | None:
        """Return where a fault may keep what it changes, for another process to put it back."""
        from harness.seams.undo_store import UndoStore

        return UndoStore(self._kept_dir / fault) if self._kept_dir is not None else None

    def service(self, name: str) -> ServiceSpec:
        """Return a service of the stack, or that of a replica. Raises FaultError with the nearest valid name."""
        try:
            return self.stack.services[replica_of(name)[0]]
        except KeyError:
            raise FaultError(f"no service {name!r}", remedy=did_you_mean(name, self.stack.services)) from None

    def link(self, name: str) -> tuple[LinkHandle, ...]:
        """Return the ports of a planned link, the main one first. Raises FaultError for a link that was not planned."""
        from harness.seams.link import LinkHandle

        try:
            endpoint = self.backend.links[name]
        except KeyError:
            raise FaultError(
                f"no fault proxy that runs leads the link {name!r}: it was not planned before the start, or is stopped",
                remedy=did_you_mean(name, self.backend.links),
            ) from None
        link = Link.parse(name)
        return tuple(
            LinkHandle(
                endpoint,
                port,
                through=self._way(f"{link.service}:{port}", link.consumer),
                direct=self._direct(link.service, port),
            )
            for port in endpoint.proxies
        )

    def _direct(self, service: str, port: int) -> str | FindWay | None:
        """Return the way to a service beside its links; to one with several replicas, to the first that runs."""
        backend = self.backend
        if not isinstance(backend, FindsReplicas) or not backend.has_replicas(service):
            return self._way(f"{service}:{port}")

        async def to_replica() -> str | None:
            places = await backend.replica_places(service, port)
            return next((place for _, place in sorted(places.items()) if place is not None), None)

        return to_replica

    def _way(self, place: str, consumer: str | None = None) -> str | None:
        """Return where a place is; None where it is nowhere: the toxics of a link to a stopped service come off too."""
        try:
            return self.backend.resolve(place, consumer=consumer)
        except BackendError:
            return None

    async def lease(self, api: ProxyApi) -> str | None:
        """Return the name of this run's lease on a proxy server, None where that knows none. Raises FaultError."""
        from harness.seams.lease import LeaseKeeper

        if api.url not in self._leases:
            lease = LeaseKeeper(api)
            await lease.acquire()
            self._leases[api.url] = lease
            self._closing.append(lease.close)
        return self._leases[api.url].name

    def keyspace(self, name: str) -> Keyspace:
        """Return a key space that the stack describes; it is closed with the run."""
        try:
            from harness.seams.keyspace import Keyspace
        except ImportError as error:
            raise _missing("redis", error) from error
        spec = self.keyspace_spec(name)
        keyspace = Keyspace(name, spec, self._address(spec.service))
        self._closing.append(keyspace.close)
        return keyspace

    def keyspace_spec(self, name: str) -> KeyspaceSpec:
        """Return the description of a key space. Raises FaultError with the nearest valid name."""
        try:
            return self.stack.keyspaces[name]
        except KeyError:
            raise FaultError(f"no key space {name!r}", remedy=did_you_mean(name, self.stack.keyspaces)) from None

    def dataset_spec(self, name: str) -> DatasetSpec:
        """Return the description of a dataset. Raises FaultError with the nearest valid name."""
        try:
            return self.stack.datasets[name]
        except KeyError:
            raise FaultError(f"no dataset {name!r}", remedy=did_you_mean(name, self.stack.datasets)) from None

    def dataset(self, name: str) -> Objects:
        """Return the bucket of a dataset that the stack describes, with its own credentials, or the ledger's."""
        spec = self.dataset_spec(name)
        if spec.access_key is None or spec.secret_key is None:
            return self.objects(spec.service, spec.bucket)
        return self._bucket(spec.service, spec.bucket, spec.access_key, spec.secret_key)

    def objects(self, service: str, bucket: str) -> Objects:
        """Return a bucket of an object store of the stack, with the credentials of `integrity.store` if that is it."""
        store = self.stack.integrity.store
        keys = (store.access_key, store.secret_key) if store is not None and store.service == service else ("", "")
        return self._bucket(service, bucket, *keys)

    def _bucket(self, service: str, bucket: str, access_key: str, secret_key: str) -> Objects:
        try:
            from harness.seams.objects import Objects
        except ImportError as error:
            raise _missing("s3", error) from error
        which = service, bucket, access_key, secret_key
        if which not in self._objects:
            url = f"http://{self._address(service)}"
            self._objects[which] = Objects(url, bucket, reveal(access_key), reveal(secret_key))
        return self._objects[which]

    def containers(self) -> Containers:
        """Return the stack's containers. Raises FaultError where it has none."""
        from harness.model.containers import Containers

        found = getattr(self.backend, "containers", None)
        if not isinstance(found, Containers):
            raise FaultError("this fault acts on containers, and the stack does not run in any", remedy=_IN_CONTAINERS)
        return found

    def now_event(self) -> float:
        """Return the event time now. Raises FaultError where the stack has no event clock."""
        if self.clock is None:
            raise FaultError("the stack has no event clock", remedy="give x-harness.event_clock in its description")
        return self.clock.event_at(time.time())

    def _address(self, service: str) -> str:
        return self.backend.resolve(f"{service}:{self.service(service).port}")

    async def close(self) -> None:
        """Close every handle that holds connections; one that does not close in time is left."""
        import asyncio

        while self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._closing.pop()()


def _missing(extra: str, error: ImportError) -> FaultError:
    return FaultError(f"this needs the package {error.name}", remedy=install_extra(extra))
