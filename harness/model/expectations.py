"""What a scenario expects: bounds on probes, alerts that must fire or clear, and things that must never break.

Each clause has an id, which is its key in reports and in history. Durations are seconds by the wall clock; a bound
carries its own unit, and whether that unit fits its probe is checked where the probes of the stack are known.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from harness.model.frozen import Frozen
from harness.model.units import PositiveWallSeconds, Quantity

OVER_S = 3.0
HOLD_S = 3.0
SHARE_MIN_SAMPLES = 100


def _valid_id(value: str) -> str:
    if not value or not all(c.isalnum() or c in "-_." for c in value):
        raise ValueError(f"{value!r} is not an id; use letters, digits, '-', '_' and '.'")
    return value


Id = Annotated[str, AfterValidator(_valid_id), Field(json_schema_extra={"pattern": r"^[\w.-]+$"})]


class Bound(Frozen):
    """One side of a limit on a probe, over a window of time."""

    id: Id
    probe: str = Field(description="what is measured; `harness list probes` tells them")
    at_least: Quantity | None = None
    at_most: Quantity | None = None
    over: PositiveWallSeconds = Field(OVER_S, description="the window in which the bound is judged")
    min_samples: Annotated[int, Field(ge=1)] | None = Field(
        None, description="fewer samples in a window make it unknown; 100 for shares unless said otherwise"
    )

    @model_validator(mode="after")
    def _one_side(self) -> Bound:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("exactly one of at_least and at_most is needed")
        return self

    @property
    def limit(self) -> Quantity:
        """The limit, whichever side it is on."""
        limit = self.at_least if self.at_least is not None else self.at_most
        assert limit is not None
        return limit

    def met_by(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        if self.at_least is not None:
            return value >= self.at_least.value
        assert self.at_most is not None
        return value <= self.at_most.value

    def worst(self, values: list[float]) -> float:
        """Return the value furthest towards, or beyond, the limit."""
        return min(values) if self.at_least is not None else max(values)


class Recovered(Bound):
    """A bound that the fault breaks and that must be kept again, in time, and stay kept."""

    within: PositiveWallSeconds = Field(description="the time in which it must be kept again")
    hold: PositiveWallSeconds = Field(HOLD_S, description="how long it must be seen good after it recovered")
    since: Literal["revert", "injection"] = Field(
        "revert",
        alias="from",
        description="injection where the stack must heal itself with the fault still on",
    )
    fault: str | None = Field(None, description="the fault it belongs to; the last one unless said")


class Detected(Frozen):
    """An alert that must be firing, in time, for a label set that was quiet at injection."""

    id: Id
    alert: str
    labels: dict[str, str] = Field(default_factory=dict)
    within: PositiveWallSeconds
    fault: str | None = Field(None, description="the fault it belongs to; the first one unless said")


class Cleared(Frozen):
    """An alert that must be quiet again, in time after the fault's revert."""

    id: Id
    alert: str
    labels: dict[str, str] = Field(default_factory=dict)
    within: PositiveWallSeconds
    fault: str | None = Field(None, description="the fault it belongs to; the last one unless said")


class Flaps(Frozen):
    """How often an alert may start firing during the whole run."""

    id: Id
    alert: str
    labels: dict[str, str] = Field(default_factory=dict)
    at_most: Annotated[int, Field(ge=0)]


class Quiet(Frozen):
    """No alert fires but those that the scenario detects and those listed here."""

    others: Literal[True] = True
    allow: tuple[str, ...] = Field((), alias="except", description="alerts that may fire without being expected")


INTEGRITY_CHECKS = ("examples_exactly_once", "checkpoints_restorable", "promotion_monotonic", "nothing_poisoned")
IntegrityCheck = Literal["examples_exactly_once", "checkpoints_restorable", "promotion_monotonic", "nothing_poisoned"]


class Expect(Frozen):
    """Everything that a scenario expects of the stack once a fault is in."""

    detected: tuple[Detected, ...] = ()
    quiet: Literal["others"] | Quiet | None = None
    stays: tuple[Bound, ...] = ()
    recovered: tuple[Recovered, ...] = ()
    cleared: tuple[Cleared, ...] = ()
    flaps_at_most: tuple[Flaps, ...] = ()
    integrity: tuple[IntegrityCheck, ...] | None = Field(
        None, description="which guarantees are checked; all that the stack describes unless said"
    )

    @property
    def quiet_but(self) -> tuple[str, ...] | None:
        """Names of the alerts that may fire, or None where quiet is not expected."""
        if self.quiet is None:
            return None
        allowed = () if isinstance(self.quiet, str) else self.quiet.allow
        detected = [c.alert for c in self.detected]
        cleared = [c.alert for c in self.cleared]
        counted = [c.alert for c in self.flaps_at_most]
        return tuple(dict.fromkeys((*detected, *cleared, *counted, *allowed)))

    @property
    def clauses(self) -> tuple[Detected | Bound | Cleared | Flaps, ...]:
        """Every clause that has an id, in the order of a report."""
        return (*self.detected, *self.stays, *self.recovered, *self.cleared, *self.flaps_at_most)
