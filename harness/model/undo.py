"""What is written down before a fault goes in, so that anybody can take it out: the undo of a run and of each fault.

A fault is open from its undo on, until an `Absence` says that it was measured to be gone. Nothing else closes it: not
the end of the run, and not a revert that returned without an error.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen, LinkField
from harness.model.stack import StackDescription

Who = Literal["run", "guard", "heal"]
"""Who took a fault out: its own run, the guard of the run, or `harness heal`."""


class RunUndo(Frozen):
    """What all faults of a run share: where its stack is, described so that no other file is needed."""

    version: Literal[1] = 1
    id: str = Field(description="tells this run from every other, wherever its folder is")
    run: str
    scenario: str
    backend: str
    project: str | None = Field(default=None, description="the compose project, once the stack is up")
    engine: str | None = Field(default=None, description="the identity of the container engine")
    owned: bool = Field(default=True, description="whether the run started the stack, rather than found it running")
    stack: StackDescription
    guard: str | None = Field(default=None, description="the container of the run's second guard, beside its stack")
    links: tuple[LinkField, ...] = ()
    seed: int


class FaultUndo(Frozen):
    """How to take one fault out, from this alone."""

    version: Literal[1] = 1
    n: int = Field(description="the faults of a run in the order in which they went in")
    written_ns: int = Field(description="nanoseconds since 1970, to order the faults of several runs")
    until_s: float = Field(description="how long it is in at the most, on the machine's monotonic clock")
    step: FaultStep
    data: dict[str, Any] = Field(description="what the fault needs for its revert")

    @property
    def fault(self) -> str:
        """The fault's id."""
        return self.step.id


class Absence(Frozen):
    """A fault was measured to be gone."""

    version: Literal[1] = 1
    fault: str
    by: Who
    at: str = Field(description="when, in UTC")
    evidence: dict[str, Any] = Field(default_factory=dict)


class NothingLeft(Frozen):
    """Nothing of a run is left: no fault is in, and its stack is stopped or given back."""

    version: Literal[1] = 1
    by: Who
    at: str = Field(description="when, in UTC")


def for_healing(stack: StackDescription) -> StackDescription:
    """Return the description without what no revert needs: what the services run, and what is measured of them."""
    services = {
        name: service.model_copy(update={"environment": {}, "command": None, "local": type(service.local)()})
        for name, service in stack.services.items()
    }
    links = tuple(link.name for link in stack.links)
    dropped: dict[str, object] = {"workload": None, "probes": {}, "alert_sources": (), "alerts": {}, "recoveries": {}}
    return stack.model_copy(update={"services": services, "more_links": links, "data": None, **dropped})
