"""How much of the machine must be lacking, and for how long, on either side of each bound."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from journals import ALL, BACK, BROKEN, CROWDED, SEEN, SLOW, Run, lag
from test_alert_boundaries import alerting
from test_boundaries import LOW


@pytest.mark.parametrize(
    ("machine", "value"),
    [
        ({"busy": 2.0, "own": 1.55, "cpu_pressure": 0.5}, "unknown"),  # others took 22.5 % of the processors
        ({"busy": 2.0, "own": 1.65, "cpu_pressure": 0.5}, "fail"),
        ({"processors": 5.0, "busy": 5.0, "own": 4.0, "cpu_pressure": 0.5}, "unknown"),
        ({"busy": 1.85, "own": 0.9, "cpu_pressure": 0.5}, "unknown"),
        ({"busy": 1.8, "own": 0.9, "cpu_pressure": 0.5}, "unknown"),
        ({"busy": 1.75, "own": 0.9, "cpu_pressure": 0.5}, "fail"),
        ({"busy": 1.75, "own": 0.9, "cpu_pressure": 0.5, "steal": 0.1}, "unknown"),
        ({"steal": 0.31}, "unknown"),
        ({"steal": 0.29}, "fail"),
        ({"throttled": 0.05}, "unknown"),
        ({"throttled": 0.04}, "fail"),
        ({"busy": 2.0, "own": 0.7, "cpu_pressure": 0.1}, "unknown"),
        ({"busy": 2.0, "own": 0.7, "cpu_pressure": 0.09}, "fail"),
        ({"memory_pressure": 0.1, "memory_free": 0.04}, "unknown"),
        ({"memory_pressure": 0.09, "memory_free": 0.04}, "fail"),
        ({"memory_pressure": 0.1, "memory_free": 0.05}, "fail"),
    ],
)
def test_how_much_of_the_machine_must_be_lacking(machine: dict[str, Any], value: str) -> None:
    run = Run({"stays": [LOW]}).gate().fault().readings("lag", lag((14.0, 14.5))).machine((13.9, 14.6, machine))
    assert run.end().clause("low").value == value


@pytest.mark.parametrize(("bad_s", "value"), [(18.0, "unknown"), (19.5, "unknown"), (20.5, "fail")])
def test_what_piled_up_is_worked_off_in_five_seconds_at_most(bad_s: float, value: str) -> None:
    late = [(bad_s, bad_s + 0.4, {"done_s": bad_s + 1.2})]
    quick = {"id": "quick", "probe": "latency_p99", "at_most": "250ms", "over": "2s"}
    run = Run({"stays": [quick]}).gate().fault().answers(*late).machine((7.0, 15.0, CROWDED)).end()
    assert run.clause("quick").value == value


@pytest.mark.parametrize(("from_s", "value"), [(4.6, "fail"), (4.8, "unknown"), (13.5, "unknown")])
def test_rules_look_back_over_ten_seconds(from_s: float, value: str) -> None:
    run = alerting({"quiet": "others"}, ("Other", 15.0, 16.0)).machine((from_s, from_s + 1.2, CROWDED))
    assert run.clause("quiet").value == value


@pytest.mark.parametrize(("from_s", "value"), [(3.2, "fail"), (5.0, "unknown")])
def test_they_look_back_no_further_where_a_firing_was_not_seen_for_long(from_s: float, value: str) -> None:
    run = alerting({"quiet": "others"}, ("Other", 8.0, 26.0), down=[(7.0, 24.5)])
    assert run.machine((from_s, from_s + 1.2, CROWDED)).clause("quiet").value == value


def test_what_others_did_before_the_fault_is_compared_by_its_share_of_the_time() -> None:
    # Busy for 1.6 of the 4 s before the injection, and throughout the 9 s until it recovered.
    run = Run({"recovered": [BACK]}).gate().fault().readings("lag", BROKEN).end()
    less, as_much = (
        copy.deepcopy(run).machine((1.0, 2.6, CROWDED), (5.0, 30.0, CROWDED)),
        run.machine((1.0, 30.0, CROWDED)),
    )
    assert less.clause("back").value == "unknown"
    assert as_much.clause("back").value == "pass"


@pytest.mark.parametrize(("gap_s", "value"), [(0.1, "unknown"), (0.2, "fail")])
def test_stretches_with_a_tenth_of_a_second_between_them_are_one(gap_s: float, value: str) -> None:
    # Busy for a tenth of a second again and again, until 14.9 or 15.0 s; together that is worked off for longer.
    busy = [
        (at, at + 0.1, CROWDED) for at in (round(14.0 + k * (0.1 + gap_s), 6) for k in range(round(1 / (0.1 + gap_s))))
    ]
    quick = {"id": "quick", "probe": "latency_p99", "at_most": "250ms", "over": "2s"}
    late = (15.3, 15.6, {"done_s": 16.2})
    assert Run({"stays": [quick]}).gate().fault().answers(late).machine(*busy).end().clause("quick").value == value


@pytest.mark.parametrize(
    ("fired_s", "busy_s", "value"),
    [(10.0, 1.2, "pass"), (10.0, 1.8, "unknown"), (7.0, 0.85, "pass"), (7.0, 1.2, "unknown")],
)
def test_a_machine_that_was_busy_for_a_second_and_a_third_of_the_time_may_have_set_an_alert_off(
    fired_s: float, busy_s: float, value: str
) -> None:
    run = alerting({"detected": [SEEN]}, (SLOW, fired_s, 14.0)).machine((5.2, 5.2 + busy_s, CROWDED))
    assert run.clause("seen").value == value


def test_a_single_request_that_was_sent_late_is_no_late_harness() -> None:
    late = (9.0, 9.01, {"sent_s": 9.3, "done_s": 9.32})
    run = Run({"stays": [ALL["stays"][0] | {"at_least": 0.9}]}).gate().fault().answers(late).end()
    assert run.judged().value == "pass"


def test_what_recovers_by_its_answers_on_a_machine_that_was_as_busy_before_has_recovered() -> None:
    back = {"id": "back", "probe": "availability", "at_least": 0.99, "over": "2s", "within": "6s"}
    run = Run({"recovered": [back]}).gate().fault().answers((6.0, 12.0, {"ok": False})).machine((0.0, 30.0, CROWDED))
    assert run.end().clause("back").value == "pass"
