"""The table of kinds of expectation: of each its clause, its checker, its result, and its field in `verdict.json`.

Everything that judges, or reports what was judged, goes by this table. A clause whose checker crashes is unknown, with
the reason; the other clauses are judged all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from harness.judge import integrity
from harness.judge.alerts import cleared
from harness.judge.bounds import stays, unbroken
from harness.judge.churn import churn
from harness.judge.detection import detected
from harness.judge.facts import Facts
from harness.judge.flaps import flaps
from harness.judge.guard import guarded as after_recovery
from harness.judge.margins import used
from harness.judge.misfire import uncleared, undetected, unnoticed, unrecovered
from harness.judge.noticing import noticed
from harness.judge.recovery import recovered
from harness.judge.silence import quiet
from harness.model.alert_clauses import (
    Cleared,
    ClearedResult,
    Detected,
    DetectionResult,
    Flaps,
    FlapsResult,
    QuietResult,
    Silence,
)
from harness.model.clauses import Bound, Clause, Noticed, NoticedResult, Recovered, RecoveryResult, Result, StaysResult
from harness.model.expectations import Churn, ChurnResult, Guarantee, IntegrityResult
from harness.model.guard import Guarded, GuardResult
from harness.model.plan import Twin
from harness.model.verdict import ClauseResult, Value

C = TypeVar("C", bound=Clause)
C_contra = TypeVar("C_contra", bound=Clause, contravariant=True)


class Checker(Protocol[C_contra]):
    """Judges one clause by the facts of one run; a pure function."""

    def __call__(self, clause: C_contra, facts: Facts, /) -> ClauseResult:
        """Return the clause's result."""


@dataclass(frozen=True, slots=True)
class ExpectationKind(Generic[C]):
    """One kind of expectation."""

    clause: type[C]
    checker: Checker[C]
    result: type[Result]
    document: str
    """The field of `verdict.json` and `suite.json` that lists its results."""
    in_control: Checker[C] | None = None
    """What a control has to show instead; None where a run without a fault has nothing to show."""
    in_misfire: Checker[C] | None = None
    """What a misfire has to show instead; None where it is held to the same as any run."""


KINDS: tuple[ExpectationKind[Any], ...] = (
    ExpectationKind(Detected, detected, DetectionResult, "detection", in_misfire=undetected),
    ExpectationKind(Noticed, noticed, NoticedResult, "noticed", in_control=unbroken, in_misfire=unnoticed),
    ExpectationKind(Silence, quiet, QuietResult, "quiet", in_control=quiet),
    ExpectationKind(Bound, stays, StaysResult, "stays", in_control=stays),
    ExpectationKind(Recovered, recovered, RecoveryResult, "recovery", in_control=unbroken, in_misfire=unrecovered),
    ExpectationKind(Cleared, cleared, ClearedResult, "cleared", in_misfire=uncleared),
    ExpectationKind(Flaps, flaps, FlapsResult, "flaps"),
    ExpectationKind(Churn, churn, ChurnResult, "churn"),
    ExpectationKind(Guarantee, integrity.check, IntegrityResult, "integrity", in_control=integrity.check),
    ExpectationKind(Guarded, after_recovery, GuardResult, "guard", in_control=after_recovery),
)
BY_CLAUSE = {kind.clause: kind for kind in KINDS}


def check(clause: Clause, facts: Facts) -> ClauseResult | None:
    """Judge one clause. None where a control has nothing to show for it."""
    checker = _checker(BY_CLAUSE[type(clause)], facts.journal.plan.twin)
    return (
        None
        if checker is None
        else or_unknown(clause.id, clause.unmeasured(), lambda: _with_margin(clause, checker, facts))
    )


def _checker(kind: ExpectationKind[Any], twin: Twin | None) -> Checker[Any] | None:
    if twin == "control":
        return kind.in_control
    return (kind.in_misfire if twin == "misfire" else None) or kind.checker


def _with_margin(clause: C, checker: Checker[C], facts: Facts) -> ClauseResult:
    found = checker(clause, facts)
    return found.model_copy(update={"used": used(clause, found.measured)}) if found.value is Value.PASS else found


def or_unknown(id_: str, unmeasured: Result, work: Callable[[], ClauseResult]) -> ClauseResult:
    """Return what a checker returns. One that crashes makes its own clause unknown and says why."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever it is, this clause was not judged
        reason = f"{id_}: its checker failed: {type(error).__name__}: {error}"
        return ClauseResult.of(id_, Value.UNKNOWN, reason, unmeasured, cause="other")
