"""A step of a scenario's timeline: which fault goes in, when, on what and for how long.

It is a module of its own because faults import it without the rest of the scenario.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from harness.model.clauses import Bound, Id
from harness.model.fields import Frozen, Link
from harness.model.units import PositiveWallSeconds, WallSeconds

TARGETS = ("link", "links", "service", "services", "node", "keyspace", "dataset")
"""The kinds of target."""
PARTS = ("replica", "share")
"""What says which replicas of a service are meant."""


class After(Frozen):
    """A moment in the run instead of a time: when an alert fires, a bound holds, or another fault gets somewhere."""

    alert: str | None = Field(None, description="when this alert fires")
    probe: Bound | None = Field(None, description="when this bound holds")
    event: str | None = Field(None, description="<fault id>.injected, .confirmed or .reverted")
    timeout: PositiveWallSeconds = Field(10.0, description="how long that is waited for")

    @model_validator(mode="after")
    def _one_trigger(self) -> After:
        if sum(x is not None for x in (self.alert, self.probe, self.event)) != 1:
            raise ValueError("exactly one of alert, probe and event is needed")
        return self


class Target(Frozen):
    """What a fault acts on: exactly one thing, and of a service perhaps only some of its replicas."""

    link: str | None = Field(None, description="consumer -> service")
    links: tuple[str, ...] | None = Field(None, description="several links at once")
    service: str | None = Field(None, description="one service; for faults on links, every link that leads to it")
    services: tuple[str, ...] | None = Field(None, description="several services at once")
    node: str | None = Field(None, description="every service of a node, and the links that touch them")
    keyspace: str | None = Field(None, description="a key space that the stack describes")
    dataset: str | None = Field(None, description="a prefix of objects that the stack describes")
    replica: int | None = Field(None, ge=1, description="with `service`: this one of its replicas, by its number")
    share: float | None = Field(
        None, gt=0, le=1, description="with `service`: this share of its replicas, rounded down, at least one"
    )

    @model_validator(mode="after")
    def _one_thing(self) -> Target:
        if sum(getattr(self, name) is not None for name in TARGETS) != 1:
            raise ValueError(f"exactly one target is needed: {', '.join(TARGETS)}")
        if self.part is not None and self.service is None:
            raise ValueError(f"`{self.part}` says which replicas of a service, and goes with `service`")
        if self.replica is not None and self.share is not None:
            raise ValueError("one of `replica` and `share` is enough")
        return self

    @property
    def kind(self) -> str:
        """The field that says what it is."""
        return next(name for name in TARGETS if getattr(self, name) is not None)

    @property
    def part(self) -> str | None:
        """The field that says which replicas of the service; None where all are meant."""
        return next((name for name in PARTS if getattr(self, name) is not None), None)

    @property
    def service_names(self) -> tuple[str, ...]:
        """The services that it names."""
        return self.services or ((self.service,) if self.service is not None else ())

    @property
    def link_names(self) -> tuple[str, ...]:
        """The links that it names."""
        return self.links or ((self.link,) if self.link is not None else ())

    @property
    def parsed_links(self) -> tuple[Link, ...]:
        """The links that it names, with their ends. Raises ValueError for what is none."""
        return tuple(map(Link.parse, self.link_names))

    def __str__(self) -> str:
        value = getattr(self, self.kind)
        if self.replica is not None:
            return f"replica {self.replica} of {self.kind} {value}"
        if self.share is not None:
            return f"{self.share:g} of the replicas of {self.kind} {value}"
        if not isinstance(value, tuple):
            return f"{self.kind} {value}"
        if self.services is not None:
            return f"{self.kind} {', '.join(value)}"
        by_service: dict[str, list[str]] = {}
        for link in value:
            try:
                parsed = Link.parse(link)
            except ValueError:  # a scenario that is not checked yet
                return f"{self.kind} {', '.join(value)}"
            by_service.setdefault(parsed.service, []).append(parsed.consumer)
        return f"{self.kind} " + "; ".join(Link(", ".join(who), service).name for service, who in by_service.items())


class Misfire(Frozen):
    """Where a misfire twin puts a fault instead: at a target where it cannot matter."""

    target: Target
    parameters: dict[str, Any] = Field(
        default_factory=dict, alias="with", description="parameters that must differ there; the others stay"
    )


class FaultStep(Frozen):
    """One fault in the timeline: when it goes in, on what, how, and for how long."""

    id: Id
    at: WallSeconds | None = Field(None, description="time after the steady-state gate")
    after: After | None = Field(None, description="a moment in the run instead of a time")
    fault: str = Field(description="the kind of fault; `harness list faults` prints the names")
    target: Target
    parameters: dict[str, Any] = Field(default_factory=dict, alias="with", description="what the fault takes")
    duration: PositiveWallSeconds = Field(alias="for", description="how long the fault stays in")
    misfire: Misfire | None = Field(None, description="where `--twin misfire` puts it: where it cannot matter")

    @model_validator(mode="after")
    def _one_start(self) -> FaultStep:
        if (self.at is None) == (self.after is None):
            raise ValueError("exactly one of at and after is needed")
        return self

    def aimed_at(self, misfire: Misfire) -> FaultStep:
        """Return the same fault at the other target."""
        parameters = self.parameters | misfire.parameters
        return self.model_copy(update={"target": misfire.target, "parameters": parameters, "misfire": None})
