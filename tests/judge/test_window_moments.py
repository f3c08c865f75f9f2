"""Which moments a bound is judged at: every answer is in a window, and each breach and recovery has its own moment."""

from __future__ import annotations

from typing import Any

import pytest
from journals import BACK, Run, lag
from pydantic import ValidationError

from harness.model.clauses import SHORTEST_OVER_S, Bound
from harness.model.readings import Answer
from harness.model.series import STEP_S, answer_series, as_due
from harness.model.verdict import ClauseResult

FAILED = {"ok": False, "error": "refused"}
LOW = {"id": "low", "probe": "lag", "at_most": 5}
STRICT = {"id": "up", "probe": "availability", "at_least": 1, "over": "2s"}


# every answer is in a window


@pytest.mark.parametrize("over", ["50ms", "99ms", "1us"])
def test_a_window_that_is_shorter_than_the_step_between_two_is_refused(over: str) -> None:
    with pytest.raises(ValidationError, match="too short for a window; write 100ms or more"):
        Bound.model_validate({"id": "up", "probe": "failed_requests", "at_most": 0, "over": over})
    assert SHORTEST_OVER_S >= STEP_S


def test_no_answer_falls_between_two_of_the_shortest_windows() -> None:
    bound = Bound.model_validate({"id": "up", "probe": "failed_requests", "at_most": 0, "over": "100ms"})
    for k in range(400):
        due_s = round(1.1 + k * 0.1, 6)  # where one window ends and the next begins
        one = Answer(id="r", at_event=0, due_s=due_s, sent_s=due_s, done_s=due_s, ok=False)
        assert any(p.good is False for p in answer_series(bound, as_due([(1, one)]), 1.0, 45.0)), due_s


# a breach has its own moment


@pytest.mark.parametrize(
    ("due_s", "done_s", "value"), [(5.015, 5.04, "unknown"), (5.015, 5.06, "fail"), (5.055, 5.06, "fail")]
)
def test_what_failed_just_before_the_injection_is_not_the_fault_s(due_s: float, done_s: float, value: str) -> None:
    back = STRICT | {"id": "back", "within": "6s"}
    run = Run({"stays": [STRICT], "recovered": [back]}).gate().fault(injected=5.05)
    # One request at 5.02 or 5.06 s; one that was open at the injection counts as the fault's.
    run.answers((due_s, due_s + 0.01, FAILED | {"done_s": done_s})).end()
    stays, recovered = run.clause("up"), run.clause("back")
    assert (stays.value, recovered.value) == (value, "unknown" if value == "unknown" else "pass")
    if value == "unknown":
        assert "by answers that were due by 5.02 s, before injection" in stays.reason
        assert "before injection" in recovered.reason


def test_what_also_failed_after_the_injection_was_broken_before_it_all_the_same() -> None:
    run = Run({"stays": [STRICT]}).gate().fault(injected=5.05).answers((5.015, 5.025, FAILED), (5.055, 5.2, FAILED))
    assert run.end().clause("up").value == "unknown", "the first of them had broken it, before any fault"


def test_a_count_is_broken_by_the_answer_that_is_one_too_many() -> None:
    few = {"id": "few", "probe": "failed_requests", "at_most": 2, "over": "2s"}
    for until_s, value in ((5.045, "unknown"), (5.025, "fail")):
        # Failures at 4.98, 5.00 and 5.02 break it before the injection; those at 4.98 and 5.00 are allowed.
        first_s = 4.97 if value == "unknown" else 4.99
        run = Run({"stays": [few]}).gate().fault(injected=5.05)
        run.answers((first_s, until_s, FAILED | {"done_s": 5.045}), (5.055, 5.12, FAILED)).end()
        assert run.clause("few").value == value, first_s


# a probe must be read in each fault


def slow_probe(run: Run, *asked_s: float) -> ClauseResult:
    run.plan["stack"]["probe_every_s"] = {"lag": 10.0}
    for t in asked_s:
        run.add(t, "reading", probe="lag", planned_s=t, asked_s=t, answered_s=t + 0.01, value=1.0)
    return run.end().clause("low")


@pytest.mark.parametrize(
    ("asked_s", "unread"),
    [
        ((3, 13, 23), "first"),
        ((3, 6, 13, 23), "second"),
        ((3, 13, 18, 23), "first"),
        ((3, 6, 13, 18, 23), None),
    ],
)
def test_a_probe_must_be_read_in_every_fault(asked_s: tuple[float, ...], unread: str | None) -> None:
    run = Run({"stays": [LOW]}, faults=("first", "second")).gate()
    run.fault("first", injected=5.0, confirmed=5.3, reverted=8.0)
    run.fault("second", injected=17.0, confirmed=17.3, reverted=20.0)
    found = slow_probe(run, *asked_s)
    assert found.value == ("pass" if unread is None else "unknown"), found.reason
    assert unread is None or f"not read between injection and revert of {unread}" in found.reason


