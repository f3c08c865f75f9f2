"""What a busy machine does to a verdict: it opens it and names the machine; it never fails or passes a stack."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import ALL, BACK, BROKEN, CLEAR, CROWDED, SEEN, SLOW, Run, good_run, lag
from test_properties import by_id, many, runs, stretches

from harness.model.verdict import Value

THROUGHOUT = (0.0, 30.0, CROWDED)
QUICK = {"id": "quick", "probe": "latency_p99", "at_most": "250ms", "over": "2s"}


def slow(from_s: float, to_s: float) -> list[tuple[float, float, Mapping[str, Any]]]:
    """Answers of this stretch that take 0.6 s."""
    return [(t / 50, t / 50 + 0.01, {"done_s": t / 50 + 0.6}) for t in range(int(from_s * 50), int(to_s * 50))]


def watched(expect: dict[str, Any]) -> Run:
    return Run(expect).gate().fault().alerts((SLOW, 7.0, 14.0))


# In the window, and nowhere else


def test_slow_answers_on_a_busy_machine_are_not_the_stack_s() -> None:
    run = watched({"stays": [QUICK]}).answers(*slow(14.2, 15.1)).machine((14.2, 15.1, CROWDED)).end()
    found = run.clause("quick")
    assert found.value == "unknown"
    assert "machine busy (others took 1.3 of 2 processors at 14.2–15.1 s)" in found.reason
    assert run.judged().machine_busy


def test_what_was_delayed_is_worked_off_for_as_long_again() -> None:
    busy = (14.2, 15.2, CROWDED)
    assert watched({"stays": [QUICK]}).answers(*slow(15.3, 15.8)).machine(busy).end().clause("quick").value == "unknown"
    assert watched({"stays": [QUICK]}).answers(*slow(16.3, 17.0)).machine(busy).end().clause("quick").value == "fail"


def test_answers_that_are_slow_elsewhere_too_are_the_stack_s() -> None:
    run = watched({"stays": [QUICK]}).answers(*slow(8.0, 9.0), *slow(14.2, 15.1)).machine((14.2, 15.1, CROWDED)).end()
    assert run.clause("quick").value == "fail"
    assert not run.judged().machine_busy


@pytest.mark.parametrize(
    ("machine", "value"),
    [
        ({"busy": 2.0, "own": 1.95}, "fail"),  # the run's own work, its faults included
        ({"busy": 1.2, "own": 0.2}, "fail"),  # others work, and there is room for all
        ({"busy": 2.0, "own": 0.7, "cpu_pressure": 0.01}, "fail"),  # nothing waited
        ({"busy": 2.0, "own": None}, "fail"),  # whose work it was is not known
        ({"steal": 0.05}, "fail"),
        ({"steal": 0.4}, "unknown"),
        ({"throttled": 0.5}, "unknown"),
        ({"memory_pressure": 0.4, "memory_free": 0.5}, "fail"),  # a container at a limit of its own
        ({"memory_pressure": 0.4, "memory_free": 0.02}, "unknown"),
        ({"busy": 2.0, "own": 0.7, "cpu_pressure": None}, "unknown"),
        ({"busy": 2.0, "own": 0.7, "cpu_pressure": None, "memory_free": None}, "unknown"),
        ({"busy": None, "own": None, "steal": None, "cpu_pressure": None, "memory_free": None}, "fail"),
    ],
)
def test_what_is_an_excuse_and_what_is_none(machine: dict[str, Any], value: str) -> None:
    run = watched({"stays": [QUICK]}).answers(*slow(14.2, 15.1)).machine((14.2, 15.1, machine)).end()
    assert run.clause("quick").value == value


def test_good_answers_count_on_a_busy_machine() -> None:
    assert good_run().machine(THROUGHOUT).judged().value == "pass"


def test_what_recovers_in_time_on_a_busy_machine_has_recovered_if_the_fault_broke_it() -> None:
    run = Run({"recovered": [BACK]}).gate().fault().readings("lag", BROKEN)
    assert copy.deepcopy(run).machine(THROUGHOUT).end().clause("back").value == "pass", "it was as busy before"
    assert copy.deepcopy(run).machine((8.0, 9.0, CROWDED)).end().clause("back").value == "pass", "it broke elsewhere"
    found = run.machine((5.5, 15.0, CROWDED)).end().clause("back")
    assert found.value == "unknown"
    assert "machine busy" in found.reason


def test_what_was_broken_before_the_injection_was_broken_whatever_the_cause() -> None:
    low = {"id": "low", "probe": "lag", "at_most": 5}
    for broken, busy in (((3.0, 14.0), (3.0, 4.5)), ((4.8, 14.0), (4.8, 4.9)), ((3.0, 7.0), (3.0, 4.5))):
        run = Run({"recovered": [BACK], "stays": [low]}).gate().fault().readings("lag", lag(broken))
        run.machine((*busy, CROWDED)).end()
        for clause in ("back", "low"):
            found = run.clause(clause)
            assert found.value == "unknown"
            assert "before injection" in found.reason
            assert "but machine busy" in found.reason


def test_a_breach_that_only_a_busy_machine_shows_is_not_the_fault_s() -> None:
    run = Run({"recovered": [BACK]}).gate().fault().readings("lag", lag((5.3, 6.0)))
    found = run.machine((5.1, 6.0, CROWDED)).end().clause("back")
    assert found.value == "unknown"


def test_a_bad_reading_on_a_busy_machine_decides_nothing() -> None:
    low = {"id": "low", "probe": "lag", "at_most": 5}
    run = Run({"stays": [low]}).gate().fault().readings("lag", lag((14.0, 14.5)))
    assert copy.deepcopy(run).end().clause("low").value == "fail"
    assert run.machine((13.9, 14.6, CROWDED)).end().clause("low").value == "unknown"


# Time that the machine took


@pytest.mark.parametrize(("lost_s", "value"), [(0.0, "fail"), (1.0, "fail"), (3.5, "unknown")])
def test_a_late_detection_is_the_machine_s_if_it_took_the_time(lost_s: float, value: str) -> None:
    run = Run({"detected": [SEEN | {"within": "2s"}]}).gate().fault().alerts((SLOW, 10.0, 14.0))
    found = run.machine((5.2, 5.2 + lost_s, CROWDED)).end().clause("seen")
    assert found.value == value
    assert ("machine busy" in found.reason) is (value == "unknown")


@pytest.mark.parametrize(
    ("until_s", "value"), [(5.0, "fail"), (5.9, "fail"), (6.5, "unknown"), (18.0, "unknown"), (25.0, "unknown")]
)
def test_an_alert_that_never_fires_had_enough_of_the_machine_or_not(until_s: float, value: str) -> None:
    # The fault is in from 5 to 12 s: what was calm after that is no time in which the alert could fire.
    run = Run({"detected": [SEEN]}).gate().fault().alerts().machine((0.0, until_s, CROWDED)).end()
    found = run.clause("seen")
    assert (found.value, found.cause) == (value, "machine" if value == "unknown" else None)
    assert ("machine busy" in found.reason) is (value == "unknown")


@pytest.mark.parametrize(("within", "value"), [("4s", "fail"), ("6s", "unknown")])
def test_an_alert_had_time_enough_while_the_fault_was_in_or_not(within: str, value: str) -> None:
    run = Run({"detected": [SEEN | {"within": within}]}).gate().fault().alerts()
    assert run.machine((5.0, 6.5, CROWDED)).end().clause("seen").value == value


def test_a_fault_that_was_in_for_less_than_the_deadline_on_a_busy_machine_leaves_it_open() -> None:
    for busy, value in (((5.0, 6.5), "unknown"), ((5.0, 5.5), "fail")):
        run = Run({"detected": [SEEN]}).gate().fault(reverted=9.0).alerts().machine((*busy, CROWDED)).end()
        assert run.clause("seen").value == value


@pytest.mark.parametrize(("lost_s", "value"), [(0.0, "fail"), (3.5, "unknown")])
def test_a_late_recovery_is_the_machine_s_if_it_took_the_time(lost_s: float, value: str) -> None:
    run = Run({"recovered": [BACK | {"within": "2s"}]}).gate().fault().readings("lag", lag((6.0, 17.0)))
    assert run.machine((12.5, 12.5 + lost_s, CROWDED)).end().clause("back").value == value


def test_a_recovery_that_never_comes_is_the_stack_s_once_there_was_time_for_it() -> None:
    run = Run({"recovered": [BACK]}).gate().fault().readings("lag", lag((6.0, 30.0)))
    assert copy.deepcopy(run).machine((12.5, 15.0, CROWDED)).end().clause("back").value == "fail"
    assert run.machine((12.5, 23.0, CROWDED)).end().clause("back").value == "unknown"


@pytest.mark.parametrize(("lost_s", "value"), [(0.0, "fail"), (11.5, "unknown")])
def test_a_late_clearing_is_the_machine_s_if_it_took_the_time(lost_s: float, value: str) -> None:
    for until_s in (22.0, 40.0):
        run = Run({"cleared": [CLEAR | {"within": "2s"}]}).gate().fault().alerts((SLOW, 7.0, until_s))
        assert run.machine((12.5, 12.5 + lost_s, CROWDED)).end().clause("clear").value == value


# What the machine may have set off


def test_an_alert_that_nobody_expects_may_be_about_the_machine() -> None:
    run = Run({"quiet": "others"}).gate().fault().alerts(("Other", 15.0, 16.0))
    assert copy.deepcopy(run).machine((1.0, 2.0, CROWDED)).end().clause("quiet").value == "fail"
    assert copy.deepcopy(run).machine((12.0, 12.2, CROWDED)).end().clause("quiet").value == "fail", "too short"
    assert run.machine((12.0, 13.0, CROWDED)).end().clause("quiet").value == "unknown"


def test_an_expected_alert_that_only_a_busy_machine_explains_detects_nothing() -> None:
    run = Run({"detected": [SEEN]}).gate().fault().alerts((SLOW, 8.0, 14.0))
    assert copy.deepcopy(run).machine(THROUGHOUT).end().clause("seen").value == "pass", "it was as busy before"
    assert copy.deepcopy(run).machine((6.0, 6.4, CROWDED)).end().clause("seen").value == "pass", "hardly busy"
    found = run.machine((5.5, 9.0, CROWDED)).end().clause("seen")
    assert found.value == "unknown"
    assert "machine busy" in found.reason


def test_a_death_on_a_machine_without_memory_is_not_the_stack_s() -> None:
    starved = {"memory_pressure": 0.6, "memory_free": 0.01}
    run = good_run().dies("server", 16.0, signal=9)
    assert copy.deepcopy(run).machine().clause("collateral").value == "fail"
    assert run.machine((14.0, 16.0, starved)).clause("collateral").value == "unknown"


def test_a_crash_is_the_stack_s_own_however_busy_the_machine() -> None:
    run = good_run().dies("server", 16.0, signal=11).machine((6.0, 16.0, CROWDED))
    assert run.clause("collateral").value == "fail"
    both = good_run().dies("server", 8.0, signal=9).dies("worker", 21.0, signal=9).machine((6.0, 8.0, CROWDED))
    found = both.clause("collateral")
    assert found.value == "fail"
    assert "worker died at 21.00 s" in found.reason


def test_flaps_and_restarts_on_a_busy_machine_are_not_counted_for_sure() -> None:
    run = Run({"flaps_at_most": [{"id": "f", "alert": SLOW, "at_most": 1}]}).gate().fault()
    run.alerts((SLOW, 7.0, 8.0), (SLOW, 16.0, 17.0))
    assert copy.deepcopy(run).machine().end().clause("f").value == "fail"
    assert run.machine((14.0, 15.0, CROWDED)).end().clause("f").value == "unknown"


# What is said


def test_the_machine_is_named_first_where_the_harness_was_late_on_it() -> None:
    run = Run(ALL).gate().fault().alerts((SLOW, 7.0, 14.0)).answers(late_s=0.3).readings("lag", BROKEN)
    verdict = run.machine(THROUGHOUT).end().judged()
    assert verdict.value == "unknown"
    assert verdict.reasons[0].startswith("machine busy (others took 1.3 of 2 processors at 0.1–25.5 s): harness late")


def test_a_steady_state_that_a_busy_machine_never_met_names_it() -> None:
    run = Run(ALL).gate(10.0, met=False, why="availability is 80 %")
    verdict = copy.deepcopy(run).machine((6.0, 9.0, CROWDED), to_s=10.0).end(None, closed="gate").judged()
    assert verdict.value == "unknown"
    [gate] = verdict.clauses
    assert (gate.id, gate.cause) == ("gate", "machine")
    assert gate.reason.endswith("80 %; machine busy (others took 1.3 of 2 processors at 6.0–9.0 s)")
    assert verdict.machine_busy
    later = copy.deepcopy(run).machine((10.5, 20.0, CROWDED)).end(None, closed="gate").judged()
    assert (later.clauses[0].cause, later.machine_busy) == ("other", False), "the gate was judged before"


@pytest.mark.parametrize(("busy_s", "cause"), [((0.1, 2.2), "machine"), ((0.1, 2.0), "other"), ((8.1, 12.0), "other")])
def test_from_the_start_of_a_run_to_its_gate_the_machine_must_have_been_busy_for_two_seconds(
    busy_s: tuple[float, float], cause: str
) -> None:
    run = Run(ALL).gate(10.0, met=False, why="availability is 80 %").machine((*busy_s, CROWDED))
    [gate] = run.end(None, closed="gate").judged().clauses
    assert gate.cause == cause


def test_what_the_gate_itself_said_of_the_machine_is_not_said_twice() -> None:
    run = Run(ALL).gate(10.0, met=False, why="availability is 80 %; machine busy (others)")
    said = copy.deepcopy(run).machine((6.0, 9.0, CROWDED), to_s=10.0).end(None, closed="gate").judged()
    assert said.reasons == ("the steady state was not met: availability is 80 %; machine busy (others)",)
    assert said.machine_busy
    assert not run.machine(to_s=10.0).end(None, closed="gate").judged().machine_busy, "what was seen of it decides"


def test_a_fault_that_nothing_met_is_not_the_machine_s() -> None:
    never = "no traffic of 'front' met it"
    run = Run({"detected": [SEEN], "stays": [QUICK]}).gate().fault(confirmed=None)
    run.add(8.05, "fault", fault="slow", stage="effect", lo_s=8.0, hi_s=8.05, landed=False, evidence={"why": never})
    verdict = run.machine(THROUGHOUT).end().judged()
    assert verdict.value == "unknown"
    assert any(never in reason for reason in verdict.reasons)
    assert not verdict.machine_busy, "a repetition would meet the same fault"


def test_a_run_that_was_cut_off_is_not_the_machine_s() -> None:
    verdict = good_run().machine(THROUGHOUT).end(None, closed="interrupted").judged()
    assert verdict.value == "unknown"
    assert not verdict.machine_busy


def test_an_unknown_for_another_reason_on_a_machine_at_rest_is_not_the_machine_s() -> None:
    run = Run(ALL).gate(met=False, why="availability is 80 %").machine().end(None, closed="gate")
    assert not run.judged().machine_busy


@many
@given(runs(), st.lists(stretches, max_size=3))
@pytest.mark.slow
def test_a_busy_machine_never_fails_and_never_passes_a_stack(run: Run, busy: list[tuple[float, float]]) -> None:
    before = by_id(run.judged())
    after = by_id(copy.deepcopy(run).machine(*((*stretch, CROWDED) for stretch in busy)).judged())
    for name, clause in after.items():
        assert (clause.cause == "machine") is (clause.value == "unknown" and "machine busy" in clause.reason)
        if name in before:
            worse_and_better = {before[name].value, clause.value}
            assert worse_and_better != {Value.PASS, Value.FAIL}, (before[name].reason, clause.reason)
            assert clause.value is not Value.FAIL or before[name].value is Value.FAIL, clause.reason
            assert clause.value is not Value.PASS or before[name].value is Value.PASS, clause.reason


# A run that was stopped itself


@pytest.mark.parametrize("machine", [{}, CROWDED], ids=["at rest", "busy"])
def test_a_run_that_was_stopped_says_so_and_its_verdict_stays(machine: Mapping[str, Any]) -> None:
    def run(**how: Any) -> Run:
        made = watched({"stays": [QUICK]}).answers(*slow(14.5, 17.0))
        return made.add(17.3, "machine", from_s=14.3, to_s=17.3, **at_rest | machine | how).end()

    at_rest = {"processors": 2.0, "busy": 0.9, "own": 0.8, "steal": 0.0, "cpu_pressure": 0.02, "memory_free": 0.5}
    unheard, heard = run(late_s=2.9), run(late_s=2.9, continued=True)
    assert heard.judged().value == unheard.judged().value == "unknown"
    assert heard.judged().machine_busy == unheard.judged().machine_busy
    assert [c.value for c in heard.judged().clauses] == [c.value for c in unheard.judged().clauses]
    assert "the run was suspended for 2.9 s, at 14.4–17.3 s" in heard.clause("quick").reason
    assert "suspended" not in unheard.clause("quick").reason


def test_a_late_harness_that_was_stopped_says_so_first() -> None:
    late = [(t / 50, t / 50 + 0.01, {"sent_s": t / 50 + 1.0, "done_s": t / 50 + 1.1}) for t in range(500, 600)]
    run = watched({"stays": [QUICK]}).answers(*late)
    run.add(13.0, "machine", from_s=10.0, to_s=13.0, processors=2.0, late_s=2.9, continued=True)
    verdict = run.end().judged()
    assert verdict.value == "unknown"
    assert verdict.reasons[0].startswith("the run was suspended for 2.9 s, at 10.1–13.0 s: harness late")
    assert not verdict.machine_busy


def test_a_process_that_is_continued_and_never_was_stopped_was_not_suspended() -> None:
    run = watched({"stays": [QUICK]}).answers(*slow(14.2, 15.1))
    run.machine((14.2, 15.1, CROWDED | {"continued": True, "late_s": 0.05})).end()
    assert "machine busy" in run.clause("quick").reason
