"""What a scenario expects, and what is measured of it: for each kind of expectation a clause and its result.

A clause's id is its key in reports and in history. Durations are seconds by the wall clock; a bound carries its own
unit, and whether that unit fits its probe is checked where the probes of the stack are known. A further kind is a
clause and a result here, a field of `Expect`, a checker in `harness.judge`, and a line in the table `judge.kinds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from harness.model.frozen import Frozen
from harness.model.units import PositiveWallSeconds, Quantity, Unit, format_amount, format_seconds

OVER_S = 3.0
HOLD_S = 3.0
SHARE_MIN_SAMPLES = 100


def _valid_id(value: str) -> str:
    if not value or not all(c.isalnum() or c in "-_." for c in value):
        raise ValueError(f"{value!r} is not an id; use letters, digits, '-', '_' and '.'")
    return value


Id = Annotated[str, AfterValidator(_valid_id), Field(json_schema_extra={"pattern": r"^[\w.-]+$"})]


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
    def seen(self) -> str:
        """What was measured, in words; empty where times, values or alerts say it."""
        return ""


class Clause(Frozen):
    """One expectation."""

    KIND: ClassVar[str]
    id: Id

    @property
    def text(self) -> str:
        """What is expected, in words."""
        raise NotImplementedError

    def unmeasured(self) -> Measured:
        """Return the result of this clause when nothing was measured."""
        raise NotImplementedError


# Bounds on probes


class Bound(Clause):
    """One side of a limit on a probe, over a window of time."""

    KIND: ClassVar[str] = "stays"
    probe: str = Field(description="what is measured; `harness list probes` tells them")
    at_least: Quantity | None = None
    at_most: Quantity | None = None
    over: PositiveWallSeconds = Field(OVER_S, description="the window in which the bound is judged")
    min_samples: Annotated[int, Field(ge=1)] | None = Field(
        None, description="fewer samples in a window make it unknown; the default is 100 for shares, else 1"
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

    @property
    def limit_text(self) -> str:
        """The limit in words: `at most 250ms`."""
        return f"{'at least' if self.at_least is not None else 'at most'} {self.limit}"

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return f"{self.probe} {self.limit_text}"

    def amount(self, value: float | None) -> str:
        """Return a value of the probe in the unit of the limit."""
        if self.limit.unit is Unit.NUMBER and value is not None:
            return f"{value:.4g}"
        return format_amount(value, self.limit.unit) or "no value"

    def met_by(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        if self.at_least is not None:
            return value >= self.at_least.value
        assert self.at_most is not None
        return value <= self.at_most.value

    def worst(self, values: list[float]) -> float:
        """Return the value furthest towards, or beyond, the limit."""
        return min(values) if self.at_least is not None else max(values)

    def unmeasured(self) -> StaysResult | RecoveryResult:
        """Return the result of this clause when nothing was measured."""
        return StaysResult(probe=self.probe, limit=self.limit_text)


class StaysResult(Result):
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


class RecoveryResult(Result):
    """How long after `since` a bound was kept again, and when on the run's clock."""

    KIND: ClassVar[str] = "recovered"
    probe: str
    limit: str
    within_s: float
    since: Literal["revert", "injection"]
    after_lo_s: float | None = None
    after_s: float | None = None
    recovered_at_s: float | None = None
    met: bool | None = None


class UnbrokenResult(Result):
    """Of a control: a bound that a fault is to break, and that must not break without it."""

    KIND: ClassVar[str] = "unbroken"
    probe: str
    limit: str
    met: bool | None = None


# Alerts


class AlertClause(Clause):
    """An expectation about one alert, with at least these labels."""

    alert: AlertName
    labels: dict[str, str] = Field(default_factory=dict)

    @property
    def alert_text(self) -> str:
        """The alert and its labels as Prometheus writes them."""
        if not self.labels:
            return self.alert
        return self.alert + "{" + ", ".join(f"{k}={v}" for k, v in sorted(self.labels.items())) + "}"


