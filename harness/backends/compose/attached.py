"""An attached stack: one that somebody else started, and that is left exactly as it was found.

Nothing is started, stopped or removed. Faults that are put in are taken out by themselves; links can be disturbed where
the stack was brought up with proxies (`harness up --links all`).
"""

from __future__ import annotations

import asyncio
import json
import time

from harness.backends.compose import proxies
from harness.backends.compose.engine import Engine, connect, engine_call, engine_errors
from harness.backends.compose.labels import API_ADDRESS, LINKS, PROJECT, attached_run, run_labels
from harness.backends.compose.layout import API_PORT, ComposeAddresses, Layout, ProxyBox
from harness.backends.compose.project_backend import ProjectBackend
from harness.backends.compose.readiness import Readiness
from harness.backends.compose.snapshots import BEGINNING, ContainerSnapshot, by_service, containers_of, lines_since
from harness.backends.compose.whole import wait_until_whole
from harness.model.backend import StackInfo, StackPlan, check_links, check_settings, project_of
from harness.model.errors import BackendError
from harness.model.fields import Link
from harness.model.stack import StackDescription

PROXY_BACK_WITHIN_S, POLL_S = 5.0, 0.1


class AttachedBackend(ProjectBackend):
    """Looks at, and acts on, a project that runs already."""

    def __init__(self, description: StackDescription, project: str | None = None) -> None:
        super().__init__(description, started_here=False)
        self._attached = project_of(description, project)

    async def log_since(self, service: str, position: str) -> tuple[list[str], str]:
        """Return the lines since a position. A run counts from its own beginning, not from the stack's."""
        if position:
            return await super().log_since(service, position)
        engine = await self._connected()
        found = [one for one in await self._seen() if one.service == service]
        if not found:
            return [], BEGINNING
        newest = {one.id: (await asyncio.to_thread(lines_since, engine.client, one.id, "", 1))[1] for one in found}
        newest = {id_: stamp or BEGINNING for id_, stamp in newest.items()}
        return [], json.dumps(newest) if len(found) > 1 else newest[found[0].id]

    async def start(self, plan: StackPlan) -> StackInfo:
        """Wait until the project is whole and healthy. Raises BackendError."""
        if plan.start_at is not None:
            what = f"a stack that runs already cannot be started at {plan.start_at}"
            raise BackendError(what, remedy="leave start_at out of the scenario, or let the harness own the stack")
        engine, within_s = await self._connected(), self._description.compose.ready_within_s
        # Before its addresses are taken: a service that is being restarted has none.
        await wait_until_whole(engine, self._attached, self._description.services, within_s, plan.on_wait)
        found = await self.find(plan)
        try:
            await self._healthy()
        except BaseException:
            await self.stop()
            raise
        return found

    async def find(self, plan: StackPlan, *, as_far_as_there: bool = False) -> StackInfo:
        """Find the project, in whatever state it is. Raises BackendError.

        `as_far_as_there` does without planned links that have no proxy any more: to heal what is left.
        """
        if self._project is not None:
            raise BackendError("the stack runs already", remedy="stop it first")
        began_s = time.monotonic()
        check_settings(plan)
        check_links(plan)
        if plan.environment:
            what = f"other settings for {', '.join(plan.environment)} would restart it"
            raise BackendError(
                what, remedy="a stack that is only attached has no sabotage twins; own it, or leave them out"
            )
        if not as_far_as_there:  # whoever heals needs no logs
            self._run_dir = plan.run_dir
            (plan.run_dir / "logs").mkdir(parents=True, exist_ok=True)
        engine = await self._connected()
        found = await _containers(engine, self._attached)
        if not found and as_far_as_there:
            remedy = "start it again and heal; where it is gone for good, look at what is left, its volumes for one"
            raise BackendError(f"no containers of the compose project {self._attached!r}", remedy=remedy)
        if not found:
            raise await asyncio.to_thread(_no_such_project, self._attached, engine)
        try:
            await self._look_on(engine, plan, found, as_far_as_there=as_far_as_there)
        except BaseException:
            await self.stop()
            raise
        assert self._places is not None
        return StackInfo(
            name=self._description.name,
            addresses={n: self._places.host(n) for n in self._description.services if self._places.known(n)},
            ready_s=time.monotonic() - began_s,
            project=self._project,
            owned=False,
        )

    async def _look_on(
        self, engine: Engine, plan: StackPlan, found: list[ContainerSnapshot], *, as_far_as_there: bool
    ) -> None:
        project = self._project = self._attached
        layout = _layout(project, found, plan.links, as_far_as_there=as_far_as_there)
        self._places = ComposeAddresses(self._description, layout, engine)
        api = {box.name: self._places.place(box.name, API_PORT) for box in layout.boxes}
        tokens = {box.name: await _token(engine, box, found) for box in layout.boxes}
        # Those that the plan does not name as well: their traffic goes through proxies all the same.
        self._links = proxies.endpoints(layout, api, tokens)
        events = self._take_hold(engine, project, run_labels(attached_run(project), self._description.name))
        events.containers = frozenset(one.id for one in found)
        await asyncio.to_thread(events.start, time.time())

    async def _healthy(self) -> None:
        assert self._places is not None
        engine, project = await self._connected(), self._attached
        self._readiness = Readiness(
            self._description, lambda: containers_of(engine.client, project), self._tail, scaled_by_others=True
        )
        for one in await self._seen():
            if one.state == "paused" and one.service in self._description.services:  # nothing else continues it
                message = f"the service {one.service!r} of the attached stack is paused"
                raise BackendError(message, remedy=f"`docker unpause {one.id[:12]}`, and see `harness status`")
        try:
            await self._readiness.wait(self._places.health_place, self._description.compose.ready_within_s)
        finally:
            self._readiness = None

    async def stop(self) -> None:
        """Look no more. The stack goes on. Idempotent."""
        project, engine = self._project, self._engine
        if project is None or engine is None:
            return
        self._project = None
        try:
            with engine_errors("the logs of the stack cannot be read"):
                await asyncio.to_thread(self._collect, engine, project)
        finally:
            self._let_go()


