"""`container.image`: a service runs with another image, such as the version before; all else stays.

The engine must have the image: pull it before. The container is [replaced by a stand-in](#stand-ins).
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.faults.container_targets import CALL_LIMIT_S, REPLACING_S, StandIn
from harness.faults.each_replica import EachReplica
from harness.model.containers import ContainerState, Replacement
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.seams import Seams


class Parameters(Frozen):
    """Which image."""

    image: str = Field(min_length=1, description="an image that the engine has, such as shop/model:1.4")


class ContainerImage(StandIn):
    """A service on another image."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._image = Parameters.model_validate(step.parameters).image

    async def change(self) -> Replacement:
        """Another image."""
        change = Replacement(image=self._image)
        plan = await self.containers.plan_replacement(self.service, change)
        if plan["image"] == (await self.containers.state(self.service)).image:
            message = f"the service {self.service!r} runs with {self._image} already"
            raise FaultError(message, remedy="name another image, such as the version before")
        return change

    async def effect(self, state: ContainerState, undo: dict[str, Any]) -> Confirmation:
        """Ask the engine for the image."""
        return Confirmation(state.image == undo["image"], {"image": state.image, "name": self._image})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, ContainerImage)


KIND = FaultKind(
    kind="container.image",
    summary="a service runs with another image, such as the version before",
    targets=("service",),
    parameters=Parameters,
    confirmed_by="the engine reports that the running container is of that image",
    restored="the original container is put back",
    certifies="a wrong version in service, or a rollback",
    not_certified="the stack's own way of rolling out a version",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_flight_s=REPLACING_S,
    in_containers=True,
    each_replica=True,
    restarts=True,
)
