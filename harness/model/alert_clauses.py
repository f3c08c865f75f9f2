"""Clauses about alerts and their results: detected, cleared, not flapping, and no other alert."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema, model_validator

from harness.model.clauses import AlertName, Clause, FaultId, Id, Result
from harness.model.fields import Frozen
from harness.model.units import PositiveWallSeconds, format_seconds, times_text

LABELS_OR_ANY = {"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, {"const": "any"}]}


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
    """An alert that must be firing, in time, for a label set that was quiet at injection.

    Its labels must not name a sibling of what the fault hit; `labels: any` says that they may name anything.
    """

    KIND: ClassVar[str] = "detected"
    labels: Annotated[dict[str, str], WithJsonSchema(LABELS_OR_ANY)] = Field(default_factory=dict)
    about: Literal["hit", "any"] = Field("hit", description="set by `labels: any`")
    within: PositiveWallSeconds
    fault: FaultId = Field(None, description="the fault it belongs to; default: the first one")

    @model_validator(mode="before")
    @classmethod
    def _any_labels(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("labels") == "any":
            return raw | {"labels": {}, "about": "any"}
        return raw

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


class UnfiredResult(Result):
    """Of a misfire: an alert that the fault is to raise, and that must not fire where it cannot matter."""

    KIND: ClassVar[str] = "unfired"
    alert: str
    fired_at_s: float | None = None
    met: bool | None = None

    @property
    def summary(self) -> str:
        """What was measured, in words."""
        return "" if self.fired_at_s is None else f"at {format_seconds(round(self.fired_at_s, 2))}"


class Flaps(AlertClause):
    """How often an alert may start firing during the whole run."""

    KIND: ClassVar[str] = "flaps"
    at_most: Annotated[int, Field(ge=0)]

    @property
    def text(self) -> str:
        """What is expected, in words."""
        return f"{self.alert} fires at most {times_text(self.at_most)}"

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
    def summary(self) -> str:
        """What was measured, in words."""
        return "" if self.starts is None else f"{self.starts}×"


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
        return "no alert fires" + (f" except {', '.join(self.allowed)}" if self.allowed else "")

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
