"""Probes that are made of the workload's answers: what each one counts, over which answers.

Each gives a value as an interval: answers whose score could not be checked may be wrong or right, and a bound is kept
or broken only if it is so either way. A request counts in the window in which it was due, answered or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.model.readings import Answer
from harness.model.units import Unit


@dataclass(frozen=True, slots=True)
class Measured:
    """A value between `lo` and `hi`, from `samples` answers; None where there is nothing to measure."""

    lo: float | None
    hi: float | None
    samples: int


@dataclass(frozen=True, slots=True)
class AnswerProbe:
    """One measure of a window of answers."""

    name: str
    unit: Unit
    summary: str
    measure: Callable[[Sequence[Answer]], Measured]


def quantile(values: Sequence[float], q: float) -> float:
    """Return the nearest-rank quantile: the smallest value with at least a share `q` of the values at or below it."""
    ordered = sorted(values)
    rank = max(1, -(-int(q * 1_000_000) * len(ordered) // 1_000_000))
    return ordered[min(rank, len(ordered)) - 1]


def _share(of: Sequence[Answer], counts: Callable[[Answer], bool | None]) -> Measured:
    if not of:
        return Measured(None, None, 0)
    told = [counts(a) for a in of]
    sure = sum(t is True for t in told)
    open_ = sum(t is None for t in told)
    return Measured(sure / len(of), (sure + open_) / len(of), len(of))


def silent_wrong(answer: Answer) -> bool | None:
    """Whether an answer was wrong or stale and said nothing of it; None where that could not be checked."""
    if answer.flagged is not None or not answer.ok:
        return False
    if answer.stale:
        return True
    return answer.wrong


def _answered(answers: Sequence[Answer]) -> list[Answer]:
    return [a for a in answers if a.ok]


def _latency(q: float) -> Callable[[Sequence[Answer]], Measured]:
    def measure(answers: Sequence[Answer]) -> Measured:
        if not answers:
            return Measured(None, None, 0)
        # A request that failed was not answered at all; it must not look faster than one that was.
        slowest = max(a.done_s - a.due_s for a in answers)
        values = [a.done_s - a.due_s if a.ok else max(slowest, 60.0) for a in answers]
        value = quantile(values, q)
        return Measured(value, value, len(values))

    return measure


def _age(q: float) -> Callable[[Sequence[Answer]], Measured]:
    def measure(answers: Sequence[Answer]) -> Measured:
        ages = [max(a.ages.values()) for a in answers if a.ok and a.ages]
        if not ages:
            return Measured(None, None, 0)
        value = quantile(ages, q)
        return Measured(value, value, len(ages))

    return measure


def _count(counts: Callable[[Answer], bool]) -> Callable[[Sequence[Answer]], Measured]:
    def measure(answers: Sequence[Answer]) -> Measured:
        value = float(sum(counts(a) for a in answers))
        return Measured(value, value, len(answers))

    return measure


_PROBES = (
    AnswerProbe("availability", Unit.RATIO, "share of requests answered in time", lambda w: _share(w, lambda a: a.ok)),
    AnswerProbe("failed_requests", Unit.COUNT, "requests not answered in time", _count(lambda a: not a.ok)),
    AnswerProbe("slow_answers", Unit.RATIO, "share of requests slower than the stack declares, or not answered",
                lambda w: _share(w, lambda a: a.slow or not a.ok)),
    AnswerProbe("latency_p50", Unit.WALL, "median time from the intended sending to the answer", _latency(0.5)),
    AnswerProbe("latency_p99", Unit.WALL, "99th percentile of the same", _latency(0.99)),
    AnswerProbe("feature_age_p50", Unit.EVENT, "median age of the oldest feature in an answer", _age(0.5)),
    AnswerProbe("feature_age_p99", Unit.EVENT, "99th percentile of the same", _age(0.99)),
    AnswerProbe("flagged_answers", Unit.RATIO, "share of answers that say a fallback was taken",
                lambda w: _share(_answered(w), lambda a: a.flagged is not None)),
    AnswerProbe("stale_answers", Unit.RATIO, "share of answers with a feature older than the stack declares",
                lambda w: _share(_answered(w), lambda a: a.stale)),
    AnswerProbe("wrong_answers", Unit.RATIO, "share of answers whose features or score are not what they should be",
                lambda w: _share(_answered(w), lambda a: a.wrong)),
    AnswerProbe("silent_wrong_answers", Unit.RATIO, "share of answers that are wrong or stale and not flagged",
                lambda w: _share(_answered(w), silent_wrong)),
)  # fmt: skip

ANSWER_PROBES: dict[str, AnswerProbe] = {p.name: p for p in _PROBES}
