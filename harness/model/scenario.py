"""A scenario as written: stack, workload, steady state, timeline, expectations and seed.

This is the file form of `*.scenario.yaml` after reading. What a scenario refers to by name (stack, probes, faults,
alerts) is checked against the catalogue and the stack when it is planned, not here.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from harness.model.expectations import Bound, Expect, Frozen, Id
from harness.model.units import PositiveWallSeconds, WallSeconds

SCHEMA = 1


class After(Frozen):
    """A moment in the run instead of a time: when an alert fires, a bound holds, or another fault gets somewhere."""

    alert: str | None = None
    probe: Bound | None = None
    event: str | None = Field(None, description="<fault id>.injected, .confirmed or .reverted")
    timeout: PositiveWallSeconds = 10.0

    @model_validator(mode="after")
    def _one_trigger(self) -> After:
        if sum(x is not None for x in (self.alert, self.probe, self.event)) != 1:
            raise ValueError("exactly one of alert, probe and event is needed")
        return self


class Target(Frozen):
    """What a fault acts on. Exactly one field is given."""

    link: str | None = Field(None, description="consumer -> service")
    links: tuple[str, ...] | None = None
    service: str | None = None
    node: str | None = None
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
        return f"{self.kind} {', '.join(value) if isinstance(value, tuple) else value}"


class FaultStep(Frozen):
    """One fault in the timeline: when it goes in, on what, how, and for how long."""

    id: Id
    at: WallSeconds | None = Field(None, description="time after the steady-state gate")
    after: After | None = None
    fault: str
    target: Target
    parameters: dict[str, Any] = Field(default_factory=dict, alias="with")
    duration: PositiveWallSeconds = Field(alias="for")

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

    schema_version: Literal[1] = Field(alias="schema")
    scenario: Id
    summary: Annotated[str, Field(min_length=1)]
    covers: tuple[str, ...] = ()
    owner: str | None = None
    tags: tuple[str, ...] = ()
    runbook: str | None = None
    stack: str
    vars: dict[str, Scalar] = Field(default_factory=dict)
    matrix: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)
    start_at: str | None = Field(None, description="event time at which the run starts, such as 2013-06-14T06:00")
    seed: int | None = None
    gate_timeout: PositiveWallSeconds = 20.0
    steady_state: tuple[Bound, ...] = ()
    timeline: Annotated[tuple[FaultStep, ...], Field(min_length=1)]
    expect: Expect
    may_die: tuple[str, ...] = Field((), description="services that may die without failing the run")
    observe: WallSeconds = Field(0.0, description="the least time that is observed after the last revert")
    sabotage: dict[str, tuple[Id, ...]] = Field(
        default_factory=dict,
        description="recoveries of the stack that its sabotage twins switch off, and the clauses that must then fail",
    )
    known_weakness: KnownWeakness | None = None

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
        clauses = (*self.steady_state, *self.timeline, *self.expect.clauses)
        for clause in clauses:
            if clause.id in seen:
                raise ValueError(f"the id {clause.id!r} is used twice; ids are the keys of history")
            seen.add(clause.id)
        return self

    def fault(self, fault_id: str) -> FaultStep:
        """Return the step with that id. Raises KeyError if there is none."""
        for step in self.timeline:
            if step.id == fault_id:
                return step
        raise KeyError(fault_id)
