"""What passes, and which exit code a suite ends with. Every front end applies these rules.

The module imports nothing at load, so that `harness --help` stays cheap.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from harness.model.errors import HarnessError
    from harness.model.verdict import Verdict

PASS, FAIL, UNKNOWN, BROKEN, INTERRUPTED = 0, 1, 3, 4, 130


class Concluded(Protocol):
    """A run with its verdict, or with what failed in the harness."""

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, None where there was nothing to judge."""

    @property
    def error(self) -> HarnessError | None:
        """What failed in the harness."""


def verdict_code(verdict: Verdict) -> int:
    """Return the exit code of one verdict, by what it counts as."""
    from harness.model.verdict import Value

    return {Value.PASS: PASS, Value.FAIL: FAIL, Value.UNKNOWN: UNKNOWN}[verdict.counts_as]


def with_error(verdict: Verdict, error: HarnessError | None) -> Verdict:
    """Return the verdict on a run in which the harness failed, if it did: such a run cannot pass."""
    from harness.model.verdict import Value

    if error is None or _stands(verdict) or any(str(error) in reason for reason in verdict.reasons):
        return verdict
    return verdict.model_copy(update={"value": Value.UNKNOWN, "reasons": (str(error), *verdict.reasons), "advice": ()})


def with_interruption(verdict: Verdict, left: str | None = None) -> Verdict:
    """Return the verdict on a run that was stopped before it was over: such a run cannot pass, and says so.

    `left`: what could not be taken out.
    """
    from harness.model.verdict import Value

    if _stands(verdict):
        return verdict
    # What clauses say of a run that was not over is theirs; as reasons it would hide this one.
    reasons = ("the run was interrupted before it was over", *((left,) if left is not None else ()))
    return verdict.model_copy(update={"value": Value.UNKNOWN, "reasons": reasons, "advice": ()})


def _stands(verdict: Verdict) -> bool:
    """Whether a run that did not end as it should has failed all the same. A sabotage twin passes by failing."""
    from harness.model.verdict import Value

    return verdict.value is Value.FAIL and verdict.twin != "sabotage"


def passes(verdict: Verdict) -> bool:
    """Whether a run with this verdict passes."""
    return verdict_code(verdict) == PASS


def exit_code(runs: Iterable[Concluded], interrupted: bool = False) -> int:
    """Return the exit code of a suite: a failure of the harness beats fail, which beats unknown, which beats pass."""
    if interrupted:
        return INTERRUPTED
    codes = {BROKEN if run.error is not None or run.verdict is None else verdict_code(run.verdict) for run in runs}
    return next((code for code in (BROKEN, FAIL, UNKNOWN) if code in codes), PASS)