class Detected(AlertClause):
    """An alert that must be firing, in time, for a label set that was quiet at injection."""

    KIND: ClassVar[str] = "detected"
    within: PositiveWallSeconds
    fault: FaultId = Field(None, description="the fault it belongs to; default: the first one")

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return f"{self.alert} within {format_seconds(self.within)}"

    def unmeasured(self) -> DetectionResult:
        """Return the result of this clause when nothing was measured."""
        return DetectionResult(alert=self.alert, within_s=self.within)


class DetectionResult(Result):
    """How long after injection an alert fired, and when on the run's clock."""

    KIND: ClassVar[str] = "detected"
    alert: str
    within_s: float
    after_lo_s: float | None = None
    after_s: float | None = None
    met: bool | None = None
    detected_at_s: float | None = None


class Cleared(AlertClause):
    """An alert that must be quiet again, in time after the fault's revert."""

    KIND: ClassVar[str] = "cleared"
    within: PositiveWallSeconds
    fault: FaultId = Field(None, description="the fault it belongs to; default: the last one")

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return f"{self.alert} within {format_seconds(self.within)}"

    def unmeasured(self) -> ClearedResult:
        """Return the result of this clause when nothing was measured."""
        return ClearedResult(alert=self.alert, within_s=self.within)


class ClearedResult(Result):
    """How long after revert an alert stopped firing."""

    KIND: ClassVar[str] = "cleared"
    alert: str
    within_s: float
    after_lo_s: float | None = None
    after_s: float | None = None
    met: bool | None = None


class Flaps(AlertClause):
    """How often an alert may start firing during the whole run."""

    KIND: ClassVar[str] = "flaps"
    at_most: Annotated[int, Field(ge=0)]

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return f"{self.alert} fires at most {self.at_most} times"

    def unmeasured(self) -> FlapsResult:
        """Return the result of this clause when nothing was measured."""
        return FlapsResult(alert=self.alert, at_most=self.at_most)


class FlapsResult(Result):
    """How often an alert started firing, at the least."""

    KIND: ClassVar[str] = "flaps"
    alert: str
    starts: int | None = None
    at_most: int
    met: bool | None = None

    @property
    def seen(self) -> str:
        """What was measured, in words."""
        return "" if self.starts is None else f"{self.starts}×"


class Churn(Clause):
    """How often a service may restart, or a pointer change, from the first injection to the end of observation."""

    KIND: ClassVar[str] = "churn"
    service: ServiceName = Field(None, description="whose restarts count, except those that a fault did")
    probe: PolledProbe = Field(None, description="whose changes count: a pointer, such as the promoted version")
    at_most: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _one_subject(self) -> Churn:
        if (self.service is None) == (self.probe is None):
            raise ValueError("exactly one of service and probe is needed")
        return self

    @property
    def subject(self) -> str:
        """The service or the probe."""
        return str(self.service or self.probe)

    @property
    def verb(self) -> str:
        """What the service or the pointer did."""
        return "restarted" if self.service is not None else "changed"

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return f"{self.subject} {'restarts' if self.service else 'changes'} at most {self.at_most} times"

    def unmeasured(self) -> ChurnResult:
        """Return the result of this clause when nothing was measured."""
        return ChurnResult(service=self.service, probe=self.probe, at_most=self.at_most)


class ChurnResult(Result):
    """How often a service restarted, or a pointer changed, at the least."""

    KIND: ClassVar[str] = "churn"
    service: str | None
    probe: str | None
    changes: int | None = None
    at_most: int
    met: bool | None = None

    @property
    def seen(self) -> str:
        """What was measured, in words."""
        return "" if self.changes is None else f"{self.changes}×"


class Quiet(Frozen):
    """No alert fires but those that the scenario detects and those listed here."""

    others: Literal[True] = True
    allow: tuple[AlertName, ...] = Field((), alias="except", description="alerts that may fire without being expected")


class Silence(Clause):
    """No alert fires but those allowed: `quiet` once it is known which alerts the other clauses are about."""

    KIND: ClassVar[str] = "quiet"
    id: Id = "quiet"
    allowed: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return f"every alert but {', '.join(self.allowed) or 'none'}"

    def unmeasured(self) -> QuietResult:
        """Return the result of this clause when nothing was measured."""
        return QuietResult()


