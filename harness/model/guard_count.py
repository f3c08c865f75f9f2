"""What one answer is to a limit of the guard, and when too few could be checked. The run and the judge count alike."""

from __future__ import annotations

from typing import Literal

from harness.model.answers import ANSWER_PROBES, LEFT_OUT
from harness.model.guard import Guarded
from harness.model.readings import Answer

MOST_UNCHECKED = 0.05
"""The share of answers that may be left unchecked: the artefact of a new model takes a moment to fetch."""

Kind = Literal["good", "bad", "unchecked"]


def kind_of(limit: Guarded, answer: Answer) -> Kind | None:
    """Return what an answer is to a limit; None where the limit does not look at it."""
    contribution = ANSWER_PROBES[limit.probe].contribution(answer)
    if contribution is LEFT_OUT:
        return None
    if contribution is None:
        return "unchecked"
    return "bad" if contribution is (limit.at_least is None) else "good"


def too_many_unchecked(limit: Guarded, unchecked: int, answers: int) -> bool:
    """Whether too few answers could be checked to say anything, of so many that could not, and so many that could."""
    return not limit.known_only and unchecked > MOST_UNCHECKED * (unchecked + answers)