async def _containers(engine: Engine, project: str) -> list[ContainerSnapshot]:
    """Return the project's containers. A fault proxy that the engine is starting again is waited for."""
    deadline_s = time.monotonic() + PROXY_BACK_WITHIN_S
    while True:
        found = await asyncio.to_thread(containers_of, engine.client, project)
        coming = any(one.state == "restarting" and LINKS in one.labels for one in found)
        if not coming or time.monotonic() > deadline_s:
            return found
        await asyncio.sleep(POLL_S)


async def _token(engine: Engine, box: ProxyBox, found: list[ContainerSnapshot]) -> str | None:
    """Return what a proxy's API asks for. Whoever controls the engine controls the stack anyway."""
    container = next(one.id for one in found if one.service == box.name)
    return await engine_call("reading the fault proxy's token", proxies.token_of, engine.client, container)


def check_project(project: str) -> None:
    """Raise BackendError where the engine does not answer, or has no container of a compose project. Blocks."""
    engine = connect()
    try:
        if not containers_of(engine.client, project):
            raise _no_such_project(project, engine)
    finally:
        engine.close()


def _no_such_project(project: str, engine: Engine) -> BackendError:
    running = ", ".join(_projects(engine)) or "none"
    remedy = f"projects that run there: {running}; name one with --attach, or in x-harness.compose.project"
    return BackendError(f"no containers of the compose project {project!r}", remedy=remedy)


def _projects(engine: Engine) -> list[str]:
    # One without a name is a record of ours, see `stack_owner`.
    return sorted({one["Labels"][PROJECT] for one in engine.client.api.containers(filters={"label": PROJECT})} - {""})


def _stopped(box: ContainerSnapshot) -> BackendError:
    what = f"the fault proxy {box.service!r} of the attached stack is {box.state}, and its links are cut"
    verb = "unpause" if box.state == "paused" else "start"
    return BackendError(what, remedy=f"`docker {verb} {box.id[:12]}`; it comes back with its links")


def _layout(project: str, found: list[ContainerSnapshot], wanted: tuple[Link, ...], *, as_far_as_there: bool) -> Layout:
    """Return where everything is. Raises BackendError for a link that no proxy of the stack leads.

    `as_far_as_there` leaves out proxies that do not run, and their links.
    """
    replicated = {name: len(replicas) for name, replicas in by_service(found).items() if len(replicas) > 1}
    alone = [one for one in found if one.service not in replicated]
    addresses = {
        (one.service, network): at
        for one in alone
        for network, at in one.addresses.items()
        if one.labels.get(API_ADDRESS, at) == at
    }
    published = {(one.service, inside): outside for one in alone for inside, outside in one.ports.items()}
    boxes = []
    for one in found:
        led: dict[str, list[int]] = json.loads(one.labels.get(LINKS, "{}"))
        if led:
            # Labels of other releases say nothing of ports; such a link counts as one without a proxy.
            links = {Link.parse(name): tuple(ports) for name, ports in led.items() if isinstance(ports, list)}
            if one.state == "running":
                boxes.append(ProxyBox(one.service, links, tuple(one.addresses)))
            elif any(link in links for link in wanted) and not as_far_as_there:
                raise _stopped(one)
    for link in () if as_far_as_there else wanted:
        if all(link not in box.links for box in boxes):
            remedy = "bring the stack up with `harness up --backend compose --links all`"
            raise BackendError(f"the link {link.name!r} of the attached stack has no proxy in it", remedy=remedy)
    not_running = {one.service: one.state for one in alone if not one.addresses and one.state != "running"}
    return Layout(project, {}, addresses, tuple(boxes), published, not_running=not_running, replicated=replicated)
