"""Log loss and AUC by window: right by brute force, intervals that cover, null where there is nothing to say."""

from __future__ import annotations

import math
import random

import pytest
from made_runs import control, failing, no_answers, passing

from harness.journal.records import Journal
from harness.model.readings import Answer
from harness.report.quality import Z_95, Spread, auc, log_loss, quality


def drawn(seed: int, size: int, shift: float) -> tuple[list[int], list[float]]:
    """Return outcomes, and scores on a coarse grid, so that there are ties."""
    chance = random.Random(seed)
    outcomes = [int(chance.random() < 0.3) for _ in range(size)]
    return outcomes, [round(0.01 + 0.6 * chance.random() + shift * y, 1) for y in outcomes]


def covers(spread: Spread | None, truth: float) -> bool:
    assert spread is not None
    return abs(spread.value - truth) <= Z_95 * math.sqrt(spread.variance)


def pairs_ranked_rightly(outcomes: list[int], scores: list[float]) -> float:
    ups = [p for y, p in zip(outcomes, scores, strict=True) if y]
    downs = [p for y, p in zip(outcomes, scores, strict=True) if not y]
    return sum(1.0 if u > d else 0.5 if u == d else 0.0 for u in ups for d in downs) / len(ups) / len(downs)


def test_auc_is_the_share_of_pairs_ranked_rightly() -> None:
    outcomes, scores = drawn(3, 60, 0.2)
    found = auc(outcomes, scores)
    assert found is not None
    assert found.value == pytest.approx(pairs_ranked_rightly(outcomes, scores))


def test_the_variance_of_auc_is_about_that_of_leaving_each_request_out() -> None:
    outcomes, scores = drawn(4, 120, 0.15)
    found = auc(outcomes, scores)
    assert found is not None
    without = [pairs_ranked_rightly(outcomes[:k] + outcomes[k + 1 :], scores[:k] + scores[k + 1 :]) for k in range(120)]
    mean = sum(without) / 120
    jackknife = 119 / 120 * sum((value - mean) ** 2 for value in without)
    assert found.variance == pytest.approx(jackknife, rel=0.05)


def test_the_intervals_cover_what_is_true() -> None:
    of_loss = of_auc = 0
    for seed in range(60):
        outcomes = [int(random.Random(f"{seed} {k}").random() < 0.22) for k in range(300)]
        of_loss += covers(log_loss(outcomes, [0.22] * 300), -(0.22 * math.log(0.22) + 0.78 * math.log(0.78)))
        # Scores that say nothing of the outcome rank half of the pairs rightly.
        of_auc += covers(auc(outcomes, [random.Random(f"score {seed} {k}").random() for k in range(300)]), 0.5)
    assert of_loss >= 51  # 57 expected of 60
    assert of_auc >= 51


def test_the_difference_from_a_control_is_that_of_the_two_and_narrower_when_they_agree() -> None:
    outcomes, scores = drawn(5, 200, 0.2)
    near = [min(0.99, p + 0.1 * (k % 2)) for k, p in enumerate(scores)]
    for measure in (log_loss, auc):
        ours, theirs, difference = measure(outcomes, scores), measure(outcomes, near), measure(outcomes, scores, near)
        assert ours is not None
        assert theirs is not None
        assert difference is not None
        assert difference.value == pytest.approx(ours.value - theirs.value)
        assert difference.variance < (ours.variance + theirs.variance) / 2


def test_three_windows_and_harm_while_the_fault_is_in() -> None:
    journal, verdict = passing()
    found = quality(journal, verdict)
    assert found is not None
    assert [w.window for w in found.windows] == ["before", "during", "after"]
    before, during, _ = found.windows
    assert before.to_s == during.from_s == 9.26
    assert before.log_loss.value is not None
    assert during.log_loss.value is not None
    assert before.log_loss.lo is not None
    assert before.log_loss.hi is not None
    assert before.log_loss.lo <= before.log_loss.value <= before.log_loss.hi
    assert during.log_loss.value > before.log_loss.hi
    assert during.paired is None
    assert during.scored < during.requests


def test_paired_with_the_control_what_both_share_drops_out() -> None:
    journal, verdict = passing()
    found = quality(journal, verdict, control()[0])
    assert found is not None
    before, during, _ = found.windows
    assert before.paired is not None
    assert before.paired > 0
    assert before.log_loss_minus_control is not None
    assert before.log_loss_minus_control.value == pytest.approx(0.0)
    assert during.log_loss_minus_control is not None
    assert during.log_loss_minus_control.lo is not None
    assert during.log_loss_minus_control.lo > 0
    assert during.auc_minus_control is not None


def test_a_control_has_the_windows_of_its_fault() -> None:
    found = quality(*control())
    assert found is not None
    assert [(w.from_s, w.to_s) for w in found.windows][1] == pytest.approx((9.2, 21.2))


def test_the_same_run_gives_the_same_intervals() -> None:
    assert quality(*failing()) == quality(*failing())


def test_an_interval_stays_within_what_the_number_can_be() -> None:
    found = quality(*control())
    assert found is not None
    for window in found.windows:
        assert window.auc.hi is not None
        assert window.auc.hi <= 1.0


def test_one_class_has_no_auc() -> None:
    found = quality(_with(outcome=0), passing()[1])
    assert found is not None
    assert all(w.auc.value is None and w.auc.lo is None for w in found.windows)
    assert found.windows[0].log_loss.value is not None
    assert found.windows[0].positives == 0


def test_certain_and_wrong_is_finite() -> None:
    found = quality(_with(score=0.0), passing()[1])
    assert found is not None
    assert found.windows[0].log_loss.value is not None
    assert math.isfinite(found.windows[0].log_loss.value)


def test_without_outcomes_or_answers_there_is_nothing() -> None:
    assert quality(_with(outcome=None), passing()[1]) is None
    assert quality(*no_answers()) is None


def _with(**change: float | None) -> Journal:
    from dataclasses import replace

    journal, _ = passing()
    lines = [
        replace(line, body=line.body.model_copy(update=change)) if isinstance(line.body, Answer) else line
        for line in journal.lines
    ]
    return Journal(journal.header, tuple(lines))
