"""`container.pause`: every process of a container is frozen; its connections stay open and silent.

A container that is paused already is refused, so that it stays as it was.
"""

from __future__ import annotations

from typing import Any

from harness.faults.container_targets import CALL_LIMIT_S, ONE_OR_MORE, ContainerFault
from harness.faults.each_replica import EachReplica
from harness.model.fault import Confirmation, FaultKind, NoParameters
from harness.model.faultstep import FaultStep
from harness.seams import Seams


class ContainerPause(ContainerFault):
    """Containers that are frozen."""

    async def prepare(self) -> dict[str, Any]:
        """Which of them to let go on."""
        await self.all_running()
        return {"services": list(self.services)}

    async def inject(self) -> None:
        """Freeze them all at once."""
        await self.each(self.containers.pause)

    async def confirm(self) -> Confirmation:
        """Ask the kernel whether their control groups are frozen."""
        states = await self.statuses()
        if not all(status == "paused" for status in states.values()):
            return Confirmation(False, {"containers": states})
        frozen = await self._frozen()
        return Confirmation(all(frozen.values()), {"containers": states, "frozen": frozen})

    async def _frozen(self) -> dict[str, bool]:
        reply = await self.each(lambda name: self.containers.ask(name, "frozen"))
        return {name: bool(found["frozen"]) for name, found in reply.items()}

    async def revert(self, undo: dict[str, Any]) -> None:
        """Let them go on."""
        await self.each(self.containers.unpause, undo.get("services", self.services))

    async def absent(self) -> Confirmation:
        """None is frozen."""
        states = await self.statuses()
        return Confirmation(any(status == "paused" for status in states.values()), {"containers": states})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, ContainerPause)


KIND = FaultKind(
    kind="container.pause",
    summary="every process of a container is frozen",
    targets=ONE_OR_MORE,
    parameters=NoParameters,
    confirmed_by="the kernel reports the control group as frozen",
    restored="the container is unpaused",
    certifies="time-outs and health checks against a service that is there and does not answer",
    not_certified="services that are slow, or gone",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
    each_replica=True,
)
