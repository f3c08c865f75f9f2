"""A plan: one scenario made ready for one run, with everything that chance and variables decide already decided.

It is written whole into the head of the journal, so that a stored run can be judged, and a killed one healed, without
the files that it came from.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.model.clauses import Clause
from harness.model.faultstep import FaultStep, Target
from harness.model.fields import Frozen, LinkField, Name
from harness.model.guard import Guarded
from harness.model.guardrails import AbortRule, Limits
from harness.model.scenario import Scenario
from harness.model.units import Unit
from harness.model.wiring import Wiring
from harness.model.workload import SLOW_S

Twin = Literal["control", "sabotage", "misfire"]


class Sabotage(Frozen):
    """What a sabotage twin switches off, and which clauses must name it."""

    kind: Literal["alert", "recovery"]
    name: str
    breaks: tuple[str, ...]
    service: str
    env: dict[str, str]


class Meant(Frozen):
    """Of a misfire: the target that the scenario means, where the fault is not put."""

    fault: str
    target: Target
    how: Literal["declared", "found"] = Field(description="whence the other target: the scenario, or the stack's links")


class StackFacts(Frozen):
    """What the judge and the reader need to know of the stack."""

    name: str
    services: dict[str, str | None] = Field(default_factory=dict, description="service to node")
    alerts: tuple[str, ...] = ()
    probe_units: dict[str, Unit] = Field(default_factory=dict)
    freshness_s: dict[str, float] = Field(default_factory=dict, description="by feature group, event seconds")
    integrity: tuple[Name, ...] = Field((), description="guarantees whose evidence the stack describes")
    request_timeout_s: float = Field(default=1.0, description="read by nothing: it is in journals of earlier versions")
    slow_s: float = Field(default=SLOW_S, description="from when on an answer counts as slow")
    alert_sources: tuple[str, ...] = Field((), description="where alerts are read; one that was never polled is a gap")
    scores_checked: bool = Field(True, description="whether anything tells that the score of an answer is right")
    probe_every_s: dict[str, float] = Field(default_factory=dict, description="how often each polled probe is read")
    wiring: Wiring | None = Field(None, description="who uses whom; not in journals of earlier versions")


class Plan(Frozen):
    """One run, decided."""

    run: str = Field(description="the name of the run's folder: scenario, matrix values, twin")
    scenario: Scenario
    stack: StackFacts
    seed: int
    backend: str = "local"
    guard: tuple[Guarded, ...] = Field(
        default=(), description="limits on answers once the recovery is over, whatever is expected"
    )
    links: tuple[LinkField, ...] = ()
    """The links that go through the fault proxy."""
    twin: Twin | None = None
    sabotage: Sabotage | None = None
    meant: tuple[Meant, ...] = ()
    """For a misfire: of each fault the scenario's own target; the timeline has the other one."""
    unaimed: str | None = None
    """For a misfire: why there is no other target. Nothing is run then."""
    file: str | None = None
    matrix: dict[str, Any] = Field(default_factory=dict)
    control_of: str | None = None
    """For a control: the run that it is the control of."""
    paired: bool = False
    """Whether this run is judged with its control, which is another run of its suite."""
    repeats: str | None = None
    """The run of the same suite that this one repeats, because the machine was too busy for it."""
    attach: str | None = None
    """The compose project to attach to, which is left as it is."""
    abort_if: tuple[AbortRule, ...] = ()
    """When everything is reverted and the run ends: the rules of the stack, the scenario and the command line."""
    limits: Limits = Field(default_factory=Limits)
    """The strictest limits of the stack, the scenario and the command line."""

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """Everything that is judged of the run, in the order of a report."""
        return (*self.scenario.expect.all_clauses(self.stack.integrity), *self.guard)

    @property
    def faults_on(self) -> bool:
        """Whether faults are injected: a control does the same without them."""
        return self.twin != "control"

    def meant_by(self, step: FaultStep) -> Target:
        """Return the target that the scenario means with a step; in a misfire the fault is put elsewhere."""
        return next((one.target for one in self.meant if one.fault == step.id), step.target)
