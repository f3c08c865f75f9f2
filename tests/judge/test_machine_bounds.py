"""How much of the machine must be lacking, and for how long, on either side of each bound."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from journals import ALL, BACK, BROKEN, CROWDED, SEEN, SLOW, STAYS, Run, lag, times
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
    late = [(bad_s, bad_s + 0.4, {"done_s": bad_s + 0.7})]
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
    late = (15.3, 15.6, {"done_s": 15.9})
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


# What a busy machine does not excuse


def hanging(from_s: float, open_s: float, *, to_s: float = 25.5) -> Run:
    """Return a run whose requests hang from a moment on until their time-out."""
    run = Run({"stays": [STAYS]}).gate().fault()
    for k, t in enumerate(times(0.5, to_s, 0.02)):
        bad = t >= from_s
        done_s = t + (open_s if bad else 0.02)
        run.add(done_s, "answer", id=f"r{k}", at_event=k, due_s=t, sent_s=t, done_s=done_s, ok=not bad)
    return run


@pytest.mark.parametrize(("open_s", "every_s"), [(5.0, 4.5), (1.0, 0.9)])
def test_a_tenth_of_a_second_now_and_then_excuses_no_outage(open_s: float, every_s: float) -> None:
    blips = [(round(7 + every_s * k, 1), round(7.1 + every_s * k, 1), CROWDED) for k in range(int(18 / every_s))]
    run = hanging(5.2, open_s).machine(*blips).end()
    assert run.clause("up").value == "fail"
    assert hanging(5.2, open_s).machine((5.0, 30.0, CROWDED), to_s=31).end().clause("up").value == "unknown"


@pytest.mark.parametrize("probe", ["latency_p99", "latency_p50"])
def test_requests_that_fail_at_once_are_no_quick_answers_on_a_busy_machine(probe: str) -> None:
    quick = {"id": "quick", "probe": probe, "at_most": "250ms", "over": "2s"}
    run = Run({"stays": [quick]}).gate().fault().answers((5.5, 99, {"ok": False})).machine((5, 99, CROWDED)).end()
    found = run.clause("quick")
    assert (found.value, found.cause) == ("unknown", "machine")


@pytest.mark.parametrize(("took_s", "value"), [(0.28, "unknown"), (0.6, "fail")])
def test_an_answer_that_is_slow_without_what_the_machine_took_is_slow(took_s: float, value: str) -> None:
    slow = [(6.0 + k / 50, 6.0 + (k + 1) / 50, {"done_s": 6.0 + k / 50 + took_s, "slow": True}) for k in range(200)]
    blips = [(round(6 + 0.4 * k, 1), round(6.1 + 0.4 * k, 1), CROWDED) for k in range(12)]
    bound = {"id": "quick", "over": "2s"}
    for one in ({"probe": "slow_answers", "at_most": 0.1}, {"probe": "latency_p99", "at_most": "250ms"}):
        run = Run({"stays": [bound | one]}).gate().fault().answers(*slow).machine(*blips).end()
        assert run.clause("quick").value == value, run.clause("quick").reason


def test_only_the_time_in_which_the_machine_was_busy_is_taken_off_a_deadline() -> None:
    flicker = [(round(5 + 0.2 * k, 1), round(5.1 + 0.2 * k, 1), CROWDED) for k in range(40)]
    late = {"id": "seen", "alert": "Slow", "within": "2s"}
    run = Run({"detected": [late]}).gate().fault().alerts(("Slow", 13.0, 14.0)).machine(*flicker).end()
    assert run.clause("seen").value == "fail", "it was busy for four of the eight seconds"