class AlertCount(Frozen):
    """How often an alert fired that had to stay quiet."""

    alert: str
    fired: int
    met: bool | None


class QuietResult(Result):
    """How often each alert fired that had to stay quiet."""

    KIND: ClassVar[str] = "quiet"
    alerts: tuple[AlertCount, ...] = ()
    met: bool | None = None


# Guarantees about data, and the run itself

IntegrityCheck = Literal["examples_exactly_once", "checkpoints_restorable", "promotion_monotonic", "nothing_poisoned"]
INTEGRITY_CHECKS: tuple[str, ...] = get_args(IntegrityCheck)


class Guarantee(Clause):
    """A guarantee about data; its id is its name."""

    KIND: ClassVar[str] = "integrity"

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return "the guarantee holds"

    def unmeasured(self) -> IntegrityResult:
        """Return the result of this clause when nothing was measured."""
        return IntegrityResult(check=self.id)


class IntegrityResult(Result):
    """Whether a guarantee held."""

    KIND: ClassVar[str] = "integrity"
    check: str
    met: bool | None = None


class CollateralResult(Result):
    """The services that died although no fault killed them."""

    KIND: ClassVar[str] = "collateral"
    died: tuple[str, ...] = ()


class RunResult(Result):
    """A check of the run itself; the harness's own lateness where that is what it is about."""

    KIND: ClassVar[str] = "run"
    p99_s: float | None = None
    samples: int | None = None


Measured = (
    DetectionResult
    | QuietResult
    | StaysResult
    | RecoveryResult
    | ClearedResult
    | FlapsResult
    | ChurnResult
    | IntegrityResult
    | UnbrokenResult
    | CollateralResult
    | RunResult
)
RESULTS: dict[str, type[Measured]] = {result.KIND: result for result in get_args(Measured)}


class Expect(Frozen):
    """Everything that a scenario expects of the stack once a fault is in."""

    # Reports have the order of these fields.

    detected: tuple[Detected, ...] = ()
    quiet: Literal["others"] | Quiet | None = None
    stays: tuple[Bound, ...] = ()
    recovered: tuple[Recovered, ...] = ()
    cleared: tuple[Cleared, ...] = ()
    flaps_at_most: tuple[Flaps, ...] = ()
    churn_at_most: tuple[Churn, ...] = ()
    integrity: tuple[IntegrityCheck, ...] | None = Field(
        None, description="which guarantees are checked; default: all that the stack describes"
    )

    @property
    def quiet_but(self) -> tuple[str, ...] | None:
        """Names of the alerts that may fire, or None where quiet is not expected."""
        if self.quiet is None:
            return None
        allowed = () if isinstance(self.quiet, str) else self.quiet.allow
        return tuple(dict.fromkeys((*(c.alert for c in self.clauses if isinstance(c, AlertClause)), *allowed)))

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """Every clause that has an id of its own, in the order of a report."""
        return tuple(clause for field in CLAUSES for clause in getattr(self, field))

    def all_clauses(self, guarantees: tuple[str, ...]) -> tuple[Clause, ...]:
        """Return everything that is judged, in the order of a report; `guarantees` are those of the stack."""
        found: list[Clause] = []
        for field in type(self).model_fields:
            if field in CLAUSES:
                found.extend(getattr(self, field))
            elif field == "quiet" and self.quiet_but is not None:
                found.append(Silence(allowed=self.quiet_but))
            elif field == "integrity":
                found.extend(Guarantee(id=name) for name in (guarantees if self.integrity is None else self.integrity))
        return tuple(found)


def _clause_type(annotation: Any) -> type[Clause] | None:
    """Return the clause of which a field of `Expect` is a list."""
    item = next(iter(get_args(annotation)), None)
    return item if isinstance(item, type) and issubclass(item, Clause) else None


CLAUSES: dict[str, type[Clause]] = {
    name: found for name, field in Expect.model_fields.items() if (found := _clause_type(field.annotation)) is not None
}
"""The fields of `Expect` that are lists of clauses, each with the kind of its clauses."""
