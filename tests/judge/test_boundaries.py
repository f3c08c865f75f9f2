"""Where a verdict turns: each bound of the judge with what lies on either side of it, and just on it."""

from __future__ import annotations

from typing import Any

import pytest
from journals import ALL, BACK, BROKEN, CLEAR, CROWDED, SEEN, SLOW, Firing, Run, good_run, lag

from harness.judge.moments import Span, span_text
from harness.model.verdict import ClauseResult

pytestmark = pytest.mark.slow

LOW = {"id": "low", "probe": "lag", "at_most": 5}


def low(every_s: float = 0.1, *, probe_every_s: dict[str, float] | None = None, **how: Any) -> ClauseResult:
    fault = how.pop("fault", {})
    run = Run({"stays": [LOW]}).gate().fault(**fault).readings("lag", how.pop("curve", 1.0), every_s=every_s, **how)
    run.plan["stack"]["probe_every_s"] = probe_every_s or {}
    return run.end().clause("low")


def alerting(expect: dict[str, Any], *firing: Firing, fault: dict[str, Any] | None = None, **polls: Any) -> Run:
    return Run(expect).gate().fault(**(fault or {})).alerts(*firing, **polls).end()


# What was read, and how often


@pytest.mark.parametrize(("every_s", "value"), [(0.9, "pass"), (1.2, "unknown")])
def test_a_probe_that_names_no_interval_may_go_unread_for_a_second(every_s: float, value: str) -> None:
    assert low(every_s).value == value


@pytest.mark.parametrize(("every_s", "declared_s", "value"), [(2.4, 2.0, "pass"), (2.6, 2.0, "unknown")])
def test_one_that_names_its_interval_may_go_unread_for_half_a_second_more(
    every_s: float, declared_s: float, value: str
) -> None:
    assert low(every_s, probe_every_s={"lag": declared_s}, to_s=28.0).value == value


@pytest.mark.parametrize(("every_s", "value"), [(0.5, "pass"), (0.6, "unknown")])
def test_only_a_probe_with_a_long_interval_must_be_read_while_the_fault_is_in(every_s: float, value: str) -> None:
    # The fault lies between two readings, which come 0.5 or 0.6 s apart.
    between = {"injected": 5.02, "confirmed": 5.04, "reverted": 5.06}
    assert low(every_s, probe_every_s={"lag": every_s}, from_s=0.4, fault=between).value == value


def test_a_reading_that_was_answered_as_the_injection_began_counts_for_the_fault() -> None:
    fault = {"injected": 5.01, "confirmed": 5.31}
    assert low(curve=lag((5.0, 5.05)), fault=fault).value == "fail"
    assert low(curve=lag((4.9, 4.95)), fault=fault).value == "unknown", "broken before it"


@pytest.mark.parametrize(("less_s", "value"), [(0.0, "pass"), (0.001, "unknown")])
def test_what_recovered_must_hold_to_the_last_moment_of_its_time(less_s: float, value: str) -> None:
    run = Run({"recovered": [BACK]}).gate().fault().readings("lag", lag((6.0, 14.0)))
    found = run.end(observed=14.01 + 3.0 - less_s).clause("back")
    assert found.value == value, found.reason


def test_a_gap_before_the_injection_hides_a_breach_that_the_fault_did_not_make() -> None:
    run = Run({"recovered": [BACK]}).gate().fault().readings("lag", BROKEN, skip=[(2.0, 4.0)]).end()
    found = run.clause("back")
    assert found.value == "unknown"
    assert "may have been broken before injection: no attempt to read the probe" in found.reason


def test_what_hid_the_hold_is_named() -> None:
    run = Run({"recovered": [BACK]}).gate().fault().readings("lag", lag((6.0, 14.0)), skip=[(14.5, 16.0)]).end()
    assert run.clause("back").reason.endswith("but not observed to hold: no attempt to read the probe")


def test_a_control_cites_four_breaches_at_most() -> None:
    run = Run({"recovered": [BACK]}, twin="control").gate().alerts().readings("lag", lag((6.0, 9.0))).end()
    assert len(run.clause("back").cites) == 4


def test_a_bad_reading_in_a_window_with_too_few_decides_nothing() -> None:
    for needed, value in ((30, "fail"), (32, "unknown")):
        run = Run({"stays": [LOW | {"min_samples": needed}]}).gate().fault().readings("lag", lag((8.0, 9.0)))
        assert run.end().clause("low").value == value


