"""What is known of a run as it grows, where the whole run counts: how late the harness was, how many answers came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.clauses import Bound
from harness.model.readings import Answer, GateSeen, Reading
from harness.model.series import reading_series
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


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.25, 0.9]), st.sampled_from([0.0, 1.0, None])), min_size=1, max_size=20),
    st.integers(1, 6),
)
def test_a_probe_is_as_the_judge_will_find_it(read: list[tuple[float, float | None]], needed: int) -> None:
    """A gate that opens on fewer readings than a bound needs makes what follows it undecided."""
    bound = Bound.model_validate({"id": "up", "probe": "up", "at_least": 1, "over": "1s", "min_samples": needed})
    live, now_s, readings = Live(), 0.0, []
    for n, (after_s, value) in enumerate(read):
        now_s += after_s
        reading = Reading(probe="up", planned_s=now_s, asked_s=now_s, answered_s=now_s + 0.01, value=value)
        readings.append((n, reading))
        live.note(n, now_s, reading)
        [judged] = [
            point
            for point in reading_series(bound, readings, 0.0, now_s + 0.01)
            if point.cites == (n,) and not point.gap
        ]
        point = live.point(bound, now_s + 0.01)
        assert (point.good, point.value, point.why) == (judged.good, judged.value, judged.why)
