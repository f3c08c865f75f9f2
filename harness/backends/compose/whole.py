"""Whether a stack that runs already is whole: the engine restarts none of its services, nor has it just done so.

A service that fails is started again later and later, and in between it is not there and has no address. An earlier run
may have left it so: the next one waits, and says for what.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from harness.backends.compose.engine import Engine, engine_call
from harness.backends.compose.snapshots import STEADY_S, ContainerSnapshot, containers_of, named, tail
from harness.backends.start_limits import LOG_LINES
from harness.model.errors import BackendError

POLL_S = 0.2


async def wait_until_whole(
    engine: Engine, project: str, services: Collection[str], within_s: float, on_wait: Callable[[str], object] | None
) -> None:
    """Return when no service is being restarted; `on_wait` is told of each that is waited for.

    Raises BackendError after the deadline, with the last log lines of one.
    """
    deadline_s = time.monotonic() + within_s
    told: set[str] = set()
    while True:
        found = await engine_call("looking at the stack", _unsteady, engine.client, project, services)
        if not found:
            return
        for service, what in found.items():
            if on_wait is not None and service not in told:
                on_wait(f"waiting until the stack is whole: {service} {what}")
                told.add(service)
        if time.monotonic() > deadline_s:
            raise await asyncio.to_thread(_not_whole, engine.client, project, found, within_s)
        await asyncio.sleep(POLL_S)


def _unsteady(client: Any, project: str, services: Collection[str]) -> dict[str, str]:
    """Return what the engine does with each service that it restarts, or has restarted a moment ago. Blocks."""
    import docker.errors

    found = {}
    containers = containers_of(client, project)
    names = {one.id: name for name, one in named(containers).items()}
    for one in containers:
        if one.service in services and (one.state == "restarting" or one.just_up):
            with contextlib.suppress(docker.errors.NotFound):  # removed meanwhile: the next look tells
                what = _restarts(one, client.api.inspect_container(one.id))
                if what is not None:
                    found[names.get(one.id, one.service)] = what
    return found


def _restarts(seen: ContainerSnapshot, about: dict[str, Any]) -> str | None:
    """Return what is to be waited for; nothing of a container that was started by hand, which counts from 0 again."""
    count = int(about["RestartCount"])
    times = "once" if count == 1 else f"{count} times"
    if seen.state == "restarting":
        return f"has ended with code {about['State']['ExitCode']} and is being restarted, {times} so far"
    return f"has run for less than {STEADY_S} s since it was restarted, {times} so far" if count else None


def _not_whole(client: Any, project: str, found: Mapping[str, str], within_s: float) -> BackendError:
    service, what = next(iter(found.items()))
    log = "\n".join(tail(client, project, service, LOG_LINES)) or "it wrote no log"
    message = f"the attached stack is not whole after {within_s:g} s: {service} {what}; its last log lines:\n{log}"
    return BackendError(message, remedy="mend the service, or leave it out of the stack's description")
