"""Churn: restarts of a service and changes of a pointer, counted from the first injection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from journals import Run
from pydantic import ValidationError

from harness.judge import kinds
from harness.model.expectations import Churn
from harness.model.verdict import ClauseResult

CALM = {"id": "calm", "service": "trainer", "at_most": 2}
STEADY = {"id": "steady", "probe": "promoted_version", "at_most": 1}


def restart(run: Run, at_s: float, service: str = "trainer", died: str | None = None, by: str | None = None) -> Run:
    """Let a service die, by the fault named in `died`, and restart, by `by`."""
    run.dies(service, at_s - 0.1, asked=died)
    return run.add(at_s, "process", service=service, what="restarted", at_s=at_s, asked=by)


def restarts(*at_s: float, run: Run | None = None, **how: Any) -> ClauseResult:
    run = run or Run({"churn_at_most": [CALM]}).gate().fault()
    for t in at_s:
        restart(run, t, **how)
    return run.end().clause("calm")


def pointer(value: Callable[[float], float | None], run: Run | None = None, **read: Any) -> ClauseResult:
    run = run or Run({"churn_at_most": [STEADY]}).gate().fault()
    return run.readings("promoted_version", value, **read).end().clause("steady")


def steps(*at_s: float) -> Callable[[float], float]:
    """Return a pointer that goes up at these moments."""
    return lambda t_s: float(sum(at <= t_s for at in at_s))


def test_restarts_up_to_the_bound_pass_and_one_more_fails() -> None:
    calm = restarts(8.0, 14.0)
    assert (calm.value, calm.measured.changes, calm.measured.met) == ("pass", 2, True)
    loop = restarts(6.0, 8.0, 14.0)
    assert (loop.value, loop.measured.changes, len(loop.cites)) == ("fail", 3, 3)
    assert loop.reason == "trainer restarted 3 times after injection, last at 14.00 s (at most 2)"


def test_the_death_of_one_replica_by_the_fault_excuses_no_restart_of_another() -> None:
    run = Run({"churn_at_most": [CALM]}).gate().fault()
    for at_s in (6.0, 8.0, 10.0):
        run.dies("trainer", at_s - 0.1, asked=None, replica=1)
        run.dies("trainer", at_s - 0.05, asked="slow", replica=2)
        for replica in (1, 2):
            run.add(at_s, "process", service="trainer", what="restarted", at_s=at_s, asked=None, replica=replica)
    assert run.end().clause("calm").measured.changes == 3


def test_restarts_of_the_fault_before_it_or_of_others_do_not_count() -> None:
    assert restarts(6.0, 7.0, 8.0, by="slow").measured.changes == 0
    assert restarts(6.0, 7.0, 8.0, died="slow").measured.changes == 0
    assert restarts(6.0, 7.0, 8.0, service="server").measured.changes == 0
    assert restarts(25.5, 25.6, 25.7).measured.changes == 0, "after observation"
    earlier = Run({"churn_at_most": [CALM]}).gate().fault()
    for at_s in (2.0, 3.0, 4.0):
        earlier.add(at_s, "process", service="trainer", what="restarted", at_s=at_s)
    assert restarts(run=earlier).measured.changes == 0


def test_a_restart_around_injection_decides_nothing() -> None:
    run = Run({"churn_at_most": [{**CALM, "at_most": 0}]}).gate().fault(injected=(5.0, 5.2), confirmed=5.5)
    found = restarts(run=run.add(5.1, "process", service="trainer", what="restarted", at_s=5.1))
    assert (found.value, found.measured.changes) == ("unknown", 0)
    assert "restarted 0 to 1 times" in found.reason


@pytest.mark.parametrize(
    ("seen", "owned", "value"),
    [("trainer", True, "pass"), ("trainer", False, "pass"), ("server", True, "unknown"), ("server", False, "pass")],
)
def test_a_service_of_which_no_process_was_ever_seen_was_not_watched(seen: str, owned: bool, value: str) -> None:
    """Of a stack that was running before, no process is seen to start."""
    run = Run({"churn_at_most": [CALM]}).gate().fault().add(0.9, "stack_up", ready_s=0.9, owned=owned)
    run.add(0.1, "process", service=seen, what="started", at_s=0.1, asked="harness")
    found = restarts(run=run)
    assert found.value == value
    assert ("no process of it was ever seen" in found.reason) is (value == "unknown")


def test_changes_of_a_pointer_are_counted_from_injection() -> None:
    assert pointer(steps(2.0, 3.0, 8.0)).value == "pass"
    found = pointer(steps(8.0, 14.0))
    assert (found.value, found.measured.changes) == ("fail", 2)
    assert found.reason == "promoted_version changed 2 times after injection, last at 14.01 s (at most 1)"
    back = pointer(lambda t_s: 2.0 if 8.0 <= t_s < 9.0 else 1.0)
    assert (back.value, back.measured.changes) == ("fail", 2), "back again is a change too"


@pytest.mark.parametrize(
    "read",
    [{"skip": [(9.0, 12.0)]}, {"down": [(9.0, 12.0)]}, {"skip": [(20.0, 30.0)]}, {"from_s": 5.5}, {"to_s": 0.6}],
    ids=["not-read", "no-answer", "not-to-the-end", "not-at-injection", "never"],
)
def test_a_pointer_without_a_value_is_unknown_unless_more_changes_are_certain(read: dict[str, Any]) -> None:
    found = pointer(steps(8.0), **read)
    assert found.value == "unknown"
    assert "no value of it from" in found.reason
    if read.get("to_s") is None:
        assert pointer(steps(7.0, 8.0, 13.0), **read).value == "fail"


def test_a_gap_that_the_harness_recorded_counts_however_short() -> None:
    run = Run({"churn_at_most": [STEADY]}).gate().fault().gap("promoted_version", 9.0, 9.2)
    assert pointer(steps(8.0), run=run).value == "unknown"


def test_a_probe_with_a_long_interval_may_be_read_that_seldom() -> None:
    assert pointer(steps(8.0), every_s=2.0).value == "unknown"
    run = Run({"churn_at_most": [STEADY]}).gate().fault()
    run.plan["stack"]["probe_every_s"] = {"promoted_version": 2.0}
    assert pointer(steps(8.0), run=run, every_s=2.0).value == "pass"


def test_an_unconfirmed_fault_makes_it_unknown_whatever_churned() -> None:
    run = Run({"churn_at_most": [CALM]}).gate().fault(confirmed=None)
    found = restarts(6.0, 7.0, 8.0, run=run)
    assert (found.value, found.measured.changes) == ("unknown", None)
    assert "never confirmed" in found.reason


def test_a_checker_that_crashes_makes_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.judge.churn._restarts", lambda *_: 1 / 0)
    assert restarts(8.0).reason == "calm: its checker failed: ZeroDivisionError: division by zero"


def test_a_control_is_not_judged_by_it() -> None:
    run = Run({"churn_at_most": [CALM]}, twin="control").gate().alerts().end()
    assert not run.judged().of_kind("churn")


def test_exactly_one_subject_is_needed() -> None:
    for subject in ({}, {"service": "trainer", "probe": "promoted_version"}):
        with pytest.raises(ValidationError, match="exactly one of service and probe"):
            Churn(id="calm", at_most=1, **subject)
    assert kinds.BY_CLAUSE[Churn].document == "churn"
