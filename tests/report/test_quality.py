"""Log loss and AUC by window: right by brute force, the same for the same seed, null where there is nothing to say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_runs import control, failing, no_answers, passing

from harness.journal.records import Journal
from harness.model.readings import Answer
from harness.report.quality import RESAMPLES, _auc, _log_loss, _resampled, quality


def test_auc_is_the_share_of_pairs_ranked_rightly() -> None:
    rng = np.random.default_rng(3)
    outcomes = (rng.random(60) < 0.3).astype(float)
    scores = np.round(rng.random(60) * 0.5 + outcomes * 0.2, 1)  # rounded: there must be ties
    ups, downs = scores[outcomes == 1], scores[outcomes == 0]
    pairs = [(1.0 if u > d else 0.5 if u == d else 0.0) for u in ups for d in downs]
    assert _auc(outcomes, scores, _resampled(60, 1))[0] == pytest.approx(np.mean(pairs))


def test_a_resample_counts_as_the_sample_it_is() -> None:
    rng = np.random.default_rng(4)
    outcomes = (rng.random(50) < 0.4).astype(float)
    scores = rng.random(50)
    counts = _resampled(50, 9)
    drawn = np.repeat(np.arange(50), counts[7].astype(int))
    once = np.ones((1, 50))
    assert _auc(outcomes, scores, counts)[7] == pytest.approx(_auc(outcomes[drawn], scores[drawn], once)[0])
    losses = -np.where(outcomes == 1, np.log(scores), np.log(1 - scores))
    assert _log_loss(outcomes, scores, counts)[7] == pytest.approx(losses[drawn].mean())


def test_the_interval_covers_what_is_true() -> None:
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        outcomes = (rng.random(300) < 0.22).astype(float)
        values = _log_loss(outcomes, np.full(300, 0.22), _resampled(300, seed))
        lo, hi = np.percentile(values[1:], [2.5, 97.5])
        held += bool(lo <= -(0.22 * math.log(0.22) + 0.78 * math.log(0.78)) <= hi)
    assert held >= 51  # 57 expected of 60


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


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert quality(*failing()) == quality(*failing())


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
    assert RESAMPLES >= 200


def _with(**change: float | None) -> Journal:
    from dataclasses import replace

    journal, _ = passing()
    lines = [
        replace(line, body=line.body.model_copy(update=change)) if isinstance(line.body, Answer) else line
        for line in journal.lines
    ]
    return Journal(journal.header, tuple(lines))
