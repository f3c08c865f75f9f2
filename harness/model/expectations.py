"""What a scenario expects, and what is measured of it: every kind of clause with its result.

A clause's id is its key in reports and in history. A further kind is a clause and a result here, a field of `Expect`, a
checker in `harness.judge`, and a line in the table `judge.kinds`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from harness.model.alert_clauses import (
    AlertClause,
    Cleared,
    ClearedResult,
    Detected,
    DetectionResult,
    Flaps,
    FlapsResult,
    Quiet,
    QuietResult,
    Silence,
    UnfiredResult,
)
from harness.model.clauses import (
    Bound,
    Clause,
    Noticed,
    NoticedResult,
    PolledProbe,
    Recovered,
    RecoveryResult,
    Result,
    ServiceName,
    StaysResult,
    UnbrokenResult,
)
from harness.model.fields import Frozen
from harness.model.guard import Guard, GuardResult
from harness.model.units import times_text

IntegrityCheck = Literal["examples_exactly_once", "checkpoints_restorable", "promotion_monotonic", "nothing_poisoned"]
INTEGRITY_CHECKS: tuple[str, ...] = get_args(IntegrityCheck)


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
        return f"{self.subject} {'restarts' if self.service else 'changes'} at most {times_text(self.at_most)}"

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
    def summary(self) -> str:
        """What was measured, in words."""
        return "" if self.changes is None else f"{self.changes}×"


# Guarantees about data, and the run itself


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


class AbortResult(Result):
    """The guardrail that was crossed, what was measured of it, and when on the run's clock."""

    KIND: ClassVar[str] = "abort"
    rule: str | None = None
    measured: str | None = None
    at_s: float | None = None


AnyResult = (
    DetectionResult
    | NoticedResult
    | QuietResult
    | StaysResult
    | RecoveryResult
    | ClearedResult
    | FlapsResult
    | ChurnResult
    | IntegrityResult
    | GuardResult
    | UnbrokenResult
    | UnfiredResult
    | CollateralResult
    | AbortResult
    | RunResult
)
RESULTS: dict[str, type[AnyResult]] = {result.KIND: result for result in get_args(AnyResult)}


class Expect(Frozen):
    """Everything that a scenario expects of the stack once a fault is in."""

    # Reports have the order of these fields.

    detected: tuple[Detected, ...] = ()
    noticed: tuple[Noticed, ...] = ()
    quiet: Literal["others"] | Quiet | None = None
    stays: tuple[Bound, ...] = ()
    recovered: tuple[Recovered, ...] = ()
    cleared: tuple[Cleared, ...] = ()
    flaps_at_most: tuple[Flaps, ...] = ()
    churn_at_most: tuple[Churn, ...] = ()
    integrity: tuple[IntegrityCheck, ...] | None = Field(
        None, description="which guarantees are checked; default: all that the stack describes"
    )
    guard: Guard = Field(
        default_factory=Guard, description="limits on answers once the recovery is over that are wider than usual"
    )

    @property
    def allowed_alerts(self) -> tuple[str, ...] | None:
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
            elif field == "quiet" and self.allowed_alerts is not None:
                found.append(Silence(allowed=self.allowed_alerts))
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
