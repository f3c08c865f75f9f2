"""How good the answers were: log loss and AUC before, during and after the fault, with 95 % confidence intervals.

Log loss is a mean, so its interval is the normal one; that of AUC is DeLong's (DeLong, DeLong & Clarke-Pearson 1988),
which the paired difference from a control uses as well: the same requests are compared, so that what both runs share
(the traffic) drops out. Neither needs random numbers or a numeric library. This is damage to be read, never an
expectation: over 12 event-hours AUC wanders from 0.55 to 0.80 with no fault at all.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Literal

from harness.journal.records import Journal
from harness.model.readings import Answer
from harness.model.verdict import Verdict
from harness.report.documents import Estimate, Quality, QualityWindow
from harness.report.spans import extent

METHOD = "normal for log loss, DeLong et al. 1988 for AUC, over requests"
Z_95 = 1.959964
_UNDEFINED = Estimate(value=None, lo=None, hi=None)
Window = tuple[Literal["before", "during", "after"], float, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """A statistic, and its variance."""

    value: float
    variance: float


def quality(journal: Journal, verdict: Verdict, control: Journal | None = None) -> Quality | None:
    """Return the quality of the run's answers by window; None where no answer has a known outcome."""
    answers = [a for _, a in journal.answers]
    if not any(_scored(a) for a in answers):
        return None
    theirs = None if control is None else {a.id: a for _, a in control.answers if _scored(a)}
    rows = [
        _window(window, [a for a in answers if window[1] <= a.due_s < window[2]], theirs)
        for window in _windows(journal, verdict)
    ]
    return Quality(method=METHOD, windows=tuple(rows))


def _scored(answer: Answer) -> bool:
    return answer.ok and answer.score is not None and answer.outcome is not None


def _windows(journal: Journal, verdict: Verdict) -> list[Window]:
    from_s, to_s = extent(journal)
    injected = [f.injected_at_s for f in verdict.faults if f.injected_at_s is not None]
    reverted = [f.reverted_at_s for f in verdict.faults if f.reverted_at_s is not None]
    gate = journal.gate
    if not injected and gate is not None and gate[1].met:
        # A control has the same windows, where its faults would have been.
        planned = [(gate[1].at_s + s.at, s.duration) for s in journal.plan.scenario.timeline if s.at is not None]
        injected = [at_s for at_s, _ in planned]
        reverted = [at_s + for_s for at_s, for_s in planned]
    if not injected:
        return [("before", from_s, to_s)]
    in_s = min(max(min(injected), from_s), to_s)
    out_s = min(max(max(reverted, default=to_s), in_s), to_s)
    return [("before", from_s, in_s), ("during", in_s, out_s), ("after", out_s, to_s)]


def _window(window: Window, answers: Sequence[Answer], theirs: dict[str, Answer] | None) -> QualityWindow:
    scored = [a for a in answers if _scored(a)]
    both = [] if theirs is None else [a for a in scored if a.id in theirs]
    outcomes, scores = _columns(scored)
    paired, ours = _columns(both)
    control = [] if theirs is None else _columns([theirs[a.id] for a in both])[1]
    return QualityWindow(
        window=window[0],
        from_s=window[1],
        to_s=window[2],
        requests=len(answers),
        scored=len(scored),
        positives=sum(outcomes),
        log_loss=_estimate(log_loss(outcomes, scores), 0.0, math.inf),
        auc=_estimate(auc(outcomes, scores), 0.0, 1.0),
        paired=None if theirs is None else len(both),
        log_loss_minus_control=None if theirs is None else _estimate(log_loss(paired, ours, control)),
        auc_minus_control=None if theirs is None else _estimate(auc(paired, ours, control)),
    )


def _columns(answers: Sequence[Answer]) -> tuple[list[int], list[float]]:
    outcomes = [int(a.outcome == 1) for a in answers]
    return outcomes, [a.score for a in answers if a.score is not None]


def log_loss(outcomes: Sequence[int], scores: Sequence[float], control: Sequence[float] | None = None) -> Spread | None:
    """Return the mean log loss, or its difference from a control's; None for fewer than two requests."""
    losses = [_loss(y, p) for y, p in zip(outcomes, scores, strict=True)]
    if control is not None:
        losses = [ours - _loss(y, p) for ours, y, p in zip(losses, outcomes, control, strict=True)]
    if len(losses) < 2:
        return None
    return Spread(fmean(losses), variance(losses) / len(losses))


def _loss(outcome: int, score: float) -> float:
    sure = min(max(score, 1e-15), 1 - 1e-15)
    return -math.log(sure if outcome else 1 - sure)


def auc(outcomes: Sequence[int], scores: Sequence[float], control: Sequence[float] | None = None) -> Spread | None:
    """Return the area under the ROC curve, or its difference from a control's.

    None where it is not defined: with fewer than two requests of either outcome.
    """
    up, down = _placements(outcomes, scores)
    if len(up) < 2 or len(down) < 2:
        return None
    if control is not None:
        their_up, their_down = _placements(outcomes, control)
        up = [ours - theirs for ours, theirs in zip(up, their_up, strict=True)]
        down = [ours - theirs for ours, theirs in zip(down, their_down, strict=True)]
    return Spread(fmean(up), variance(up) / len(up) + variance(down) / len(down))


def _placements(outcomes: Sequence[int], scores: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return for each positive the share of negatives ranked below it, and for each negative of positives above it.

    Ties count half.
    """
    positives = [p for y, p in zip(outcomes, scores, strict=True) if y]
    negatives = [p for y, p in zip(outcomes, scores, strict=True) if not y]
    if not positives or not negatives:
        return [], []
    ups, downs = sorted(positives), sorted(negatives)
    up = [(bisect_left(downs, p) + bisect_right(downs, p)) / 2 / len(downs) for p in positives]
    down = [1 - (bisect_left(ups, p) + bisect_right(ups, p)) / 2 / len(ups) for p in negatives]
    return up, down


def _estimate(spread: Spread | None, least: float = -math.inf, most: float = math.inf) -> Estimate:
    """Return the statistic with its interval, kept within the values that it can have."""
    if spread is None:
        return _UNDEFINED
    half = Z_95 * math.sqrt(spread.variance)
    lo, hi = max(least, spread.value - half), min(most, spread.value + half)
    return Estimate(value=round(spread.value, 6), lo=round(lo, 6), hi=round(hi, 6))
