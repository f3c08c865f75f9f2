"""`container.environment`: a service runs with other environment variables.

The container is [replaced by a stand-in](#stand-ins). Evidence names the variables and never their values, which may
be secrets.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from harness.faults.container_targets import CALL_LIMIT_S, REPLACING_S, StandIn
from harness.faults.each_replica import EachReplica
from harness.model.containers import ContainerState, Replacement
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.seams import Seams


class Parameters(Frozen):
    """Which variables."""

    set: dict[str, str] = Field(default_factory=dict, description="variables and their values")
    unset: tuple[str, ...] = Field((), description="variables that are taken away")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.set and not self.unset:
            raise ValueError("name a variable to set or to unset")
        both = {*self.set} & {*self.unset}
        if both:
            raise ValueError(f"{min(both)!r} is both set and unset")
        return self


class ContainerEnvironment(StandIn):
    """A service with other variables."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._parameters = Parameters.model_validate(step.parameters)

    async def change(self) -> Replacement:
        """Other variables."""
        return Replacement(set_environment=self._parameters.set, unset_environment=self._parameters.unset)

    async def effect(self, state: ContainerState, undo: dict[str, Any]) -> Confirmation:
        """Ask the kernel for the variables."""
        names = [*self._parameters.set, *self._parameters.unset]
        reply = await self.containers.ask(self.service, "process", names=names)
        wanted = {**self._parameters.set, **dict.fromkeys(self._parameters.unset)}
        as_wanted = {name: reply["environment"][name] == value for name, value in wanted.items()}
        return Confirmation(all(as_wanted.values()), {"as_wanted": as_wanted})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, ContainerEnvironment)


KIND = FaultKind(
    kind="container.environment",
    summary="a service runs with other environment variables",
    targets=("service",),
    parameters=Parameters,
    confirmed_by="the kernel's record of the variables that the main process was started with",
    restored="the original container is put back",
    certifies="wrong configuration that comes by environment",
    not_certified="configuration that is read elsewhere, or while the service runs",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_flight_s=REPLACING_S,
    in_containers=True,
    each_replica=True,
    restarts=True,
)
