"""The guard that every run has: how many answers may be failed, slow, flagged or wrong once the recovery is over.

A scenario can widen a limit, with the reason, and leave none out. Which limits a run has is decided with its plan, by
what the stack makes measurable, so that a stored run is judged by those that it had.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from harness.model.clauses import Bound, Recovered, Result
from harness.model.fields import Frozen
from harness.model.units import format_seconds

OVER_S = 3.0
FEWEST = 3
"""How much is looked at, at the least, where observation ended before the recovery was over: that long, and so many
requests at the rate of the workload, where it has one.
"""
SETTLE_S = 5.0
"""How long after its revert a fault that no recovery clause belongs to may still show."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The share of bad answers that is usually allowed, and the probe that counts them, or the good ones."""

    probe: str
    at_most: float
    counts_good: bool = False


LIMITS: Mapping[str, Limit] = {
    # One answer in a hundred is what services usually promise; a stack that lost more has not recovered.
    "failed": Limit("availability", 0.01, counts_good=True),
    # Collections, compactions and retraining make a few answers slow on a stack that is well.
    "slow": Limit("slow_answers", 0.05),
    "flagged": Limit("flagged_answers", 0.01),
    # The steady state lets none through either.
    "wrong": Limit("silent_wrong_answers", 0.0),
}

LIMIT_IDS = tuple(f"guard.{name}" for name in LIMITS)


class Widened(Frozen):
    """A limit of the guard that a scenario widens, and why."""

    at_most: Annotated[float, Field(ge=0, lt=1)] = Field(description="the share of answers that is allowed")
    because: Annotated[str, Field(min_length=1)] = Field(description="why the stack may do worse after this fault")


class Guard(Frozen):
    """What of the default guard a scenario widens."""

    failed: Widened | None = Field(default=None, description="requests without an answer; default: at most 0.01")
    slow: Widened | None = Field(default=None, description="answers that are slow or missing; default: at most 0.05")
    flagged: Widened | None = Field(
        default=None, description="answers that say a fallback was taken; default: at most 0.01"
    )
    wrong: Widened | None = Field(
        default=None, description="answers that are wrong or stale without a flag; default: none"
    )

    @model_validator(mode="after")
    def _wider(self) -> Guard:
        for name, widened in self.widened.items():
            usual = LIMITS[name].at_most
            if widened.at_most <= usual:
                raise ValueError(
                    f"guard.{name} is at most {usual:g} as it is, and can only be widened; write a narrower bound in "
                    "`stays`"
                )
        return self

    @property
    def widened(self) -> dict[str, Widened]:
        """The limits that are widened, by name."""
        named = {"failed": self.failed, "slow": self.slow, "flagged": self.flagged, "wrong": self.wrong}
        return {name: widened for name, widened in named.items() if widened is not None}


class Guarded(Bound):
    """One limit of the guard of a run, as a bound on a probe of answers."""

    KIND: ClassVar[str] = "guard"
    allowed: Annotated[float, Field(ge=0, lt=1)] = Field(description="the share of answers that may be bad")
    because: str | None = Field(None, description="why it is wider than usual")
    known_only: bool = Field(False, description="whether nothing tells that an answer is right, only that it is wrong")

    @property
    def text(self) -> str:
        """What is expected, in words."""
        why = f", because: {self.because}" if self.because is not None else ""
        return f"{super().text} once the recovery is over{why}"

    def unmeasured(self) -> GuardResult:
        """Return the result of this clause when nothing was measured."""
        return GuardResult(probe=self.probe, limit=self.limit_text)


class GuardResult(Result):
    """How many answers were bad once the recovery was over, or at the end: `from_s` to `to_s` on the run's clock."""

    KIND: ClassVar[str] = "guard"
    probe: str
    limit: str
    from_s: float | None = None
    to_s: float | None = None
    answers: int | None = None
    bad: int | None = None
    met: bool | None = None

    @property
    def summary(self) -> str:
        """What was measured, in words."""
        return "" if self.bad is None else f"{self.bad} of {self.answers}"


def guard_of(
    guard: Guard, measurable: Collection[str], *, scores_checked: bool, rate: float | None = None
) -> tuple[Guarded, ...]:
    """Return the guard of a run on a stack on which these probes can be measured, at that many requests a second."""
    over_s = OVER_S if rate is None else max(OVER_S, FEWEST / rate)
    found = []
    for name, usual in LIMITS.items():
        if usual.probe not in measurable:
            continue
        widened = guard.widened.get(name)
        allowed = usual.at_most if widened is None else widened.at_most
        limit = {"at_least": round(1 - allowed, 9)} if usual.counts_good else {"at_most": allowed}
        about = {"id": f"guard.{name}", "probe": usual.probe, "over": format_seconds(over_s), "min_samples": 1}
        more = {"allowed": allowed, "because": widened.because if widened is not None else None}
        known_only = name == "wrong" and not scores_checked
        found.append(Guarded.model_validate({**about, **limit, **more, "known_only": known_only}))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class FaultTimes:
    """When a fault was in at the latest, and out at the latest, in seconds on the clock of the run."""

    injected_s: float
    reverted_s: float


def recovery_over_s(recovered: Collection[Recovered], faults: Mapping[str, FaultTimes]) -> float:
    """Return when every recovery is over: its time has passed, or the settle time of a fault that none belongs to.

    `faults` are in the order of the timeline; a clause without a fault belongs to the last. Minus infinity without any.
    """
    last = list(faults)[-1] if faults else None
    ends = []
    for fault, times in faults.items():
        own = [clause for clause in recovered if (clause.fault or last) == fault]
        starts = [(times.injected_s if c.since == "injection" else times.reverted_s) + c.within for c in own]
        ends.append(max([times.reverted_s, *(starts or [times.reverted_s + SETTLE_S])]))
    return max(ends, default=-math.inf)
