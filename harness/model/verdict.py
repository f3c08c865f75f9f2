"""A verdict: three values, the clauses they come from, and the lines of the journal that show it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Literal, Self, TypeVar, get_args

from pydantic import Field, ValidationInfo, field_validator

from harness.model.advice import Advice
from harness.model.clauses import Result
from harness.model.expectations import RESULTS, AnyResult
from harness.model.fields import Frozen

R = TypeVar("R", bound=Result)

Cause = Literal["machine", "other"]
"""What an unknown clause comes from: a busy machine may be the cause of it, or is certain not to be."""

OwnCheck = Literal[
    "gate", "harness", "death", "ended", "aborted", "collateral", "misfire", "control", "expectations", "judge"
]  # fmt: skip
OWN_CHECKS: tuple[str, ...] = get_args(OwnCheck)
"""The ids of what the judge checks of a run by itself; no clause of a scenario may have one of them."""


class Value(StrEnum):
    """The three values of a verdict."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


def merge(values: list[Value]) -> Value:
    """Merge clauses into one value: fail beats unknown beats pass. Nothing at all is unknown."""
    for value in (Value.FAIL, Value.UNKNOWN):
        if value in values:
            return value
    return Value.PASS if values else Value.UNKNOWN


def met(value: Value) -> bool | None:
    """Return the value as reports write it: true, false, or null for unknown."""
    return {Value.PASS: True, Value.FAIL: False, Value.UNKNOWN: None}[value]


Catch = Literal["caught", "not caught"]
CAUGHT = "for a sabotage twin: every clause that must fail without what was switched off did"


def catch_of(value: Value, twin: str | None, caught: bool | None) -> Catch | None:
    """Return what became of a sabotage: it is caught where its twin failed, by every clause that it must break.

    None for what is no sabotage, and for one whose verdict is unknown.
    """
    if twin != "sabotage" or value is Value.UNKNOWN:
        return None
    return "caught" if value is Value.FAIL and caught else "not caught"


def counted(value: Value, catch: Catch | None) -> Value:
    """Return what a verdict counts as: that of a sabotage twin is a pass where the sabotage was caught, else a fail."""
    if catch is None:
        return value
    return Value.PASS if catch == "caught" else Value.FAIL


class ClauseResult(Frozen):
    """One clause judged. `id` is the clause's own, or names what the judge always checks, one of `OWN_CHECKS`."""

    id: str
    kind: str
    value: Value
    reason: str
    cites: tuple[int, ...] = ()
    cause: Cause | None = Field(
        None,
        description="of an unknown: `machine` if a busy machine may be the cause, so that another run may decide it; "
        "`other` if no machine is",
    )
    used: float | None = Field(None, description="of a pass: the share of its bound that was used; 1 is the bound")
    measured: AnyResult = Field(description="by `kind`")

    @field_validator("measured", mode="before")
    @classmethod
    def _result_of_its_kind(cls, raw: Any, info: ValidationInfo) -> Any:
        kind = info.data.get("kind")
        if kind not in RESULTS:
            raise ValueError(f"{kind!r} is not a kind of clause")
        return RESULTS[kind].model_validate(raw)

    @classmethod
    def of(
        cls,
        id_: str,
        value: Value,
        reason: str,
        measured: Result,
        cites: Iterable[int] = (),
        cause: Cause | None = None,
    ) -> Self:
        """Return the result of a clause; what was measured tells its kind. Only an unknown has a cause."""
        given = {"id": id_, "kind": measured.KIND, "value": value, "reason": reason, "cites": tuple(cites)}
        known = cause if value is Value.UNKNOWN else None
        return cls.model_validate({**given, "cause": known, "measured": measured})


class FaultReport(Frozen):
    """One fault as the journal shows it. Times in seconds on the run's clock; None where it never came."""

    id: str
    kind: str
    target: str
    meant: str | None = Field(None, description="in a misfire: the target that the scenario means instead")
    injected_at_s: float | None
    confirmed_at_s: float | None
    reverted_at_s: float | None
    evidence: dict[str, Any]


class Damage(Frozen):
    """What it cost, counted from the first injection to the end of observation."""

    requests: int = 0
    failed: int = 0
    slow: int = 0
    wrong_before_detection: int = 0
    wrong_until_recovery: int = 0
    wrong_after: int = 0
    flagged: int = 0
    unverified: int = 0
    seconds: int = 0
    rows_hit: int = 0
    answers_from_hit_rows: int = 0
    versions_poisoned: tuple[int, ...] = ()


class Verdict(Frozen):
    """The verdict on one run."""

    scenario: str
    value: Value
    reasons: tuple[str, ...]
    clauses: tuple[ClauseResult, ...]
    faults: tuple[FaultReport, ...] = ()
    damage: Damage = Field(default_factory=Damage)
    twin: str | None = None
    sabotage: str | None = None
    caught: bool | None = Field(None, description=CAUGHT)
    known_weakness: str | None = None
    unbounded: tuple[str, ...] = Field((), description="for a pass: damage that no clause of the scenario bounds")
    advice: tuple[Advice, ...] = Field((), description="for a fail: guards that seem to be missing")

    @property
    def catch(self) -> Catch | None:
        """What became of a sabotage; None for what is none, or is not known."""
        return catch_of(self.value, self.twin, self.caught)

    @property
    def counts_as(self) -> Value:
        """What the run counts as, in reports and exit codes."""
        return counted(self.value, self.catch)

    @property
    def machine_busy(self) -> bool:
        """Whether it is unknown, and the machine may be the cause of all of it: another run may decide it.

        A clause that is unknown for another cause would be so after a repetition as well.
        """
        causes = [clause.cause for clause in self.clauses if clause.value is Value.UNKNOWN]
        return self.value is Value.UNKNOWN and bool(causes) and all(cause == "machine" for cause in causes)

    def of_kind(self, kind: str) -> tuple[ClauseResult, ...]:
        """Return the clauses of one kind."""
        return tuple(c for c in self.clauses if c.kind == kind)

    def measured(self, result: type[R]) -> list[R]:
        """Return what was measured of the clauses of one kind."""
        return [c.measured for c in self.clauses if isinstance(c.measured, result)]
