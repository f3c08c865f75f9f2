"""A compose project that runs, whoever started it: what faults and probes ask of its containers.

How it comes to run and how it ends is for the two kinds of it: one that a run starts (`backend`), and one that was
there already (`attached`).
"""

from __future__ import annotations

import asyncio
import signal as signals
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from harness.backends.compose.containers import EngineContainers
from harness.backends.compose.engine import Engine, connect
from harness.backends.compose.layout import ComposeAddresses
from harness.backends.compose.processes import EventStream, Processes
from harness.backends.compose.readiness import Readiness
from harness.backends.compose.service_states import ServiceStates
from harness.backends.compose.snapshots import (
    ContainerSnapshot,
    by_service,
    containers_of,
    is_of_several,
    lines_of_several,
    lines_since,
    log_files,
    tail,
    write_logs,
)
from harness.backends.events import EventLog
from harness.backends.jobs import run_job
from harness.model.backend import (
    FAULT_PROXY,
    JobResult,
    LinkEndpoint,
    ProcessEvent,
    Roots,
    ServiceStatus,
    known_services,
)
from harness.model.errors import BackendError
from harness.model.replicas import replica_of
from harness.model.stack import StackDescription


class ProjectBackend(ABC):
    """Looks at, and acts on, the containers of one project at a time."""

    def __init__(self, description: StackDescription, *, started_here: bool = True) -> None:
        """`started_here`: each service has as many replicas as its compose file says."""
        self._description = description
        self._started_here = started_here
        self._engine: Engine | None = None
        self._project: str | None = None
        self._places: ComposeAddresses | None = None
        self._events: EventStream | None = None
        self._log = EventLog()
        self._readiness: Readiness | None = None
        self._containers: EngineContainers | None = None
        self._processes: Processes | None = None
        self._links: dict[str, LinkEndpoint] = {}
        self._run_dir: Path | None = None
        self._states: ServiceStates | None = None

    @abstractmethod
    async def stop(self) -> None:
        """Collect the logs, and leave nothing that is not to stay. Idempotent."""

    async def close(self) -> None:
        """Stop the stack and close the connections to the engine. Idempotent."""
        await self.stop()
        engine, self._engine = self._engine, None
        if engine is not None:
            await asyncio.to_thread(engine.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def roots(self) -> Roots:
        """The stack's containers, those that have ended included."""
        return Roots(containers=self._events.containers if self._events is not None else frozenset())

    @property
    def containers(self) -> EngineContainers:
        """The containers of the running stack, for faults that only containers have."""
        self._running()
        assert self._containers is not None
        return self._containers

    @property
    def project(self) -> str:
        """The compose project of the running stack."""
        return self._running()

    @property
    def links(self) -> Mapping[str, LinkEndpoint]:
        """The links of the running stack that lead through proxies, by `consumer -> service`."""
        return dict(self._links)

    def resolve(self, url: str, consumer: str | None = None) -> str:
        """Turn `http://service:port/…` or `service:port` into a reachable address: direct, or as `consumer` sees it."""
        host = urlsplit(url if "://" in url else f"//{url}").hostname or ""
        if host not in {name.lower() for name in self._description.services} and (
            "." in host or ":" in host or host == "localhost"
        ):
            return url
        if self._project is None or self._places is None:
            raise BackendError(f"{url!r} cannot be resolved: the stack does not run")
        return self._places.resolve(url, consumer)

    async def status(self) -> tuple[ServiceStatus, ...]:
        """Return every service's state, or that of each of its replicas, in the order of the description."""
        return await self._looking().all()

    def has_replicas(self, service: str) -> bool:
        """Whether a service has several containers."""
        return self._states is not None and self._states.several(service)

    async def replica_places(self, service: str, port: int) -> Mapping[int, str | None]:
        """Return `host:port` of each replica of a service, by number; None of one that has no address now."""
        self._names([service])
        return await self._looking().places(service, port)

    def events(self) -> AsyncIterator[ProcessEvent]:
        """Yield every process event of the running stack (or of the next one) from its start, until it stops."""
        return self._log.follow()

    async def kill(
        self, services: Iterable[str], signal: int = signals.SIGKILL, suppress_restart: bool = False
    ) -> None:
        """Signal all of them at once. After SIGKILL nothing of them is left when this returns."""
        await self._acting().kill(self._names(services), signal, suppress_restart)

    async def restore(self, services: Iterable[str]) -> None:
        """Lift the suppression and start those that do not run. Idempotent."""
        await self._acting().restore(self._names(services))

    async def pause(self, services: Iterable[str]) -> None:
        """Freeze all their processes."""
        await self._acting().pause(self._names(services))

    async def resume(self, services: Iterable[str]) -> None:
        """Let what is frozen go on."""
        await self._acting().resume(self._names(services))

    async def process_states(self, services: Iterable[str]) -> Mapping[str, str]:
        """Ask the engine for each: `absent`, `T` where it is frozen, else `S`."""
        return await self._acting().states(self._names(services))

    async def run_job(self, argv: Iterable[str], timeout_s: float, env: Mapping[str, str] | None = None) -> JobResult:
        """Run a command of the stack's own tooling here, beside the harness, before or while the stack runs."""
        words, settings = list(argv), dict(env or {})
        if self._places is not None:
            words = [self._places.rewrite(word) for word in words]
            settings = {key: self._places.rewrite(value) for key, value in settings.items()}
        return await run_job(words, settings, Path(self._description.folder), timeout_s)

    def logs(self, service: str, lines: int) -> list[str]:
        """Return the service's last log lines, of the running stack or of the last one."""
        self._names([service])
        return self._tail(service, lines)

    async def log_since(self, service: str, position: str) -> tuple[list[str], str]:
        """Return the lines that a service wrote since a position, and the position after them."""
        self._names([service])
        self._running()
        engine = await self._connected()
        found = by_service(await self._seen()).get(service, [])
        if len(found) == 1 and not is_of_several(position):
            return await asyncio.to_thread(lines_since, engine.client, found[0].id, position)
        return await asyncio.to_thread(lines_of_several, engine.client, found, position) if found else ([], position)

    # Its own business.

    async def _connected(self) -> Engine:
        if self._engine is None:
            self._engine = await asyncio.to_thread(connect)
        return self._engine

    def _take_hold(self, engine: Engine, project: str, labels: Mapping[str, str]) -> EventStream:
        """Make ready what acts on the project's containers and what listens to them, and return that."""
        events = self._events = EventStream(engine.client, project, self._on_event, self._on_lost)
        containers = self._containers = EngineContainers(engine.client, project, labels)
        containers.on_end, containers.on_own = events.expect_end, events.own
        self._processes = Processes(containers, events)
        assert self._places is not None
        self._states = ServiceStates(
            self._description, engine.client, self._places, self._processes, self._seen, started_here=self._started_here
        )
        return events

    def _let_go(self) -> None:
        if self._events is not None:
            self._events.stop()
        self._events = self._places = self._containers = self._processes = self._states = None
        self._links = {}
        self._log.end()
        self._log = EventLog()

    def _tail(self, service: str, lines: int) -> list[str]:
        if self._project is not None and self._engine is not None:
            return tail(self._engine.client, self._project, service, lines)
        if self._run_dir is None or lines <= 0:
            return []
        files = log_files(self._run_dir / "logs", service)
        return [line for path in files for line in path.read_text("utf-8", "replace").splitlines()[-lines:]]

    def _collect(self, engine: Engine, project: str) -> None:
        if self._run_dir is not None:
            write_logs(engine.client, project, self._run_dir / "logs")

    def _has_address(self, service: str) -> bool:
        return self._places is not None and self._places.known(service)

    def _host(self, service: str) -> str:
        assert self._places is not None
        return self._places.host(service)

    async def _seen(self) -> list[ContainerSnapshot]:
        engine, project = await self._connected(), self._project
        return await asyncio.to_thread(containers_of, engine.client, project) if project is not None else []

    def _names(self, services: Iterable[str]) -> list[str]:
        names = list(services)
        known_services(self._description, [replica_of(name)[0] for name in names])
        return names

    def _running(self) -> str:
        if self._project is None:
            raise BackendError("the stack does not run")
        return self._project

    def _looking(self) -> ServiceStates:
        self._running()
        assert self._states is not None
        return self._states

    def _acting(self) -> Processes:
        self._running()
        assert self._processes is not None
        return self._processes

    def _on_event(self, event: ProcessEvent) -> None:
        if event.service not in self._description.services:
            event = ProcessEvent(FAULT_PROXY, event.what, event.at_s, event.exit_code, event.signal, event.asked)
        if self._states is not None:
            event = replace(event, replica=self._states.replica(event.service, event.replica))
        if self._readiness is not None:
            self._readiness.note(event)
        self._log.add(event)

    def _on_lost(self, why: str) -> None:
        """The engine went away in mid-run: following the events raises an error instead of ending."""
        self._log.fail(BackendError(why, remedy="look at the engine's log; the run says nothing about the stack"))
