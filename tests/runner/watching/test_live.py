"""What is known of a run as it grows, where the whole run counts: how late the harness was, how many answers came."""

from __future__ import annotations

import pytest

from harness.model.readings import Answer, GateSeen, Reading
from harness.runner.watching.live import KEPT_S, Live


def answer(live: Live, due_s: float, late_s: float = 0.0, *, ok: bool = True) -> None:
    sent_s = due_s + late_s
    live.note(0, sent_s, Answer(id=f"r{due_s}", at_event=0, due_s=due_s, sent_s=sent_s, done_s=sent_s, ok=ok))


def test_lateness_counts_from_the_gate_on_whenever_the_gate_is_known() -> None:
    live = Live()
    answer(live, 1.0, 9.0)
    answer(live, 5.0, 0.25)
    assert live.late_s() is None
    live.note(0, 5.1, GateSeen(met=True, at_s=5.0, values={}))
    assert live.late_s() == pytest.approx(0.25)
    answer(live, 4.9, 9.0)
    answer(live, 6.0, 0.5)
    live.note(0, 7.8, Reading(probe="lag", planned_s=7.0, asked_s=7.75, answered_s=7.8, value=1.0))
    assert live.late_s() == pytest.approx(0.75)
    for k in range(int(KEPT_S) * 10):
        answer(live, 8.0 + k, 0.125)
    assert live.late_s() == pytest.approx(0.75), "polls are a share of their own"


def test_answers_are_counted_since_a_moment_long_ago() -> None:
    live = Live()
    for k in range(2000):
        answer(live, k * 0.1)
    assert live.answered_since(100.0, 5000) == 1000
    assert live.answered_since(100.0, 5000, "availability") == 1000
    assert live.answered_since(100.0, 30) == 30
    assert live.answered_since(100.0, 5000, "no_such_probe") == 0