def test_the_worst_value_is_of_the_time_since_the_injection() -> None:
    assert low(curve=lambda t_s: 4.0 if t_s < 4.0 else 2.0).measured.worst == 2.0


def test_a_control_that_was_not_broken_cites_the_last_of_what_was_read() -> None:
    run = Run({"recovered": [BACK]}, twin="control").gate().alerts().readings("lag", 1.0).end()
    [cited] = run.clause("back").cites
    assert cited == [line.n for line in run.build().lines if line.body.kind == "reading" and line.body.asked_s < 25][-1]


@pytest.mark.parametrize(("gap", "value"), [((24.9, 26.0), "unknown"), ((25.1, 26.0), "pass"), ((0.2, 0.9), "pass")])
def test_a_gap_counts_where_it_touches_what_is_judged(gap: tuple[float, float], value: str) -> None:
    run = Run({"stays": [LOW]}).gate().fault().readings("lag", 1.0).gap("lag", *gap).end()
    assert run.clause("low").value == value


@pytest.mark.parametrize(("over", "value"), [("2s", "pass"), ("1.98s", "unknown")])
def test_a_share_needs_a_hundred_answers(over: str, value: str) -> None:
    bound = {"id": "up", "probe": "availability", "at_least": 0.9, "over": over}
    found = Run({"stays": [bound]}).gate().fault().answers().end().clause("up")
    assert found.value == value, found.reason


# Alerts around the injection, the gate and the end of observation


@pytest.mark.parametrize(("last_s", "value"), [(4.51, "pass"), (4.4, "unknown")])
def test_a_poll_right_before_the_injection_is_at_most_half_a_second_old(last_s: float, value: str) -> None:
    run = alerting({"detected": [SEEN]}, (SLOW, 7.0, 14.0), skip=[(last_s + 0.01, 4.999)], from_s=last_s % 0.1 + 0.5)
    assert run.clause("seen").value == value


def test_a_poll_that_was_answered_as_the_injection_began_lies_before_it() -> None:
    run = alerting(
        {"detected": [SEEN]}, (SLOW, 7.0, 14.0), fault={"injected": 5.01, "confirmed": 5.31}, skip=[(4.4, 4.99)]
    )
    assert run.clause("seen").value == "pass"


@pytest.mark.parametrize(("stamp_s", "value"), [(4.55, "pass"), (4.45, "unknown")])
def test_the_stack_s_own_clock_may_be_off_by_half_a_second(stamp_s: float, value: str) -> None:
    run = alerting({"detected": [SEEN]}, (SLOW, 7.0, 14.0))
    for _, body in run.lines:
        for alert in body.get("firing", ()):
            alert["started_s"] = stamp_s
    assert run.clause("seen").value == value


def test_what_fired_only_before_the_injection_detects_nothing() -> None:
    found = alerting({"detected": [SEEN]}, (SLOW, 2.0, 3.0)).clause("seen")
    assert found.value == "fail"
    assert "did not fire within" in found.reason


def test_what_fires_only_after_observation_never_fired() -> None:
    found = alerting({"detected": [SEEN]}, (SLOW, 25.2, 25.4)).clause("seen")
    assert found.value == "fail"
    assert "did not fire within" in found.reason
    assert alerting({"cleared": [CLEAR]}, (SLOW, 7.0, 14.0), (SLOW, 25.2, 30.0)).clause("clear").value == "pass"


@pytest.mark.parametrize(("start_s", "value"), [(25.05, "pass"), (25.15, "unknown")])
def test_an_alert_that_was_seen_absent_until_observation_ended_may_still_be_in_time(start_s: float, value: str) -> None:
    run = alerting({"detected": [SEEN | {"within": "30s"}]}, (SLOW, start_s, 26.0))
    assert run.clause("seen").value == value


def test_what_was_pending_at_the_injection_and_fires_after_its_deadline_is_too_late() -> None:
    run = alerting({"detected": [SEEN]}, (SLOW, 12.0, 14.0), pending=[(SLOW, 4.0, 12.0)])
    assert run.clause("seen").value == "fail"


def test_a_firing_that_was_over_as_the_injection_began_is_no_part_of_what_clears() -> None:
    run = alerting(
        {"cleared": [CLEAR]},
        (SLOW, 2.0, 5.0),
        fault={"injected": 5.01, "confirmed": 5.31},
        counted=[(SLOW, 2.0), (SLOW, 7.05)],
    )
    found = run.clause("clear")
    assert found.value == "pass"
    lines = {line.n: line.body for line in run.build().lines}
    assert [lines[n].asked_s for n in found.cites] == [7.0, 7.1]


