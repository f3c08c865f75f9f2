"""`container.stop`: the engine stops a container as an operator would: its stop signal, then SIGKILL.

The engine does not restart a container that was stopped through it.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.faults.container_targets import CALL_LIMIT_S, ENGINE_S, ONE_OR_MORE, ContainerFault
from harness.faults.each_replica import EachReplica
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.model.units import WallSeconds
from harness.seams import Seams


class Parameters(Frozen):
    """How gently."""

    grace: WallSeconds = Field(10.0, le=60.0, description="time to end by itself, before SIGKILL")


class ContainerStop(ContainerFault):
    """Containers that are stopped."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._grace_s = Parameters.model_validate(step.parameters).grace

    async def prepare(self) -> dict[str, Any]:
        """Which of them to start again."""
        await self.all_running()
        return {"services": list(self.services)}

    async def inject(self) -> None:
        """Stop them all at once."""
        await self.each(lambda name: self.containers.stop(name, self._grace_s))

    async def confirm(self) -> Confirmation:
        """Ask the engine whether they have ended."""
        states = await self.each(self.containers.state)
        evidence = {name: {"status": s.status, "exit_code": s.exit_code} for name, s in states.items()}
        return Confirmation(all(s.status == "exited" for s in states.values()), evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Start those that do not run."""
        await self.each(self.containers.start, undo.get("services", self.services))

    async def absent(self) -> Confirmation:
        """Every container runs."""
        states = await self.statuses()
        return Confirmation(any(status != "running" for status in states.values()), {"containers": states})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, ContainerStop)


KIND = FaultKind(
    kind="container.stop",
    summary="a container is stopped in an orderly way",
    targets=ONE_OR_MORE,
    parameters=Parameters,
    confirmed_by="the engine reports that the container has ended",
    restored="the container is started",
    certifies="orderly shutdown: draining, handing over, what others do meanwhile",
    not_certified="crashes (`container.kill`)",
    make=_make,
    changes="nothing",
    in_flight_s=lambda step: Parameters.model_validate(step.parameters).grace + ENGINE_S,
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
    each_replica=True,
    restarts=True,
)
