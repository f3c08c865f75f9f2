"""A scenario as written: stack, workload, steady state, timeline, expectations and seed.

This is the file form of `*.scenario.yaml` after reading. What a scenario refers to by name (stack, probes, faults,
alerts) is checked against the catalogue and the stack when it is planned, not here.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from harness.model.clauses import Bound, Id
from harness.model.expectations import Expect
from harness.model.fields import Frozen
from harness.model.link import Link
from harness.model.units import PositiveWallSeconds, WallSeconds

SCHEMA = 1


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
    """What a fault acts on. Exactly one field is given."""

    link: str | None = Field(None, description="consumer -> service")
    links: tuple[str, ...] | None = Field(None, description="several links at once")
    service: str | None = Field(None, description="one service; for faults on links, every link that leads to it")
    services: tuple[str, ...] | None = Field(None, description="several services at once")
    node: str | None = Field(None, description="every service of a node, and the links that touch them")
    keyspace: str | None = Field(None, description="a key space that the stack describes")
    dataset: str | None = Field(None, description="a prefix of objects that the stack describes")

    @model_validator(mode="after")
    def _one_thing(self) -> Target:
        if sum(value is not None for value in self.model_dump().values()) != 1:
            raise ValueError(f"exactly one target is needed: {', '.join(type(self).model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """The field that is given."""
        return next(name for name, value in self.model_dump().items() if value is not None)

    def __str__(self) -> str:
        value = getattr(self, self.kind)
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


class FaultStep(Frozen):
    """One fault in the timeline: when it goes in, on what, how, and for how long."""

    id: Id
    at: WallSeconds | None = Field(None, description="time after the steady-state gate")
    after: After | None = Field(None, description="a moment in the run instead of a time")
    fault: str = Field(description="the kind of fault; `harness list faults` prints the names")
    target: Target
    parameters: dict[str, Any] = Field(default_factory=dict, alias="with", description="what the fault takes")
    duration: PositiveWallSeconds = Field(alias="for", description="how long the fault stays in")

    @model_validator(mode="after")
    def _one_start(self) -> FaultStep:
        if (self.at is None) == (self.after is None):
            raise ValueError("exactly one of at and after is needed")
        return self


class KnownWeakness(Frozen):
    """An expected failure, strictly: passing, or the date passing, fails it."""

    reason: Annotated[str, Field(min_length=1)]
    ticket: Annotated[str, Field(min_length=1)]
    until: dt.date


Scalar = str | int | float | bool


class Scenario(Frozen):
    """One scenario file after reading, with its variables filled in."""

    schema_version: Literal[1] = Field(alias="schema", description="the version of this format")
    scenario: Id = Field(description="the scenario's name, the key of its history")
    summary: Annotated[str, Field(min_length=1)] = Field(description="what happens, in a sentence")
    covers: tuple[str, ...] = Field((), description="the failure modes that this is a test of")
    owner: str | None = Field(None, description="the team to ask")
    tags: tuple[str, ...] = Field((), description="words to choose scenarios by, with --tag")
    runbook: str | None = Field(None, description="where to look when this happens in earnest")
    stack: str = Field(description="an installed stack's name, or the path of a compose file, relative to this one")
    vars: dict[str, Scalar] = Field(default_factory=dict, description="values for ${name} anywhere below")
    matrix: dict[str, tuple[Scalar, ...]] = Field(
        default_factory=dict, description="variables with several values: a run for every combination"
    )
    start_at: str | None = Field(None, description="event time at which the run starts, such as 2013-06-14T06:00")
    seed: int | None = Field(None, description="the seed of every random choice; default: 1; --seed overrides it")
    gate_timeout: PositiveWallSeconds = Field(20.0, description="how long the steady state is waited for")
    steady_state: tuple[Bound, ...] = Field((), description="what must hold before the first fault goes in")
    timeline: Annotated[tuple[FaultStep, ...], Field(min_length=1)] = Field(description="the faults")
    expect: Expect
    may_die: tuple[str, ...] = Field((), description="services that may die without failing the run")
    observe: WallSeconds = Field(0.0, description="the least time that is observed after the last revert")
    sabotage: dict[str, tuple[Id, ...]] = Field(
        default_factory=dict,
        description="recoveries of the stack that its sabotage twins switch off, and the clauses that must then fail",
    )
    known_weakness: KnownWeakness | None = Field(None, description="an expected failure, strictly")

    @field_validator("start_at", mode="before")
    @classmethod
    def _iso_start(cls, value: object) -> object:
        if isinstance(value, dt.datetime):
            value = value.isoformat(timespec="minutes")
        if isinstance(value, str):
            try:
                dt.datetime.fromisoformat(value)
            except ValueError:
                raise ValueError(f"{value!r} is not a moment such as 2013-06-14T06:00") from None
        return value

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Scenario:
        seen: set[str] = set()
        for id_ in self.ids:
            if id_ in seen:
                raise ValueError(f"the id {id_!r} is used twice; ids are the keys of history")
            seen.add(id_)
        return self

    @property
    def ids(self) -> list[str]:
        """The ids of the faults, the steady state and the clauses."""
        clauses = (*self.steady_state, *self.expect.clauses)
        return [*(step.id for step in self.timeline), *(clause.id for clause in clauses)]

    def fault(self, fault_id: str) -> FaultStep:
        """Return the step with that id. Raises KeyError if there is none."""
        for step in self.timeline:
            if step.id == fault_id:
                return step
        raise KeyError(fault_id)
