"""The compose backend: a stack as containers of a Docker engine.

It puts the parts together: the engine, the layout and the compose file of one run, the start, the events, the logs.
Whatever fails on the way, nothing of the run is left on the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal as signals
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from harness.backends.compose import proxies
from harness.backends.compose.containers import EngineContainers
from harness.backends.compose.engine import Engine, connect, engine_errors
from harness.backends.compose.labels import RUN_ID, run_labels
from harness.backends.compose.layout import ComposeAddresses
from harness.backends.compose.leftovers import remove_run
from harness.backends.compose.processes import EventStream, Processes
from harness.backends.compose.project import RunFile, composed
from harness.backends.compose.readiness import Readiness, RetryableStartError
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
from harness.backends.compose.start import Start, lay_out
from harness.backends.compose.taken_ports import port_taken
from harness.backends.events import EventLog
from harness.backends.jobs import run_job
from harness.model.backend import (
    FAULT_PROXY,
    JobResult,
    LinkEndpoint,
    ProcessEvent,
    Roots,
    ServiceStatus,
    StackInfo,
    StackPlan,
    check_links,
    check_settings,
    known_services,
)
from harness.model.errors import BackendError
from harness.model.replicas import replica_of
from harness.model.stack import StackDescription

TRIES = 5


class ComposeBackend:
    """Runs one stack at a time, as a project of its own."""

    def __init__(self, description: StackDescription, *, keep: bool = False, name: str | None = None) -> None:
        """`keep`: the stack is to outlive this process, with the ports that its own file publishes.

        `name`: that of its compose project, of which the engine has nothing yet.
        """
        self._description = description
        self._keep = keep
        self._name = name
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
        self._started_here = True
        """Whether each service has as many replicas as its compose file says."""

    # Starting and stopping.

    async def start(self, plan: StackPlan) -> StackInfo:
        """Start the stack and wait until every service is healthy. On failure nothing of it is left on the engine."""
        if self._project is not None:
            raise BackendError("the stack runs already", remedy="stop it first")
        began_s = time.monotonic()
        check_settings(plan)
        check_links(plan)
        self._run_dir = plan.run_dir
        try:
            (plan.run_dir / "logs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BackendError(f"the run's folder cannot be made: {error.strerror}", file=str(plan.run_dir)) from error
        engine = await self._connected()
        await asyncio.to_thread(lambda: engine.compose)  # to learn that there is none before anything is made
        document, folder = await asyncio.to_thread(composed, self._description)
        for attempt in range(1, TRIES + 1):
            try:
                await self._bring_up(engine, plan, document, folder)
                break
            except RetryableStartError as trouble:
                taken = await self._port_taken(engine, str(trouble), document)
                await self.stop()
                if taken is not None:
                    raise taken from None
                if attempt == TRIES:
                    raise BackendError(f"addresses or ports are taken, {TRIES} times: {trouble}") from None
            except BaseException:
                await self._stop_whatever_happens()
                raise
        return StackInfo(
            name=self._description.name,
            addresses={name: self._host(name) for name in self._description.services if self._has_address(name)},
            ready_s=time.monotonic() - began_s,
            project=self._project,
        )

    async def _connected(self) -> Engine:
        if self._engine is None:
            self._engine = await asyncio.to_thread(connect)
        return self._engine

    async def _bring_up(self, engine: Engine, plan: StackPlan, document: dict[str, Any], folder: Path) -> None:
        layout = await asyncio.to_thread(lay_out, engine, plan, document, self._name)
        project = self._project = layout.project
        labels = run_labels(project, self._description.name, kept=self._keep)
        labels |= {RUN_ID: plan.run_id} if plan.run_id is not None else {}
        self._places = ComposeAddresses(self._description, layout, engine)
        events = self._take_hold(engine, project, labels)
        run_file = RunFile(document, plan, layout, labels, self._keep, engine.loopback)
        places = self._places
        document = run_file.document(lambda box: proxies.proxy_service(box, plan.seed, places.api_address(box)))
        start = Start(engine, plan, layout, document, folder, proxies.new_token())
        await asyncio.to_thread(events.start, time.time())
        self._readiness = Readiness(self._description, lambda: containers_of(engine.client, project), self._tail)
        within_s = self._description.compose.ready_within_s
        try:
            self._links = await start.links(self._places)
            await start.services(self._tail)
            await self._readiness.wait(self._places.health_place, within_s)
        finally:
            start.forget()
            self._readiness = None

    async def _port_taken(self, engine: Engine, output: str, document: dict[str, Any]) -> BackendError | None:
        """Return what to say where a port is taken that the stack's own file publishes: another try changes nothing."""
        if not self._keep:
            return None
        with contextlib.suppress(BackendError), engine_errors("the engine does not tell who has the port"):
            return await asyncio.to_thread(port_taken, engine.client, output, document["services"], engine.loopback)
        return None

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

    async def _stop_whatever_happens(self) -> None:
        """Take the run off the engine, however often this is cancelled meanwhile."""
        stopping = asyncio.ensure_future(self.stop())
        while not stopping.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(stopping)
        stopping.result()

    async def stop(self) -> None:
        """Collect the logs, stop the stack and take it off the engine. Idempotent."""
        project, engine = self._project, self._engine
        if project is None or engine is None:
            return
        self._project = None
        if self._events is not None:
            for name in self._description.services:
                self._events.own(name, True)
        try:
            await asyncio.to_thread(remove_run, engine.client, project, lambda: self._collect(engine, project))
        finally:
            self._let_go()

    @property
    def roots(self) -> Roots:
        """The stack's containers, those that have ended included."""
        return Roots(containers=self._events.containers if self._events is not None else frozenset())

    def leave(self) -> str:
        """Let the stack run on after this process. Returns its project."""
        project, self._project = self._project, None
        if project is None:
            raise BackendError("the stack does not run")
        if self._events is not None:
            self._events.stop()
        return project

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

    # What faults and probes ask.

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
