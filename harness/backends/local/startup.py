"""The start of a stack: what can be known to be wrong before, then each service as early as its dependencies allow.

A service that keeps exiting, or that ends for good without having been healthy, fails the start at once; one that never
becomes healthy fails it when the time is over. Both errors carry the service's last log lines.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

from harness.backends.http_request import port_is_taken, until_healthy
from harness.backends.listening import listening_process
from harness.backends.local.layout import MOST_LINKS, LocalAddresses, missing_program
from harness.backends.start_limits import LOG_LINES, MOST_EXITS, Tail
from harness.model.backend import FAULT_PROXY, ProcessEvent, StackPlan, check_links, check_settings
from harness.model.errors import BackendError, install_extra
from harness.model.stack import ServiceSpec, StackDescription

LEAST_FREE_BYTES = 64 * 1024 * 1024


def check_plan(plan: StackPlan) -> None:
    """Raise BackendError for a plan that cannot be carried out."""
    description = plan.description
    if description.ownership != "owned":
        remedy = "the local backend starts what it owns; set x-harness.ownership to owned"
        raise BackendError(f"the stack {description.name!r} is attached, not owned", remedy=remedy)
    check_settings(plan)
    if len(plan.links) > MOST_LINKS:
        raise BackendError(f"{len(plan.links)} links are too many; the most is {MOST_LINKS}")
    check_links(plan)
    for service in description.services.values():
        for name, condition in service.depends_on.items():
            if condition == "service_healthy" and description.services[name].health is None:
                remedy = f"the local backend cannot run compose's health checks; add x-harness.health to {name!r}"
                raise BackendError(f"{service.name!r} waits for {name!r} to be healthy", remedy=remedy)
        command = service.local_command
        if command is None:
            remedy = f"add services.{service.name}.x-harness.local.command to {description.file}"
            raise BackendError(f"the service {service.name!r} has no command for the local backend", remedy=remedy)
        missing = missing_program(command, Path(description.folder))
        if missing is not None:
            remedy = f"install it, or put it on PATH; for the reference stack, {install_extra('reference')}"
            raise BackendError(f"the service {service.name!r} needs {missing!r}, which is not there", remedy=remedy)


def prepare_directories(plan: StackPlan) -> None:
    """Make the folder for the logs. Raises BackendError where it cannot be made or the disk is full."""
    try:
        (plan.run_dir / "logs").mkdir(parents=True, exist_ok=True)
        for folder in (plan.run_dir, Path(tempfile.gettempdir())):
            free = shutil.disk_usage(folder).free
            if free < LEAST_FREE_BYTES:
                what = f"the disk of {folder} is full: {free / 1e6:.0f} MB are left"
                raise BackendError(
                    what, remedy=f"free at least {LEAST_FREE_BYTES / 1e6:.0f} MB, or set TMPDIR elsewhere"
                )
    except OSError as error:
        raise BackendError(f"no place for the logs of the stack: {error}") from error


def check_ports(plan: StackPlan, addresses: LocalAddresses) -> None:
    """Raise BackendError if something else already listens where a service is to listen."""
    for service in plan.description.services.values():
        if service.port is not None and port_is_taken(addresses.services[service.name], service.port):
            holder = listening_process(service.port) or "another program"
            what = f"port {service.port} of the service {service.name!r} is taken by {holder}"
            remedy = f"stop that program, or give the service another port in {plan.description.file}"
            raise BackendError(what, remedy=remedy)


class Startup:
    """Brings one stack up."""

    def __init__(
        self, description: StackDescription, addresses: LocalAddresses, launch: Callable[[str], Awaitable[None]]
    ):
        self._description = description
        self._addresses = addresses
        self._launch = launch
        self._exits: Counter[str] = Counter()
        self._reached = {
            (name, condition): asyncio.Event()
            for name in description.services
            for condition in ("service_started", "service_healthy", "service_completed_successfully")
        }
        self._failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._why = ""

    async def run(self, links_ready: Awaitable[None], consumers: Collection[str], tail: Tail) -> None:
        """Start everything. Raises BackendError."""
        links = asyncio.ensure_future(links_ready)
        ups = [
            asyncio.create_task(self._bring_up(service, links if service.name in consumers else None))
            for service in self._description.services.values()
        ]
        everything = asyncio.gather(links, *ups)
        try:
            within_s = self._description.ready_within_s
            either: set[asyncio.Future[Any]] = {everything, self._failed}
            await asyncio.wait(either, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                raise _error(self._failed.result(), self._why, tail)
            if not everything.done():
                raise self._late(within_s, tail)
            everything.result()
        finally:
            for task in (links, *ups):
                task.cancel()
            self._failed.cancel()
            await asyncio.gather(everything, *ups, links, return_exceptions=True)

    def note(self, event: ProcessEvent) -> None:
        """Take notice of a process that ended while the stack starts."""
        if event.what not in ("exited", "killed") or self._failed.done():
            return
        if event.service == FAULT_PROXY:
            self._fail(event, "ended while the stack started")
            return
        service = self._description.services[event.service]
        self._exits[service.name] += 1
        ended = (
            f"exited with code {event.exit_code}" if event.signal is None else f"was killed by signal {event.signal}"
        )
        if event.exit_code == 0 and service.health is None and service.restart in ("no", "on-failure"):
            self._reached[service.name, "service_completed_successfully"].set()
        elif service.restart == "no" or (service.restart.startswith("on-failure") and event.exit_code == 0):
            self._fail(event, f"{ended} while the stack started")
        elif self._exits[service.name] >= MOST_EXITS:
            self._fail(event, f"{ended}, {MOST_EXITS} times, while the stack started")

    def _fail(self, event: ProcessEvent, why: str) -> None:
        self._why = why
        self._failed.set_result(event.service)

    async def _bring_up(self, service: ServiceSpec, links: asyncio.Future[None] | None) -> None:
        for name, condition in service.depends_on.items():
            await self._reached[name, condition].wait()
        if links is not None:
            await asyncio.shield(links)
        await self._launch(service.name)
        self._reached[service.name, "service_started"].set()
        if service.health is not None and service.port is not None:
            await until_healthy(service.health, self._addresses.services[service.name], service.port)
        self._reached[service.name, "service_healthy"].set()

    def _late(self, within_s: float, tail: Tail) -> BackendError:
        """Return the error for a stack that is late, naming the first service that holds up the others."""
        for name in self._description.services:
            started = self._reached[name, "service_started"].is_set()
            if started and not self._reached[name, "service_healthy"].is_set():
                more = "correct it, or give the stack more time with x-harness.ready_within"
                return _error(name, f"was not healthy within {within_s:g} s", tail, more)
        waiting = [n for n in self._description.services if not self._reached[n, "service_started"].is_set()]
        return BackendError(f"the stack was not up within {within_s:g} s; not started: {', '.join(waiting) or 'links'}")


def _error(name: str, why: str, tail: Tail, remedy: str = "correct its command or what it needs") -> BackendError:
    what = "the fault proxy" if name == FAULT_PROXY else f"the service {name!r}"
    lines = tail(name, LOG_LINES)
    shown = [f"its last log lines:\n{chr(10).join(f'    {line}' for line in lines)}"] if lines else ["its log is empty"]
    return BackendError(f"{what} {why}; {shown[0]}\n", remedy=remedy)
