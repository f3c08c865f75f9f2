"""`container.restart_loop`: a container crashes each time its engine has restarted it.

The crashes come from outside and end with the fault; the engine waits longer and longer before each restart, as it
does for a service that cannot come up. The service needs a restart policy in the compose file.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from pydantic import Field

from harness.faults.container_targets import CALL_LIMIT_S, ONE_OR_MORE, ContainerFault
from harness.faults.each_replica import EachReplica
from harness.model.containers import ContainerState
from harness.model.errors import FaultError, HarnessError
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.model.units import WallSeconds
from harness.seams import Seams

if TYPE_CHECKING:
    import asyncio

LOOK_EVERY_S = 0.05
CRASHES = 2
"""One restart is a crash; two make a loop."""


class Parameters(Frozen):
    """How long it lives each time."""

    alive: WallSeconds = Field(0.5, le=60.0, description="how long it may run before the next crash")


class RestartLoop(ContainerFault):
    """Containers that crash again and again."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._alive_s = Parameters.model_validate(step.parameters).alive
        self._before: dict[str, ContainerState] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._errors: dict[str, str] = {}

    async def prepare(self) -> dict[str, Any]:
        """Which of them to start; a container that nobody restarts is refused."""
        await self.all_running()
        for name, state in (await self.each(self.containers.state)).items():
            if state.restart_policy == "no":
                message = f"the service {name!r} has no restart policy, so its container cannot be in a restart loop"
                raise FaultError(message, remedy="give it `restart: always`, or use container.kill")
        return {"services": list(self.services)}

    async def inject(self) -> None:
        """Begin to crash them."""
        import asyncio  # here and not above: to list or check faults needs no event loop

        self._before = await self.each(self.containers.state)
        for name in self.services:
            self.containers.expect_ends(name, True)
            self._tasks[name] = asyncio.create_task(self._loop(name))

    async def _loop(self, name: str) -> None:
        import asyncio

        crashed = ""
        while True:
            try:
                state = await self.containers.state(name)
                if state.pid and state.started_at != crashed:
                    await asyncio.sleep(self._alive_s)
                    await self.containers.crash(name, signal.SIGKILL)
                    crashed = state.started_at
                self._errors.pop(name, None)
            except HarnessError as error:  # it ended by itself, or the engine is busy: the next look will tell
                self._errors[name] = str(error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def confirm(self) -> Confirmation:
        """Ask the engine how often it has restarted each, and whether that goes on."""
        if not self._before:
            return Confirmation(False, {"why": "not injected"})
        now = await self.each(self.containers.state)
        evidence: dict[str, Any] = {
            name: {"restarts": s.restarts - self._before[name].restarts, "status": s.status}
            | ({"error": self._errors[name]} if name in self._errors else {})
            for name, s in now.items()
        }
        looping = [
            s.restarts - self._before[name].restarts >= CRASHES
            and s.status in ("running", "restarting")
            and name in self._tasks
            and not self._tasks[name].done()
            for name, s in now.items()
        ]
        return Confirmation(all(looping), evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """End the crashes and start what is down, without waiting for the engine to try again."""
        import asyncio

        tasks, self._tasks, self._before = list(self._tasks.values()), {}, {}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        services = undo.get("services", self.services)
        await self.each(self.containers.start, services)
        for name in services:
            self.containers.expect_ends(name, False)

    async def absent(self) -> Confirmation:
        """Every container runs, and nothing crashes it any more."""
        states = await self.statuses()
        down = any(status != "running" for status in states.values())
        return Confirmation(down or bool(self._tasks), {"containers": states})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, RestartLoop)


KIND = FaultKind(
    kind="container.restart_loop",
    summary="a container crashes each time its engine has restarted it",
    targets=ONE_OR_MORE,
    parameters=Parameters,
    confirmed_by="the engine has restarted the container twice or more since injection, and goes on",
    restored="the crashes end and the container is started, without waiting for the engine's back-off",
    certifies="what notices, and works around, a service that never stays up",
    not_certified="the reason why a service would crash, for the crashes come from outside",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
    each_replica=True,
    restarts=True,
)
