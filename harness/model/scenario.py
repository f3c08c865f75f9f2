"""A scenario as written: stack, workload, steady state, timeline, expectations and seed.

This is the file form of `*.scenario.yaml` after reading. What a scenario refers to by name (stack, probes, faults,
alerts) is checked against the catalogue and the stack when it is planned, not here.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from harness.model.clauses import Bound, Id
from harness.model.expectations import Expect
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.model.guardrails import AbortRule, Limits
from harness.model.units import PositiveWallSeconds, WallSeconds

SCHEMA = 1


class KnownWeakness(Frozen):
    """An expected failure, strictly: passing, or the date passing, fails it."""

    reason: Annotated[str, Field(min_length=1)]
    ticket: Annotated[str, Field(min_length=1)]
    until: dt.date
    clauses: tuple[Id, ...] = Field((), description="ids of the clauses that fail; any other that fails is a failure")


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
    seed: int | None = Field(None, ge=0, description="the seed of every random choice; default: 1; --seed overrides it")
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
    abort_if: tuple[AbortRule, ...] = Field((), description="when everything is reverted at once and the run ends")
    limits: Limits = Field(default_factory=Limits, description="how much the faults may do at most")

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
