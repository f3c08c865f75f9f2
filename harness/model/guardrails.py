"""Guardrails of a run: what makes it revert everything and end, and how much its faults may do at most.

A rule of `abort_if` says what must not go on: a bound on a probe that holds over its window, or an alert that fires.
Limits are about the faults themselves. Both may be given by the stack, by the scenario and on the command line: all
rules count, and of each limit the strictest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, model_validator

from harness.model.clauses import OVER_S, SHORTEST_OVER_S, Bound
from harness.model.fields import Frozen
from harness.model.units import PositiveWallSeconds, Quantity, format_seconds

ANSWERS_NEEDED = 5
"""How many answers a window needs by default: fewer than a clause does, for a rule is to stop the run in time."""
FAULT_TIME = "limits.fault_time"
"""The rule that a run breaks whose faults are in for longer than they may be."""


class AbortRule(Frozen):
    """When a run is aborted: a bound on a probe holds over its window, or an alert fires."""

    probe: str | None = Field(None, description="what is measured; `harness list probes` prints the names")
    at_least: Quantity | None = Field(None, description="abort while the probe is at least that")
    at_most: Quantity | None = Field(None, description="abort while the probe is at most that")
    equals: Quantity | None = Field(None, description="abort while a probe that the stack declares is just that")
    over: PositiveWallSeconds | None = Field(
        None, description=f"the window over which that must hold; default: {format_seconds(OVER_S)}"
    )
    min_samples: Annotated[int, Field(ge=1)] | None = Field(
        None, description=f"fewer samples in a window abort nothing; default: {ANSWERS_NEEDED} answers, or 1 reading"
    )
    alert: str | None = Field(None, description="abort when this alert fires")
    labels: dict[str, str] = Field(default_factory=dict, description="labels that the alert must have")

    @model_validator(mode="after")
    def _one_rule(self) -> AbortRule:
        if (self.probe is None) == (self.alert is None):
            raise ValueError("exactly one of probe and alert is needed")
        limits = (self.at_least, self.at_most, self.equals)
        if self.alert is not None:
            if any(given is not None for given in (*limits, self.over, self.min_samples)):
                message = "an alert takes no bound; at_least, at_most, equals, over and min_samples belong to a probe"
                raise ValueError(message)
            return self
        if sum(limit is not None for limit in limits) != 1:
            raise ValueError("exactly one of at_least, at_most and equals is needed")
        if self.labels:
            raise ValueError("a probe has no labels; they belong to an alert")
        if self.over is not None and self.over < SHORTEST_OVER_S:
            raise ValueError(f"{format_seconds(self.over)} is too short for a window; write 100ms or more")
        return self

    @property
    def bound(self) -> Bound | None:
        """The bound that must not go on to hold; None of a rule about an alert."""
        if self.probe is None:
            return None
        return Bound(
            id="abort_if",
            probe=self.probe,
            at_least=self.at_least,
            at_most=self.at_most,
            equals=self.equals,
            over=format_seconds(OVER_S if self.over is None else self.over),  # type: ignore[arg-type] # read as in a file
            min_samples=self.min_samples or ANSWERS_NEEDED,
        )

    @property
    def text(self) -> str:
        """The rule in words: `availability at most 0.5 over 2s`."""
        bound = self.bound
        if bound is None:
            labels = ", ".join(f"{name}={value}" for name, value in sorted(self.labels.items()))
            return f"the alert {self.alert}{'{' + labels + '}' if labels else ''} fires"
        return f"{bound.text} over {format_seconds(bound.over)}"


class Limits(Frozen):
    """How much the faults of a run may do at most."""

    faults_at_once: Annotated[int, Field(ge=1)] | None = Field(default=None, description="how many may be in at a time")
    share_of_replicas: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="the share of a service's replicas that one fault may hit"
    )
    fault_time: PositiveWallSeconds | None = Field(default=None, description="how long faults may be in, all in all")

    @property
    def texts(self) -> tuple[str, ...]:
        """Each limit that is set, in words."""
        time = None if self.fault_time is None else format_seconds(self.fault_time)
        given = (
            ("faults_at_once", self.faults_at_once),
            ("share_of_replicas", self.share_of_replicas),
            ("fault_time", time),
        )
        return tuple(f"{name} {value}" for name, value in given if value is not None)


class Guardrails(Frozen):
    """What a stack description, or the command line, sets for every run."""

    abort_if: tuple[AbortRule, ...] = ()
    limits: Limits = Field(default_factory=Limits)


def strictest(limits: Iterable[Limits]) -> Limits:
    """Return the lowest of each limit."""
    given = list(limits)
    at_once = [one.faults_at_once for one in given if one.faults_at_once is not None]
    share = [one.share_of_replicas for one in given if one.share_of_replicas is not None]
    time_s = [one.fault_time for one in given if one.fault_time is not None]
    return Limits.model_construct(
        faults_at_once=min(at_once, default=None),
        share_of_replicas=min(share, default=None),
        fault_time=min(time_s, default=None),
    )


def all_rules(rules: Iterable[Iterable[AbortRule]]) -> tuple[AbortRule, ...]:
    """Return every rule once, in the order given."""
    found: list[AbortRule] = []
    for several in rules:
        found += [rule for rule in several if rule not in found]
    return tuple(found)
