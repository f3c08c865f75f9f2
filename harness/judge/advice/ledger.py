"""Advice on guarantees about data. That the ledger breaks one is itself the evidence."""

from __future__ import annotations

from collections.abc import Iterator

from harness.judge.advice.case import Case, MissingGuard
from harness.model.expectations import IntegrityResult

_GUARDS = {
    "nothing_poisoned": ("training-guard", "what writes and reads training examples"),
    "promotion_monotonic": ("forward-promotion", "what moves the promoted version"),
    "checkpoints_restorable": ("whole-checkpoints", "what writes checkpoints"),
}


def guarantees(case: Case) -> Iterator[MissingGuard]:
    """A guarantee about data does not hold."""
    for clause in case.failed:
        if isinstance(clause.measured, IntegrityResult) and clause.measured.check in _GUARDS:
            guard, where = _GUARDS[clause.measured.check]
            yield MissingGuard(guard, where, clause.reason, (clause.id,), clause.cites)
