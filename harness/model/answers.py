"""Probes that are made of the workload's answers: what each one counts, over which answers.

Each gives a value as an interval: answers whose score could not be checked may be wrong or right, and a bound is kept
or broken only if it is so either way. A request counts in the window in which it was due, answered or not.

A probe has two halves, so that a sliding window costs little: what one answer contributes, and what a window of such
contributions comes to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from harness.model.units import Unit

if TYPE_CHECKING:
    from harness.model.readings import Answer


@dataclass(frozen=True, slots=True)
class Measured:
    """A value between `lo` and `hi`, from `samples` answers; None where there is nothing to measure."""

    lo: float | None
    hi: float | None
    samples: int


class Failed(float):
    """How long a request took that failed: it must not look faster than one that was answered."""


class Open(float):
    """What is measured of an answer where something other than the stack may have delayed it: `least` or more."""

    least: float = 0.0

    @staticmethod
    def of(value: float, least: float) -> Open:
        """Return a value that may be as low as `least`."""
        found = Open(value)
        found.least = least
        return found


FAILED_S = 60.0
"""What a request that failed counts as in a quantile, at the least."""


# What one answer contributes: for shares and counts yes, no, or None where that could not be checked; for quantiles a
# number. LEFT_OUT stands for an answer that the probe does not look at.
Contribution = bool | float | str | None
LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class AnswerProbe:
    """One measure of a window of answers."""

    name: str
    unit: Unit
    summary: str
    contribution: Callable[[Answer], Contribution]
    combine: Callable[[Sequence[Contribution]], Measured]
    quantile: float | None = None
    """Which quantile it is; None where it is none."""

    def contributions(self, answers: Iterable[Answer]) -> list[Contribution]:
        """Return what each answer contributes, in order."""
        contribution = self.contribution
        return [contribution(answer) for answer in answers]

    def measure(self, answers: Sequence[Answer]) -> Measured:
        """Measure one window of answers."""
        return self.combine(self.contributions(answers))


def opened(contribution: Contribution, breaching: bool, least: float = 0.0) -> Contribution:
    """Return what an answer contributes of which something other than the stack may be the cause, if it is a breach.

    `breaching` is what contributes to one: yes under an upper bound on a share, no under a lower one. `least` is what a
    number would be at the least without that cause.
    """
    if isinstance(contribution, bool):
        return None if contribution is breaching else contribution
    if isinstance(contribution, Failed):  # it may have been answered; a request that failed at once was not quick
        return Open.of(max(contribution, FAILED_S), least)
    return Open.of(contribution, least) if isinstance(contribution, float) else contribution


def quantile(values: Sequence[float], q: float) -> float:
    """Return the nearest-rank quantile: the smallest value with at least a share `q` of the values at or below it."""
    ordered = sorted(values)
    rank = max(1, -(-int(q * 1_000_000) * len(ordered) // 1_000_000))
    return ordered[min(rank, len(ordered)) - 1]


def too_old(ages: Mapping[str, float], limits_s: Mapping[str, float]) -> bool:
    """Whether a feature group is older than the stack declares. A group without a declared age is never too old."""
    return any(age > limits_s.get(group, math.inf) for group, age in ages.items())


_SAID = re.compile(r"status [123]\d\d\b|the answer is not JSON|not an answer in the documented format")
"""How a failed request begins its error to which something came, in journals that say it by nothing else."""


def unread(answer: Answer) -> bool:
    """Whether a request failed by what came for it: its client may have taken that for an answer, such as a NaN."""
    return not answer.ok and (answer.wrong is not False or _SAID.match(answer.error or "") is not None)


def silent_wrong(answer: Answer) -> bool | None:
    """Whether an answer was wrong or stale without a flag; None where that could not be checked."""
    if answer.flagged is not None or not answer.ok:
        return False
    if answer.stale:
        return True
    return answer.wrong


def _answered(contribution: Callable[[Answer], Contribution]) -> Callable[[Answer], Contribution]:
    """Look only at requests that were answered, or by what cannot be read: that may be anything."""

    def of(answer: Answer) -> Contribution:
        if answer.ok:
            return contribution(answer)
        return None if unread(answer) else LEFT_OUT

    return of


def _latency(answer: Answer) -> Contribution:
    took_s = answer.done_s - answer.due_s
    return took_s if answer.ok else Failed(took_s)


def _oldest(answer: Answer) -> Contribution:
    return max(answer.ages.values()) if answer.ok and answer.ages else LEFT_OUT


def _share(window: Sequence[Contribution]) -> Measured:
    samples = len(window) - window.count(LEFT_OUT)
    if not samples:
        return Measured(None, None, 0)
    sure = window.count(True)
    return Measured(sure / samples, (sure + window.count(None)) / samples, samples)


def _count(window: Sequence[Contribution]) -> Measured:
    sure = window.count(True)
    return Measured(float(sure), float(sure + window.count(None)), len(window))


def _quantile_of(q: float) -> Callable[[Sequence[Contribution]], Measured]:
    def combine(window: Sequence[Contribution]) -> Measured:
        inside = window if LEFT_OUT not in window else [v for v in window if v is not LEFT_OUT]
        values = cast("Sequence[float]", inside)
        if not values:
            return Measured(None, None, 0)
        kinds = set(map(type, values))
        if Failed in kinds:
            slowest = max(*values, FAILED_S)
            values = [slowest if isinstance(v, Failed) else v for v in values]
        value = quantile(values, q)
        if Open not in kinds:
            return Measured(value, value, len(values))
        return Measured(quantile([v.least if isinstance(v, Open) else v for v in values], q), value, len(values))

    return combine


SLOW_ANSWERS = "slow_answers"
_PROBES = (
    AnswerProbe("availability", Unit.RATIO, "share of requests answered in time", lambda a: a.ok, _share),
    AnswerProbe("failed_requests", Unit.COUNT, "requests not answered in time", lambda a: not a.ok, _count),
    AnswerProbe(SLOW_ANSWERS, Unit.RATIO, "share of requests slower than the stack declares, or not answered",
                lambda a: a.slow or not a.ok, _share),
    AnswerProbe("latency_p50", Unit.WALL, "median time from the intended sending to the answer",
                _latency, _quantile_of(0.5), 0.5),
    AnswerProbe("latency_p99", Unit.WALL, "99th percentile of the same", _latency, _quantile_of(0.99), 0.99),
    AnswerProbe("feature_age_p50", Unit.EVENT, "median age of the oldest feature in an answer",
                _oldest, _quantile_of(0.5), 0.5),
    AnswerProbe("feature_age_p99", Unit.EVENT, "99th percentile of the same", _oldest, _quantile_of(0.99), 0.99),
    AnswerProbe("flagged_answers", Unit.RATIO, "share of answers that say a fallback was taken",
                _answered(lambda a: a.flagged is not None), _share),
    AnswerProbe("stale_answers", Unit.RATIO, "share of answers with a feature older than the stack declares",
                _answered(lambda a: a.stale), _share),
    AnswerProbe("wrong_answers", Unit.RATIO, "share of answers whose features or score are not what they should be",
                _answered(lambda a: a.wrong), _share),
    AnswerProbe("silent_wrong_answers", Unit.RATIO, "share of answers that are wrong or stale and not flagged",
                _answered(silent_wrong), _share),
)  # fmt: skip

ANSWER_PROBES: dict[str, AnswerProbe] = {p.name: p for p in _PROBES}


def looking_at(answer: Answer) -> tuple[str, ...]:
    """Return the names of the probes that look at an answer: those that would count it among their samples."""
    return tuple(probe.name for probe in _PROBES if probe.contribution(answer) is not LEFT_OUT)
