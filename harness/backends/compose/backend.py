"""The compose backend: a stack as containers of a Docker engine, started and stopped for one run.

It puts the parts together: the engine, the layout and the compose file of the run, and its start. Whatever fails on the
way, nothing of the run is left on the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

from harness.backends.compose import proxies
from harness.backends.compose.engine import Engine, engine_errors
from harness.backends.compose.labels import RUN_ID, run_labels
from harness.backends.compose.layout import ComposeAddresses
from harness.backends.compose.leftovers import remove_run
from harness.backends.compose.project import RunFile, composed
from harness.backends.compose.project_backend import ProjectBackend
from harness.backends.compose.readiness import Readiness, RetryableStartError
from harness.backends.compose.snapshots import containers_of
from harness.backends.compose.start import Start, lay_out
from harness.backends.compose.taken_ports import port_taken
from harness.model.backend import StackInfo, StackPlan, check_links, check_settings
from harness.model.errors import BackendError
from harness.model.stack import StackDescription

TRIES = 5


class ComposeBackend(ProjectBackend):
    """Runs one stack at a time, as a project of its own."""

    def __init__(self, description: StackDescription, *, keep: bool = False, name: str | None = None) -> None:
        """`keep`: the stack is to outlive this process, with the ports that its own file publishes.

        `name`: that of its compose project, of which the engine has nothing yet.
        """
        super().__init__(description)
        self._keep = keep
        self._name = name

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

    def leave(self) -> str:
        """Let the stack run on after this process. Returns its project."""
        project, self._project = self._project, None
        if project is None:
            raise BackendError("the stack does not run")
        if self._events is not None:
            self._events.stop()
        return project
