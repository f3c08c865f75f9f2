"""The outcome of each request, as the timeline and the tables count it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.model.readings import Answer

OUTCOMES = ("right", "slow", "flagged", "unverified", "wrong", "failed")
OUTCOME_WORDS = {
    "right": "correct",
    "slow": "slow",
    "flagged": "flagged",
    "unverified": "not checked",
    "wrong": "silently wrong or stale",
    "failed": "failed",
}


def answers_by_outcome(answers: Sequence[Answer]) -> dict[str, int]:
    """Count answers by what became of them; each counts once, as the worst that it was."""
    found = dict.fromkeys(OUTCOMES, 0)
    for answer in answers:
        found[outcome_of(answer)] += 1
    return found


def outcome_of(answer: Answer) -> str:
    """Return the one outcome an answer counts as."""
    if not answer.ok:
        return "failed"
    if answer.flagged is not None:
        return "flagged"
    if answer.stale or answer.wrong:
        return "wrong"
    if answer.wrong is None:
        return "unverified"
    return "slow" if answer.slow else "right"
