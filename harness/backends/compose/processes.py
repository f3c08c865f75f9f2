"""The processes of a run's services, as faults act on them: signalled, frozen, kept down, brought back."""

from __future__ import annotations

import asyncio
import signal as signals
import time
from collections.abc import Iterable, Mapping, Sequence

from harness.backends.compose.containers import EngineContainers
from harness.backends.compose.follow import EventStream
from harness.model.errors import BackendError

GONE_WITHIN_S = 10.0
POLL_S = 0.02


class Processes:
    """What the backend lets faults do, on the containers of one run."""

    def __init__(self, containers: EngineContainers, events: EventStream) -> None:
        self._containers = containers
        self._events = events
        self.suppressed: set[str] = set()
        """Services that are kept down until they are restored."""

    async def kill(self, names: Sequence[str], signal: int, suppress_restart: bool) -> None:
        """Signal all of them at once. After SIGKILL nothing of them is left when this returns."""
        before = {name: await self._containers.state(name) for name in names}
        alive = [name for name in names if before[name].pid]
        self._events.expect_end(alive)
        if suppress_restart:
            self.suppressed.update(names)
        # The engine does not restart what it killed on request; a crash comes from outside of it.
        act = self._containers.kill if suppress_restart else self._containers.crash
        await asyncio.gather(*(act(name, int(signal)) for name in alive))
        if signal == signals.SIGKILL:
            await asyncio.gather(*(self._gone(name, before[name].started_at) for name in alive))

    async def _gone(self, name: str, started_at: str) -> None:
        deadline_s = time.monotonic() + GONE_WITHIN_S
        while True:
            state = await self._containers.state(name)
            if not state.pid or state.started_at != started_at:
                return
            if time.monotonic() > deadline_s:
                raise BackendError(f"{name!r} was killed, and still runs after {GONE_WITHIN_S:g} s")
            await asyncio.sleep(POLL_S)

    async def restore(self, names: Iterable[str]) -> None:
        """Lift the suppression and start those that do not run. Idempotent."""
        names = list(names)
        self.suppressed.difference_update(names)
        await asyncio.gather(*(self._containers.start(name) for name in names))

    async def pause(self, names: Iterable[str]) -> None:
        """Freeze them."""
        await asyncio.gather(*(self._containers.pause(name) for name in names))

    async def resume(self, names: Iterable[str]) -> None:
        """Let what is frozen go on."""
        await asyncio.gather(*(self._containers.unpause(name) for name in names))

    async def states(self, names: Sequence[str]) -> Mapping[str, str]:
        """Ask the engine for each: `absent`, `T` where it is frozen, else `S`."""
        states = await asyncio.gather(*(self._containers.state(name) for name in names))
        letters = ("T" if one.status == "paused" else "S" if one.pid else "absent" for one in states)
        return dict(zip(names, letters, strict=True))