@pytest.mark.parametrize("reverting", [True, False])
@pytest.mark.parametrize(("at_s", "value"), [(2.5, "unknown"), (4.99, "unknown"), (-2.5, "pass")])
def test_what_was_read_while_the_fault_went_out_was_not_read_in_it(reverting: bool, at_s: float, value: str) -> None:
    run = Run({"stays": [LOW]}).gate().fault(reverted=(8.0, 13.0))
    if reverting:
        run.add(8.0, "fault", fault="slow", stage="reverting", lo_s=8.0, hi_s=8.0)
    assert slow_probe(run, *(t + at_s for t in (0.0, 10.0, 20.0, 30.0) if t + at_s > 0)).value == value


# a measurement that takes long is a silence


@pytest.mark.parametrize(("took_s", "value"), [(4.7, "unknown"), (1.6, "unknown"), (1.4, "pass"), (0.1, "pass")])
def test_a_good_reading_that_took_long_tells_nothing_of_that_time(took_s: float, value: str) -> None:
    run = Run({"stays": [LOW]}).gate().fault()
    run.plan["stack"]["probe_every_s"] = {"lag": 1.0}
    t = 1.05
    while t < 26.0:
        run.add(t + took_s, "reading", probe="lag", planned_s=t, asked_s=t, answered_s=t + took_s, value=1.0)
        t += max(1.0, took_s + 0.1)
    found = run.end().clause("low")
    assert found.value == value, found.reason
    assert value == "pass" or "a reading of the probe took" in found.reason


def test_a_bad_reading_that_took_long_breaks_its_bound() -> None:
    run = Run({"stays": [LOW]}).gate().fault().readings("lag", 1.0, skip=[(8.0, 12.7)])
    run.add(12.7, "reading", probe="lag", planned_s=8.0, asked_s=8.0, answered_s=12.7, value=9.0)
    assert run.end().clause("low").value == "fail"


@pytest.mark.parametrize("stage", ["effect", "confirmed"])
@pytest.mark.parametrize(("lasted_s", "value"), [(6.4, "unknown"), (4.4, "pass")])
def test_a_measurement_of_the_fault_that_took_long_is_a_silence(stage: str, lasted_s: float, value: str) -> None:
    run = Run({"stays": [LOW]}).gate().readings("lag", 1.0)
    run.fault(confirmed=5.3 if stage == "effect" else None, effects=[])
    run.add(0.0, "fault", fault="slow", stage=stage, lo_s=5.5, hi_s=5.5 + lasted_s, landed=True)
    found = run.end().clause("low")
    assert found.value == value, found.reason
    assert value == "pass" or "the fault was not measured from 5.50 s to 11.90 s" in found.reason


# a recovery counts from the start of its window


def again(*bad: tuple[float, float, dict[str, Any]], rate: int = 50, **bound: Any) -> ClauseResult:
    clause = {"id": "back", "probe": "availability", "at_least": 0.99, "within": "3s", "over": "5s"} | bound
    return Run({"recovered": [clause]}).gate().fault().answers(*bad, rate=rate).end().clause("back")


@pytest.mark.parametrize("bound", [{}, {"within": "1s"}, {"at_least": 1}, {"over": "3s", "within": "2s"}])
def test_a_stack_that_is_well_from_the_revert_on_recovers_in_any_time(bound: dict[str, Any]) -> None:
    found = again((5.1, 12.0, FAILED), **bound)
    assert found.value == "pass", found.reason
    assert found.measured.after_s == pytest.approx(0.0, abs=0.11)


@pytest.mark.parametrize("at_least", [0.5, 0.9, 0.99, 1])
@pytest.mark.parametrize(("well_s", "value"), [(14.8, "pass"), (15.3, "fail")])
def test_its_deadline_is_compared_with_when_the_stack_was_well(at_least: float, well_s: float, value: str) -> None:
    found = again((5.1, well_s, FAILED), at_least=at_least)
    # A window of which half is bad keeps `at least 0.5`: when the stack was well again is then less certain.
    assert found.value in ({value, "unknown"} if at_least < 0.99 else {value}), found.reason
    measured = found.measured
    assert measured.after_lo_s <= well_s - 12.0 <= measured.after_s + 0.03


def test_a_recovery_that_does_not_come_fails_all_the_same() -> None:
    assert again((5.1, 99.0, FAILED)).value == "fail"
    assert again((5.1, 99.0, FAILED), at_least=1).value == "fail"


def test_readings_have_no_window_to_count_from() -> None:
    run = Run({"recovered": [BACK | {"within": "1s"}]}).gate().fault().readings("lag", lag((6.0, 14.0))).end()
    assert run.clause("back").value == "fail"
