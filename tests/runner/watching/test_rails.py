"""Which readings, answers and alerts cross a guardrail: fed line by line, without a run."""

from __future__ import annotations

from typing import Any

import pytest
from fake_runs import plan_of

from harness.model.readings import Abort, Alert, AlertsSeen, Answer, FaultSeen, Gap, GateSeen, Reading
from harness.runner.watching.live import Live
from harness.runner.watching.rails import LATE_REVERT_S, Rails

LAG = {"probe": "lag", "at_least": 5, "over": "1s"}
HALF = {"probe": "availability", "at_most": 0.5, "over": "1s"}


class Fed:
    """Rails that are told of a run."""

    def __init__(self, *rules: dict[str, Any], every_s: float = 0.1, **changes: Any) -> None:
        plan = plan_of("0s", "5s", abort_if=list(rules), **changes)
        facts = plan.stack.model_copy(update={"probe_every_s": {"lag": every_s}})
        self.live = Live()
        self.rails = Rails(plan.model_copy(update={"stack": facts}), self.live)
        self.n = 0
        self.add(GateSeen(met=True, at_s=1.0))

    def add(self, body: Any, at_s: float = 0.0) -> None:
        self.n += 1
        self.live.note(self.n, at_s, body)
        self.rails.note(self.n, at_s, body)

    def injected(self, at_s: float = 2.0, fault: str = "it") -> Fed:
        self.add(FaultSeen(fault=fault, stage="injecting", lo_s=at_s, hi_s=at_s))
        self.add(FaultSeen(fault=fault, stage="injected", lo_s=at_s, hi_s=at_s))
        return self

    def reverted(self, at_s: float, fault: str = "it") -> Fed:
        self.add(FaultSeen(fault=fault, stage="reverted", lo_s=at_s, hi_s=at_s, landed=False))
        return self

    def readings(self, value: float | None, from_s: float, to_s: float, down: str | None = None) -> list[Abort]:
        """Read a probe ten times a second; return what is crossed after each reading."""
        found = []
        for k in range(round((to_s - from_s) * 10)):
            t = round(from_s + k / 10, 3)
            self.add(Reading(probe="lag", planned_s=t, asked_s=t, answered_s=t, value=value, down=down))
            found.append(self.rails.crossed(t, t))
        return [one for one in found if one is not None]

    def answers(self, ok: bool, from_s: float, to_s: float) -> list[Abort]:
        """Answer twenty requests a second."""
        found = []
        for k in range(round((to_s - from_s) * 20)):
            t = round(from_s + k / 20, 3)
            self.add(Answer(id=f"r{t}", at_event=1, due_s=t, sent_s=t, done_s=t, ok=ok))
            found.append(self.rails.crossed(t, t))
        return [one for one in found if one is not None]


def test_a_bound_must_hold_over_its_whole_window() -> None:
    fed = Fed(LAG).injected()
    assert not fed.readings(9.0, 2.1, 3.1)
    assert not fed.readings(1.0, 3.1, 3.2), "one good reading begins it anew"
    first = fed.readings(9.0, 3.2, 4.5)[0]
    assert (first.from_s, first.at_s, first.value) == (3.2, 4.2, 9.0)
    assert first.rule == "lag at least 5 over 1s"


def test_a_probe_that_is_down_counts_as_crossed() -> None:
    first = Fed(LAG).injected().readings(None, 2.1, 3.5, down="refused")[0]
    assert first.measured == "no answer: refused"


def test_a_value_that_is_not_there_for_no_reason_does_not() -> None:
    assert not Fed(LAG).injected().readings(None, 2.1, 5.0)


def test_a_gap_aborts_nothing_and_begins_the_window_anew() -> None:
    fed = Fed(LAG).injected()
    assert not fed.readings(9.0, 2.1, 2.9)
    fed.add(Gap(probe="lag", from_s=2.9, to_s=3.0, why="no open files"))
    assert not fed.readings(9.0, 3.0, 3.9)
    assert fed.readings(9.0, 3.9, 4.2)


