"""`container.image`: a service runs with another image, such as the version before; all else stays.

Confirmed by the engine: the container that runs for the service is of that image.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.faults.container_targets import CALL_LIMIT_S
from harness.faults.stand_in import StandIn
from harness.model.containers import ContainerState, Replacement
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, FaultKind
from harness.model.frozen import Frozen
from harness.model.scenario import FaultStep
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


def _make(step: FaultStep, seams: Seams, seed: int) -> ContainerImage:
    return ContainerImage(step, seams)


KIND = FaultKind(
    kind="container.image",
    summary="a service runs with another image, such as the version before",
    targets=("service",),
    parameters=Parameters,
    make=_make,
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
)