def test_another_alert_that_goes_on_does_not_keep_one_from_clearing_that_was_only_counted() -> None:
    run = alerting({"cleared": [CLEAR]}, ("Stale", 6.0, 30.0), counted=[(SLOW, 7.05), ("Stale", 6.0)])
    assert run.clause("clear").value == "pass"


def test_what_may_have_fired_before_the_fault_and_is_over_in_time_clears_beside_what_did_not() -> None:
    run = alerting({"cleared": [CLEAR]}, ("Slow{r=1}", 2.0, 9.0), ("Slow{r=2}", 7.0, 9.0), skip=[(1.5, 5.0)]).gap(
        "monitor", 1.5, 5.0
    )
    assert run.clause("clear").value == "pass"


def test_one_alert_is_not_said_to_be_more() -> None:
    assert alerting({"quiet": "others"}, ("Stale", 7.0, 8.0)).clause("quiet").reason == (
        "Stale{} fired at 7.01 s, and no clause expects it"
    )


def test_two_alerts_are_one_and_one_more() -> None:
    found = alerting({"quiet": "others"}, ("Stale", 7.0, 8.0), ("Stale", 9.0, 10.0)).clause("quiet")
    assert found.reason == "Stale{} fired at 7.01 s, and no clause expects it (and 1 more)"


def test_of_several_alerts_the_one_that_the_machine_does_not_explain_counts() -> None:
    run = alerting({"quiet": "others"}, ("Stale", 8.0, 9.0), ("Other", 20.0, 21.0)).machine((6.0, 7.5, CROWDED))
    found = run.clause("quiet")
    assert found.value == "fail"
    assert found.reason.startswith("Other{} fired at 20.01 s")


def test_a_gap_that_was_over_at_the_gate_hides_nothing() -> None:
    assert alerting({"quiet": "others"}).gap("monitor", 0.5, 1.0).clause("quiet").value == "pass"
    assert alerting({"quiet": "others"}).gap("monitor", 0.5, 1.01).clause("quiet").value == "unknown"


# Evaluations


@pytest.mark.parametrize(("every_s", "value"), [(9.0, "pass"), (7.0, "unknown")])
def test_a_source_may_be_restarted_twice(every_s: float, value: str) -> None:
    run = alerting({"quiet": "others"}, beats=lambda t_s: float(int(t_s % every_s * 5)))
    assert run.clause("quiet").value == value


@pytest.mark.parametrize(("still_s", "value"), [(2.5, "pass"), (3.5, "unknown")])
def test_only_the_first_count_and_what_is_above_it_are_evaluations(still_s: float, value: str) -> None:
    run = alerting(
        {"quiet": "others"},
        every_s=0.9,
        from_s=1.0,
        to_s=27.0,
        beats=lambda t_s: 3.0 if t_s < still_s else float(int(t_s * 5)),
    )
    assert run.clause("quiet").value == value


def test_a_source_that_tells_by_itself_proves_nothing_for_another() -> None:
    run = alerting({"cleared": [CLEAR]}, (SLOW, 7.0, 14.0), beats=lambda _: 3.0)
    run.alerts((SLOW, 7.0, 14.0), source="webhook", beats=lambda _: None)
    for _, body in run.lines:
        if body.get("source") == "webhook":
            body["delivered"] = True
    assert run.clause("clear").value == "unknown"


# The fault


@pytest.mark.parametrize(("confirmed_s", "value"), [(5.0, "pass"), (4.99, "unknown")])
def test_a_fault_is_confirmed_from_its_injection_on(confirmed_s: float, value: str) -> None:
    assert alerting({"detected": [SEEN]}, (SLOW, 7.0, 14.0), fault={"confirmed": confirmed_s}).clause("seen").value == (
        value
    )


@pytest.mark.parametrize(("at_s", "value"), [(11.9, "pass"), (12.0, "unknown"), (13.0, "unknown")])
def test_an_effect_from_the_moment_of_absence_on_is_none_of_a_fault_that_is_gone(at_s: float, value: str) -> None:
    run = good_run().add(at_s, "fault", fault="slow", stage="effect", lo_s=at_s, hi_s=at_s + 0.05, landed=True)
    assert run.clause("seen").value == value


def test_what_rests_on_an_unconfirmed_fault_is_one_reason() -> None:
    verdict = Run(ALL).gate().fault(confirmed=None).alerts().answers().readings("lag", 1.0).end().judged()
    assert verdict.reasons == ("slow: the fault was injected but never confirmed (6 clauses rest on it)",)