def test_a_gap_in_another_probe_is_none_of_its_business() -> None:
    fed = Fed(LAG).injected()
    fed.readings(9.0, 2.1, 2.9)
    fed.add(Gap(probe="other", from_s=2.9, to_s=3.0, why="no open files"))
    assert fed.readings(9.0, 2.9, 3.2)


def test_a_probe_that_is_read_seldom_needs_one_reading() -> None:
    fed = Fed(LAG, every_s=5.0).injected()
    fed.add(Reading(probe="lag", planned_s=3, asked_s=3, answered_s=3.1, value=9.0))
    assert fed.rails.crossed(3.2, 3.2) is not None


def test_a_window_begins_with_the_first_injection() -> None:
    fed = Fed(LAG)
    assert not fed.readings(9.0, 1.5, 2.0)
    fed.injected()
    assert not fed.readings(9.0, 2.0, 3.0)
    assert fed.readings(9.0, 3.0, 3.2)


def test_before_the_first_injection_it_begins_with_the_steady_state() -> None:
    assert Fed(LAG).readings(9.0, 1.1, 2.2)
    assert not Fed(LAG).readings(9.0, 0.5, 1.5)


def test_answers_are_looked_at_in_windows() -> None:
    fed = Fed(HALF).injected()
    fed.answers(True, 1.0, 2.0)
    assert not fed.answers(False, 2.0, 2.95)
    first = fed.answers(False, 2.95, 3.2)[0]
    assert first.measured == "0 %"
    assert first.from_s >= 2.0


def test_few_answers_abort_nothing_unless_so_few_are_enough() -> None:
    for more, aborts in (({}, False), ({"min_samples": 2}, True)):
        fed = Fed(HALF | more).injected()
        for t in (3.5, 3.9):
            fed.add(Answer(id=f"{t}", at_event=1, due_s=t, sent_s=t, done_s=t, ok=False))
        assert (fed.rails.crossed(4.0, 4.0) is not None) is aborts


def test_a_gap_in_the_workload_aborts_nothing() -> None:
    fed = Fed(HALF).injected()
    fed.add(Gap(probe="workload", from_s=2.5, to_s=2.8, why="no open files"))
    assert not fed.answers(False, 2.0, 3.75)
    assert fed.answers(False, 3.75, 4.2)


def test_an_alert_must_have_the_labels_and_a_source_that_is_down_tells_nothing() -> None:
    fed = Fed({"alert": "Down", "labels": {"zone": "a"}}).injected()

    def poll(zone: str, down: str | None = None) -> Abort | None:
        firing = (Alert(name="Down", labels={"zone": zone}),)
        fed.add(AlertsSeen(source="m", planned_s=3, asked_s=3, answered_s=3, firing=firing, down=down))
        return fed.rails.crossed(3.1, 3.1)

    assert poll("b") is None
    assert poll("a", down="refused") is None
    crossed = poll("a")
    assert crossed is not None
    assert (crossed.measured, crossed.lines) == ("Down{zone=a}", (fed.n,))


def test_time_with_a_fault_in_adds_up_over_faults_and_overlaps_count_once() -> None:
    fed = Fed(limits={"fault_time": "3s"}).injected(2.0).injected(2.5, "other").reverted(3.0).reverted(4.0, "other")
    assert fed.rails.crossed(50.0, 50.0) is None, "no fault is in"
    fed.injected(60.0, "third")
    assert fed.rails.crossed(60.9 + 3 * LATE_REVERT_S, 61.0) is None, "each fault may be reverted for a second"
    crossed = fed.rails.crossed(61.1 + 3 * LATE_REVERT_S, 61.0)
    assert crossed is not None
    assert crossed.value == pytest.approx(3.1 + 3 * LATE_REVERT_S)
