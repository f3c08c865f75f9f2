"""The local backend: a stack as processes of this machine.

It puts the parts together: a zygote to fork from, a supervisor behind a control connection, addresses, links through a
fault proxy, and the start. Whatever fails on the way, nothing is left running.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import time
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.backends.events import EventLog
from harness.backends.jobs import data_directory
from harness.backends.local import linux
from harness.backends.local.control import Control, gone, run_job
from harness.backends.local.layout import (
    LocalAddresses,
    base_environment,
    link_endpoints,
    link_entries,
    links_made,
    log_path,
    process_spec,
    proxy_command,
    tail,
    without_env,
)
from harness.backends.local.spawn import ProcessSpec
from harness.backends.local.startup import Startup, check_plan, check_ports, prepare_directories
from harness.backends.local.zygote_handle import ZygoteHandle
from harness.model.backend import (
    FAULT_PROXY,
    JobResult,
    LinkEndpoint,
    ProcessEvent,
    Roots,
    ServiceStatus,
    StackInfo,
    StackPlan,
    known_services,
)
from harness.model.errors import BackendError
from harness.model.logs import lines_since
from harness.model.stack import StackDescription

GRACE_S = 0.5
TRIES = 64
PROXY_MODULE = "harness.proxy.server"  # what `python -m harness.proxy` imports


class LocalBackend:
    """Runs one stack at a time. The zygote outlives the stack, so that the next start is quick."""

    def __init__(self, description: StackDescription, zygote: ZygoteHandle | None = None) -> None:
        self._description = description
        self._zygote = zygote
        self._owns_zygote = zygote is None
        self._control: Control | None = None
        self._addresses: LocalAddresses | None = None
        self._startup: Startup | None = None
        self._log = EventLog()
        self._pids: dict[str, int] = {}
        self._run_dir: Path | None = None

    async def start(self, plan: StackPlan) -> StackInfo:
        """Start the stack and wait until every service is healthy. On failure nothing is left running."""
        if self._control is not None:
            raise BackendError("the stack runs already", remedy="stop it first")
        began_s = time.monotonic()
        check_plan(plan)
        prepare_directories(plan)
        self._run_dir = plan.run_dir
        zygote = await self._ready_zygote()
        data = await data_directory(self._description, self.run_job)
        try:
            self._control = await Control.open(zygote.path, self._on_event)
            addresses = await self._claim(self._control, plan)
            await self._bring_up(self._control, plan, addresses, data)
        except BaseException:
            await self.stop()
            raise
        return StackInfo(
            name=plan.description.name,
            addresses=dict(addresses.services),
            ready_s=time.monotonic() - began_s,
        )

    @property
    def roots(self) -> Roots:
        """The stack's supervisor, which the zygote forked."""
        return Roots(processes=frozenset([self._control.pid]) if self._control is not None else frozenset())

    @property
    def zygote_pid(self) -> int | None:
        """The zygote's process, if it was started here."""
        return self._zygote.pid if self._zygote else None

    async def _ready_zygote(self) -> ZygoteHandle:
        if self._owns_zygote and self._zygote is not None and self._zygote.ended:
            self._zygote.close()
            self._zygote = None
        if self._zygote is None:
            starting = asyncio.ensure_future(asyncio.to_thread(start_zygote, self._description))
            try:
                self._zygote = await asyncio.shield(starting)
            except asyncio.CancelledError:
                await asyncio.to_thread((await starting).close)
                raise
        return self._zygote

    async def _claim(self, control: Control, plan: StackPlan) -> LocalAddresses:
        first = zlib.crc32(f"{os.getpid()} {control.pid}".encode())
        block = await control.ask("claim", first=first, tries=TRIES)
        addresses = self._addresses = LocalAddresses(block, plan.description, plan.links)
        check_ports(plan, addresses)
        return addresses

    async def _bring_up(self, control: Control, plan: StackPlan, addresses: LocalAddresses, data: str | None) -> None:
        specs = {
            name: process_spec(service, plan, addresses, control.scratch, data)
            for name, service in plan.description.services.items()
        }

        async def launch(name: str) -> None:
            await control.ask("launch", processes=[dataclasses.asdict(specs[name])])

        self._startup = Startup(plan.description, addresses, launch)
        try:
            consumers = {link.consumer for link in plan.links}
            await self._startup.run(self._open_links(control, plan, addresses), consumers, self.logs)
        finally:
            self._startup = None

    async def _open_links(self, control: Control, plan: StackPlan, addresses: LocalAddresses) -> None:
        if not plan.links:
            return
        links = control.scratch / "links.json"
        links.write_text(json.dumps(link_entries(addresses)), encoding="utf-8")
        spec = ProcessSpec(
            name=FAULT_PROXY,
            argv=proxy_command(addresses, plan.seed, links),
            env=base_environment(),
            directory=str(control.scratch),
            log=str(log_path(plan.run_dir, FAULT_PROXY)),
            restart="always",
        )
        await control.ask("launch", processes=[dataclasses.asdict(spec)])
        await links_made(addresses)

    async def stop(self) -> None:
        """Stop the stack. Idempotent and bounded; it may be started again."""
        control, self._control = self._control, None
        if control is None:
            return
        try:
            await control.ask("stop", grace_s=GRACE_S)
        except BackendError:
            pass  # then closing the connection ends it
        finally:
            await control.close()
            self._addresses = None
            self._pids = {}
            self._log.end()
            self._log = EventLog()

    async def close(self) -> None:
        """Stop the stack, and end the zygote if it was started here. Idempotent."""
        await self.stop()
        zygote, self._zygote = self._zygote, None
        if zygote is not None and self._owns_zygote:
            await asyncio.to_thread(zygote.close)

    async def __aenter__(self) -> LocalBackend:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def links(self) -> Mapping[str, LinkEndpoint]:
        """The planned links of the running stack, by `consumer -> service`."""
        return link_endpoints(self._addresses) if self._addresses and self._addresses.links else {}

    def resolve(self, url: str, consumer: str | None = None) -> str:
        """Turn `http://service:port/…` or `service:port` into a reachable address: direct, or as `consumer` sees it."""
        if self._addresses is None:
            raise BackendError(f"{url!r} cannot be resolved: the stack does not run")
        return self._addresses.resolve(url, consumer)

    async def status(self) -> tuple[ServiceStatus, ...]:
        """Return every service's state, in the order of the description."""
        found = {one["service"]: one for one in await self._running().ask("status")}
        return tuple(
            ServiceStatus(name, service.node, found[name]["pid"], found[name]["state"], found[name]["restarts"])
            for name, service in self._description.services.items()
            if name in found
        )

    def events(self) -> AsyncIterator[ProcessEvent]:
        """Yield every process event of the running stack (or of the next one) from its start, until it stops."""
        return self._log.follow()

    async def kill(self, services: Iterable[str], signal: int = signal.SIGKILL, suppress_restart: bool = False) -> None:
        """Signal all of them at once. After SIGKILL nothing of them is left when this returns."""
        await self._signal(services, signal, tree=signal == 9, suppress=suppress_restart)

    async def restore(self, services: Iterable[str]) -> None:
        """Lift the suppression and start those that do not run. Idempotent."""
        await self._running().ask("restore", services=self._names(services))

    async def pause(self, services: Iterable[str]) -> None:
        """Stop the processes where they are (SIGSTOP)."""
        await self._signal(services, signal.SIGSTOP, tree=True, suppress=False)

    async def resume(self, services: Iterable[str]) -> None:
        """Let paused processes go on (SIGCONT)."""
        await self._signal(services, signal.SIGCONT, tree=True, suppress=False)

    async def _signal(self, services: Iterable[str], number: int, *, tree: bool, suppress: bool) -> None:
        names = self._names(services)
        await self._running().ask("signal", services=names, number=int(number), tree=tree, suppress=suppress)

    async def process_states(self, services: Iterable[str]) -> Mapping[str, str]:
        """Measure each service's state letter (R, S, D, T, Z) or `absent`; T only if all of its processes are."""
        names = self._names(services)
        if self._running().ended:  # its processes died with it, and their numbers may be those of others by now
            raise gone()
        table = linux.processes()
        return {name: _state(self._pids.get(name), table) for name in names}

    async def run_job(self, argv: Iterable[str], timeout_s: float, env: Mapping[str, str] | None = None) -> JobResult:
        """Run a command of the stack's own tooling, before or while the stack runs."""
        given, words = without_env(list(argv))
        settings = {**(env or {}), **given}
        if self._addresses is not None:
            words = [self._addresses.rewrite(word) for word in words]
            settings = {key: self._addresses.rewrite(value) for key, value in settings.items()}
        zygote = await self._ready_zygote()
        return await run_job(zygote, words, base_environment() | settings, Path(self._description.folder), timeout_s)

    def logs(self, service: str, lines: int) -> list[str]:
        """Return the service's last log lines, of the running stack or of the last one."""
        if service != FAULT_PROXY:
            self._names([service])
        return tail(log_path(self._run_dir, service), lines) if self._run_dir else []

    async def log_since(self, service: str, position: str) -> tuple[list[str], str]:
        """Return the whole lines that a service wrote since a position, and the position after them."""
        self._names([service])
        if self._run_dir is None:
            raise BackendError("the stack does not run")
        try:
            return await asyncio.to_thread(lines_since, log_path(self._run_dir, service), position)
        except OSError as error:
            raise BackendError(f"the log of {service!r} cannot be read: {error.strerror}") from error

    def _names(self, services: Iterable[str]) -> list[str]:
        return known_services(self._description, services)

    def _running(self) -> Control:
        if self._control is None:
            raise BackendError("the stack does not run")
        return self._control

    def _on_event(self, raw: dict[str, Any] | None) -> None:
        if raw is None:
            self._log.end()
            return
        pid = raw.pop("pid", None)
        event = ProcessEvent(**raw)
        if pid is not None:
            self._pids[event.service] = pid
        else:
            self._pids.pop(event.service, None)
        if self._startup is not None:
            self._startup.note(event)
        self._log.add(event)


def start_zygote(description: StackDescription) -> ZygoteHandle:
    """Start a zygote that has imported what this stack asks for, and the fault proxy. Raises BackendError."""
    wanted = [module for service in description.services.values() for module in service.local.preload]
    return ZygoteHandle.start(dict.fromkeys([PROXY_MODULE, *wanted]), [Path(description.folder)])


def _state(pid: int | None, table: dict[int, linux.Process]) -> str:
    if pid is None or pid not in table:
        return "absent"
    states = {table[one].state for one in linux.family({pid}, table)} - {"Z"} or {"Z"}
    if states == {"T"}:
        return "T"
    own = table[pid].state
    return own if own != "T" else min(states - {"T"})