# Deaths and restarts


@pytest.mark.parametrize(("at_s", "most"), [(4.99, 0), (5.0, 1)])
def test_restarts_count_from_the_beginning_of_the_injection(at_s: float, most: int) -> None:
    run = Run({"churn_at_most": [{"id": "calm", "service": "trainer", "at_most": 0}]}).gate()
    run.fault(injected=(5.0, 5.2), confirmed=5.5)
    found = run.add(at_s, "process", service="trainer", what="restarted", at_s=at_s).end().clause("calm")
    assert found.value == ("unknown" if most else "pass"), found.reason


@pytest.mark.parametrize(("at_s", "value"), [(25.0, "fail"), (25.001, "pass")])
def test_a_death_counts_to_the_end_of_observation(at_s: float, value: str) -> None:
    assert good_run().dies("server", at_s).clause("collateral").value == value


@pytest.mark.parametrize(("at_s", "value"), [(0.9, "pass"), (1.0, "fail")])
def test_a_death_in_a_control_counts_from_the_gate_on(at_s: float, value: str) -> None:
    run = Run(ALL, twin="control").gate().alerts().answers().readings("lag", 1.0).dies("server", at_s).end()
    assert run.clause("collateral").value == value


# Names within names


@pytest.mark.parametrize(
    ("target", "alert", "value"),
    [("server", "server-2", "fail"), ("server-2", "server", "fail"), ("server", "server", "pass")],
)
def test_a_name_in_a_longer_name_is_not_meant(target: str, alert: str, value: str) -> None:
    run = Run({"detected": [{"id": "seen", "alert": "Down", "within": "6s"}]}, rules=["Down"])
    run.plan["stack"]["services"] = {"server": "a", "server-2": "b"}
    run.plan["scenario"]["timeline"][0]["target"] = {"service": target}
    found = run.gate().fault().alerts((f"Down{{instance={alert}:80}}", 7.0, 14.0)).end().clause("seen")
    assert found.value == value


# What is said


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (Span(1.0, 1.0), "1.00 s"),
        (Span(1.0, 1.0049), "1.00 s"),
        (Span(1.0, 1.006), "1.00–1.01 s"),
    ],
)
def test_an_interval_is_said_where_it_says_more(span: Span, text: str) -> None:
    assert span_text(span) == text


def test_a_run_that_ended_at_its_gate_says_so_once() -> None:
    verdict = Run(ALL).gate(met=False, why="availability is 80 %").end(None, closed="gate").judged()
    assert verdict.reasons == ("the steady state was not met: availability is 80 %",)


def test_a_harness_that_is_late_says_by_how_much() -> None:
    run = Run(ALL).gate().fault().alerts((SLOW, 7.0, 14.0)).answers(late_s=0.111).end()
    [reason] = run.judged().reasons
    assert reason == "harness late: its own lateness had a 99th percentile of 111 ms (at most 100 ms)"


def test_the_machine_may_be_one_of_several_reasons() -> None:
    slow = [(t / 50, t / 50 + 0.01, {"done_s": t / 50 + 0.6}) for t in range(710, 750)]
    quick = {"id": "quick", "probe": "latency_p99", "at_most": "250ms", "over": "2s"}
    run = Run({"stays": [quick, LOW]}).gate().fault().answers(*slow).machine((12.8, 15.1, CROWDED)).end()
    verdict = run.judged()
    assert verdict.value == "unknown"
    assert len(verdict.reasons) == 2
    assert verdict.machine_busy


@pytest.mark.parametrize(("busy_s", "named"), [((8.5, 9.8), False), ((8.5, 9.8, "twice"), True)])
def test_changes_of_a_pointer_name_the_machine_only_where_it_may_be_their_cause(
    busy_s: tuple[Any, ...], named: bool
) -> None:
    steady = {"id": "steady", "probe": "pointer", "at_most": 1}
    moves = (10.0, 11.0) if len(busy_s) > 2 else (10.0,)
    run = Run({"churn_at_most": [steady]}).gate().fault().machine((*busy_s[:2], CROWDED)).gap("pointer", 20.0, 20.2)
    found = run.readings("pointer", lambda t_s: float(sum(at <= t_s for at in moves))).end().clause("steady")
    assert found.value == "unknown"
    assert ("machine busy" in found.reason) is named
    assert found.reason.endswith("no value of it from 20.00 to 20.20 s")
