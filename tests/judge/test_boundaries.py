"""Where a verdict turns: each bound of the judge with what lies on either side of it, and just on it."""

from __future__ import annotations

from typing import Any

import pytest
from journals import ALL, BACK, BROKEN, CROWDED, SEEN, SLOW, Run, good_run, lag

from harness.judge.moments import Span, span_text
from harness.model.readings import Reading
from harness.model.verdict import ClauseResult

pytestmark = pytest.mark.slow

LOW = {"id": "low", "probe": "lag", "at_most": 5}


def low(every_s: float = 0.1, *, probe_every_s: dict[str, float] | None = None, **how: Any) -> ClauseResult:
    fault = how.pop("fault", {})
    run = Run({"stays": [LOW]}).gate().fault(**fault).readings("lag", how.pop("curve", 1.0), every_s=every_s, **how)
    run.plan["stack"]["probe_every_s"] = probe_every_s or {}
    return run.end().clause("low")


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


def read_last(run: Run, probe: str = "lag", by_s: float = 25.0) -> int:
    """Return the line of the last reading of a probe that was answered by then."""
    bodies = ((line.n, line.body) for line in run.build().lines)
    return max(n for n, body in bodies if isinstance(body, Reading) and body.probe == probe and body.answered_s <= by_s)


def test_a_probe_that_was_not_read_while_the_fault_was_in_cites_what_was_read_last() -> None:
    run = Run({"stays": [LOW]}).gate().fault(injected=5.02, confirmed=5.04, reverted=5.06)
    run.plan["stack"]["probe_every_s"] = {"lag": 0.6}
    found = run.readings("lag", 1.0, every_s=0.6, from_s=0.4).end().clause("low")
    assert "not read between injection and revert" in found.reason
    assert found.cites == (read_last(run),)


def test_what_never_broke_cites_its_fault_and_what_was_read_last() -> None:
    run = Run({"recovered": [BACK]}).gate().fault().readings("lag", 1.0).end()
    fault, *read = run.clause("back").cites
    assert run.build().lines[fault - 1].body.kind == "fault"
    assert read == [read_last(run)]


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
    assert run.clause("back").cites == (read_last(run),)


@pytest.mark.parametrize(("gap", "value"), [((24.9, 26.0), "unknown"), ((25.1, 26.0), "pass"), ((0.2, 0.9), "pass")])
def test_a_gap_counts_where_it_touches_what_is_judged(gap: tuple[float, float], value: str) -> None:
    run = Run({"stays": [LOW]}).gate().fault().readings("lag", 1.0).gap("lag", *gap).end()
    assert run.clause("low").value == value


@pytest.mark.parametrize(("over", "value"), [("2s", "pass"), ("1.98s", "unknown")])
def test_a_share_needs_a_hundred_answers(over: str, value: str) -> None:
    bound = {"id": "up", "probe": "availability", "at_least": 0.9, "over": over}
    found = Run({"stays": [bound]}).gate().fault().answers().end().clause("up")
    assert found.value == value, found.reason


# The fault


@pytest.mark.parametrize(("confirmed_s", "value"), [(5.0, "pass"), (4.99, "unknown")])
def test_a_fault_is_confirmed_from_its_injection_on(confirmed_s: float, value: str) -> None:
    run = Run({"detected": [SEEN]}).gate().fault(confirmed=confirmed_s).alerts((SLOW, 7.0, 14.0)).end()
    assert run.clause("seen").value == value


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


@pytest.mark.parametrize(
    ("twin", "at_s", "value"),
    [
        (None, 5.0, "unknown"),
        (None, 5.001, "fail"),
        (None, 25.0, "fail"),
        (None, 25.001, "pass"),
        ("control", 0.99, "pass"),
        ("control", 1.0, "fail"),
    ],
)
def test_a_death_counts_from_the_injection_or_in_a_control_from_the_gate_to_the_end_of_observation(
    twin: str | None, at_s: float, value: str
) -> None:
    run = Run(twin=twin).gate()
    run = run if twin == "control" else run.fault()
    assert run.dies("server", at_s).end().clause("collateral").value == value


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
