"""A clause and its result in general, and those of bounds on probes: what must stay, and what must recover.

Durations are seconds by the wall clock; a bound carries its own unit, and whether that unit fits its probe is checked
where the probes of the stack are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from harness.model.fields import Frozen
from harness.model.units import PositiveWallSeconds, Quantity, format_amount, format_seconds

OVER_S = 3.0
HOLD_S = 3.0
SHARE_MIN_SAMPLES = 100
SHORTEST_OVER_S = 0.1
"""Windows are so far apart: between shorter ones there would be answers that no window sees."""


def _valid_id(value: str) -> str:
    if not value or not all(c.isalnum() or c in "-_." for c in value):
        raise ValueError(f"{value!r} is not an id; use letters, digits, '-', '_' and '.'")
    return value


Id = Annotated[str, AfterValidator(_valid_id), Field(json_schema_extra={"pattern": r"^[\w.-]+$"})]
RuleKind = Literal["probe", "alert", "fault_time"]
"""What a guardrail looks at."""


@dataclass(frozen=True, slots=True)
class Names:
    """Marks a field of a clause that names something of the stack or of the scenario; names are looked up by it."""

    what: Literal["alert", "fault id", "polled probe", "service"]


AlertName = Annotated[str, Names("alert")]
FaultId = Annotated[str | None, Names("fault id")]
PolledProbe = Annotated[str | None, Names("polled probe")]
"""A probe that the stack declares; one that is made of answers is never polled."""
ServiceName = Annotated[str | None, Names("service")]


class Result(Frozen):
    """What was measured of one clause: the field `measured` of a clause in `verdict.json`."""

    KIND: ClassVar[str]

    @property
    def summary(self) -> str:
        """What was measured, in words; empty where times, values or alerts say it."""
        return ""


class Clause(Frozen):
    """One expectation."""

    model_config = ConfigDict(allow_inf_nan=False)

    KIND: ClassVar[str]
    id: Id

    @property
    def text(self) -> str:
        """What is expected, in words."""
        raise NotImplementedError

    def unmeasured(self) -> Result:
        """Return the result of this clause when nothing was measured."""
        raise NotImplementedError


class Bound(Clause):
    """One side of a limit on a probe, or its one good value, over a window of time."""

    KIND: ClassVar[str] = "stays"
    probe: str = Field(description="what is measured; `harness list probes` prints the names")
    at_least: Quantity | None = None
    at_most: Quantity | None = None
    equals: Quantity | None = Field(None, description="of a probe that the stack declares: its one good value")
    over: PositiveWallSeconds = Field(OVER_S, description="the window in which the bound is judged")
    min_samples: Annotated[int, Field(ge=1)] | None = Field(
        None, description="fewer samples in a window make it unknown; the default is 100 for shares, else 1"
    )

    @field_validator("over")
    @classmethod
    def _no_shorter(cls, over_s: float) -> float:
        if over_s < SHORTEST_OVER_S:
            shortest = format_seconds(SHORTEST_OVER_S)
            raise ValueError(f"{format_seconds(over_s)} is too short for a window; write {shortest} or more")
        return over_s

    @model_validator(mode="after")
    def _one_side(self) -> Bound:
        if sum(limit is not None for limit in (self.at_least, self.at_most, self.equals)) != 1:
            raise ValueError("exactly one of at_least, at_most and equals is needed")
        return self

    @property
    def limit(self) -> Quantity:
        """The limit, whichever side it is on, or the one good value."""
        limit = getattr(self, self.side)
        assert isinstance(limit, Quantity)
        return limit

    @property
    def side(self) -> Literal["at_least", "at_most", "equals"]:
        """The field that has the limit."""
        if self.equals is not None:
            return "equals"
        return "at_least" if self.at_least is not None else "at_most"

    @property
    def side_text(self) -> str:
        """On which side of its limit a value is good."""
        return {"at_least": "at least", "at_most": "at most", "equals": "exactly"}[self.side]

    @property
    def limit_text(self) -> str:
        """The limit in words: `at most 250ms`."""
        return f"{self.side_text} {self.limit}"

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return f"{self.probe} {self.limit_text}"

    def amount(self, value: float | None) -> str:
        """Return a value of the probe in the unit of the limit."""
        return format_amount(value, self.limit.unit) or "no value"

    def met_by(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        limit = self.limit.value
        if self.equals is not None:
            return value == limit
        return value >= limit if self.at_least is not None else value <= limit

    def worst(self, values: list[float]) -> float:
        """Return the value furthest towards, or beyond, the limit."""
        if self.equals is not None:
            good = self.equals.value
            return max(values, key=lambda value: abs(value - good))
        return min(values) if self.at_least is not None else max(values)

    def unmeasured(self) -> Result:
        """Return the result of this clause when nothing was measured."""
        return StaysResult(probe=self.probe, limit=self.limit_text)


class ShareResult(Result):
    """What was counted of a bound on a share or a quantile; null where the bound is another one, or allows nothing."""

    samples: int | None = Field(
        default=None, description="answers that the bound looks at, in all of the stretch that counts"
    )
    beyond: int | None = Field(default=None, description="how many of them were beyond the bound")
    level: float | None = Field(
        default=None,
        description="how probable it is, at most, that chance fails a run that keeps all its bounds on shares",
    )
    unseen: float | None = Field(
        default=None, description="the worst share of answers beyond the bound that may go unseen"
    )


class StaysResult(ShareResult):
    """The worst value of a bound that must never break."""

    KIND: ClassVar[str] = "stays"
    probe: str
    limit: str
    worst: float | None = None
    met: bool | None = None


class Recovered(Bound):
    """A bound that the fault breaks and that must be kept again, in time, and stay kept."""

    KIND: ClassVar[str] = "recovered"
    within: PositiveWallSeconds = Field(description="the time in which it must be kept again")
    hold: PositiveWallSeconds = Field(HOLD_S, description="how long it must stay good after it recovered")
    since: Literal["revert", "injection"] = Field(
        "revert",
        alias="from",
        description="injection where the stack must heal itself with the fault still on",
    )
    fault: FaultId = Field(None, description="the fault it belongs to; default: the last one")

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return f"{self.probe} {self.limit_text} within {format_seconds(self.within)} of {self.since}"

    def unmeasured(self) -> RecoveryResult:
        """Return the result of this clause when nothing was measured."""
        return RecoveryResult(probe=self.probe, limit=self.limit_text, within_s=self.within, since=self.since)


class RecoveryResult(ShareResult):
    """How long after `since` a bound was kept again, and when on the run's clock; what was counted since then."""

    KIND: ClassVar[str] = "recovered"
    probe: str
    limit: str
    within_s: float
    since: Literal["revert", "injection"]
    after_lo_s: float | None = None
    after_s: float | None = None
    recovered_at_s: float | None = None
    met: bool | None = None


class Noticed(Bound):
    """A bound on a probe that must be left in time: a readiness endpoint has to say no once the fault is in."""

    KIND: ClassVar[str] = "noticed"
    probe: str = Field(description="a probe that the stack declares")
    within: PositiveWallSeconds = Field(description="the time in which the probe must leave its bound")
    fault: FaultId = Field(None, description="the fault it belongs to; default: the first one")

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return f"{self.probe} no longer {self.limit_text} within {format_seconds(self.within)}"

    def unmeasured(self) -> Result:
        """Return the result of this clause when nothing was measured."""
        return NoticedResult(probe=self.probe, limit=self.limit_text, within_s=self.within)


class NoticedResult(Result):
    """How long after injection a probe left its bound, and when on the run's clock."""

    KIND: ClassVar[str] = "noticed"
    probe: str
    limit: str
    within_s: float
    after_lo_s: float | None = None
    after_s: float | None = None
    noticed_at_s: float | None = None
    met: bool | None = None


class UnbrokenResult(ShareResult):
    """Of a control or a misfire: a bound that a fault is to break, and that must not break without it."""

    KIND: ClassVar[str] = "unbroken"
    probe: str
    limit: str
    met: bool | None = None
