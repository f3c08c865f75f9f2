"""The small stack with a fault proxy between relay and echo, for the tests of that proxy in containers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from harness.backends.compose.backend import ComposeBackend
from harness.backends.compose.engine import client
from harness.backends.compose.leftovers import labels_of_runs
from harness.backends.compose.snapshots import containers_of
from harness.backends.http_request import request
from harness.model.backend import LinkEndpoint, StackPlan
from harness.model.errors import FaultError
from harness.model.fields import Link
from harness.model.stack import StackDescription
from harness.seams.toxiproxy import ProxyApi, ToxicSpec

LINK = Link("relay", "echo")
BOX = "harness-proxy-1"
WITHIN_S = 30.0
LATE = ToxicSpec("harness-late", "latency", "downstream", {"latency": 200})


@contextlib.asynccontextmanager
async def running(stack: StackDescription, folder: Path) -> AsyncIterator[ComposeBackend]:
    """The small stack, with a fault proxy between relay and echo; nothing of it is left afterwards."""
    async with ComposeBackend(stack) as backend:
        await backend.start(StackPlan(stack, folder, (LINK,)))
        project = backend.project
        yield backend
    engine = client()
    assert project not in labels_of_runs(engine), "the restart policy brings nothing back that the run itself has ended"
    engine.close()


def endpoint_of(backend: ComposeBackend) -> LinkEndpoint:
    return backend.links[LINK.name]


def api_of(backend: ComposeBackend) -> ProxyApi:
    return ProxyApi(endpoint_of(backend).proxy_api_url, endpoint_of(backend).proxy_token)


def box(project: str) -> dict[str, Any]:
    """All that the engine says of the proxy's container."""
    engine = client()
    found = next(one for one in containers_of(engine, project) if one.service == BOX)
    about: dict[str, Any] = engine.api.inspect_container(found.id)
    engine.close()
    return about


async def asked(backend: ComposeBackend, path: str = "/ask") -> int:
    host, _, port = backend.resolve("relay:17102").rpartition(":")
    return (await request("GET", host, int(port), path, within_s=5.0))[0]


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is true, whatever the question raises meanwhile."""
    deadline_s = time.monotonic() + WITHIN_S
    found: object = False
    while found is not True:
        assert time.monotonic() < deadline_s, found
        await asyncio.sleep(0.02)
        try:
            found = await true()
        except (OSError, ValueError, FaultError) as error:
            found = error


def restart(project: str) -> None:
    engine = client()
    engine.api.restart(box(project)["Id"], timeout=1)
    engine.close()


def crash(project: str) -> None:
    """As the kernel's out-of-memory killer does it: not by the engine."""
    os.kill(box(project)["State"]["Pid"], signal.SIGKILL)


async def came_back(project: str, started: str) -> bool:
    state = (await asyncio.to_thread(box, project))["State"]
    return bool(state["Running"]) and state["StartedAt"] != started
