"""The start of a stack of containers: the compose command brings it up, then every service must become healthy.

Where it does not come up, the error says what to do and carries the service's last log lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence

from harness.backends.compose.snapshots import ContainerSnapshot, by_service
from harness.backends.compose.taken_ports import PORT_TAKEN
from harness.backends.http_request import healthy
from harness.backends.start_limits import LOG_LINES, MOST_EXITS, Tail
from harness.model.backend import ProcessEvent
from harness.model.errors import BackendError
from harness.model.replicas import replica_name
from harness.model.stack import StackDescription

POLL_S = 0.1
OVERLAP = re.compile(r"[Pp]ool overlaps|overlaps with other one|invalid pool request")
_TROUBLES = {
    r"no space left on device": (
        "the engine's disk is full",
        "`docker system df` shows what takes the room; `docker system prune` frees what is unused",
    ),
    r"permission denied(?s:.*)docker\.sock|permission denied while trying to connect": (
        "no permission to talk to the Docker engine",
        "add yourself to the group docker, or use sudo",
    ),
    r"pull access denied|manifest unknown|No such image|failed to resolve reference|repository does not exist": (
        "an image is not available",
        "pull or build it first, or name another one by the variable in the compose file",
    ),
    r"Cannot connect to the Docker daemon|connection refused|Connection aborted": (
        "the Docker engine does not answer any more",
        "look at its log: `journalctl -u docker`",
    ),
}


class RetryableStartError(Exception):
    """Something that another choice of addresses or ports may mend."""


async def compose_up(command: subprocess.Popen[str], within_s: float) -> str:
    """Wait for a compose command and return its output. Raises RetryableStartError, or BackendError with the remedy."""
    try:
        async with asyncio.timeout(within_s):
            output, _ = await asyncio.to_thread(command.communicate)
    except TimeoutError:
        raise BackendError(f"docker compose did not finish within {within_s:g} s") from None
    finally:
        end_group(command)
    if command.returncode == 0:
        return output
    if OVERLAP.search(output) or PORT_TAKEN.search(output):
        raise RetryableStartError(output)
    for pattern, (what, remedy) in _TROUBLES.items():
        if re.search(pattern, output, re.IGNORECASE):
            raise BackendError(f"{what}: {_last(output)}", remedy=remedy)
    raise BackendError(f"docker compose failed with {command.returncode}\n{_last(output, 8)}")


def end_group(command: subprocess.Popen[str]) -> None:
    """Kill a command and what it started, where it still runs."""
    if command.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)
        command.wait()


def _last(output: str, lines: int = 2) -> str:
    written = [line.strip() for line in output.splitlines() if line.strip()]
    return "\n".join(written[-lines:]) if written else "it printed nothing"


Place = Callable[[ContainerSnapshot], tuple[str, int] | None]
"""Where the port of a container is on which its health is asked; None where it has none."""


class Readiness:
    """Waits until every service of a stack is ready, with all of its replicas, or one gives up."""

    def __init__(
        self,
        description: StackDescription,
        seen: Callable[[], Sequence[ContainerSnapshot]],
        tail: Tail,
        *,
        scaled_by_others: bool = False,
    ) -> None:
        """`seen` lists the containers by the engine, and blocks; `tail` gives a service's last log lines.

        `scaled_by_others`: a service may have another number of replicas than its compose file says.
        """
        self._description = description
        self._seen = seen
        self._tail = tail
        self._scaled_by_others = scaled_by_others
        self._exits: Counter[str] = Counter()
        self._ready: set[str] = set()

    def note(self, event: ProcessEvent) -> None:
        """Take notice of a container that ended while the stack starts."""
        if event.what in ("exited", "killed") and not event.asked:
            self._exits[replica_name(event.service, event.replica)] += 1

    async def wait(self, place: Place, within_s: float) -> None:
        """Return when all are ready. Raises BackendError with the last log lines of the one that is not."""
        deadline_s = time.monotonic() + within_s
        while True:
            containers = await self._all_there()
            checks = [self._is_ready(name, one, place) for name, one in containers.items()]
            states = dict(zip(containers, await asyncio.gather(*checks), strict=True))
            if all(states.values()):
                return
            if time.monotonic() > deadline_s:
                late = next(name for name, ready in states.items() if not ready)
                what = f"did not become healthy within {within_s:g} s"
                raise await self._error(late, what)
            await asyncio.sleep(POLL_S)

    async def _all_there(self) -> dict[str, ContainerSnapshot]:
        """Return the containers that are waited for, by the name of each. Raises BackendError where one is missing."""
        containers = by_service(await asyncio.to_thread(self._seen))
        found: dict[str, ContainerSnapshot] = {}
        for name, service in self._description.services.items():
            replicas = containers.get(name, [])
            wanted = min(1, service.replicas) if self._scaled_by_others else service.replicas
            if len(replicas) < wanted:
                what = "has no container" if not replicas else f"has {len(replicas)} of its {wanted} replicas"
                raise await self._error(name, what)
            several = len(replicas) > 1
            found |= {replica_name(name, one.number if several else None): one for one in replicas}
        return found

    async def _is_ready(self, name: str, seen: ContainerSnapshot, place_of: Place) -> bool:
        if name in self._ready:
            return True
        service = self._description.services[seen.service]
        if seen.state in ("exited", "dead"):
            if seen.exit_code == 0 and service.restart in ("no", "on-failure"):
                self._ready.add(name)
                return True
            raise await self._error(name, f"exited with code {seen.exit_code} while the stack started")
        exits = self._exits[name]
        if exits >= MOST_EXITS:
            raise await self._error(name, f"ended {exits} times while the stack started")
        if seen.health == "unhealthy":
            raise await self._error(name, "is unhealthy by its own health check")
        if seen.state != "running":
            return False
        place = place_of(seen)
        if service.health is None or place is None:
            # Nothing else tells; the engine itself looks for the first time after a whole interval.
            if seen.health == "starting":
                return False
        elif not await healthy(service.health, *place):
            return False
        self._ready.add(name)
        return True

    async def _error(self, name: str, what: str) -> BackendError:
        lines = await asyncio.to_thread(self._tail, name, LOG_LINES)
        log = "\n".join(lines) if lines else "it wrote no log"
        return BackendError(f"the service {name!r} {what}; its last log lines:\n{log}")
