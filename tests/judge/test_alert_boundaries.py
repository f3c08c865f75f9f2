"""Where a verdict on alerts turns: each bound with what lies on either side of it, and just on it."""

from __future__ import annotations

from typing import Any

import pytest
from journals import CLEAR, CROWDED, SEEN, SLOW, Firing, Run

pytestmark = pytest.mark.slow

FLAPS = {"id": "flaps", "alert": SLOW, "at_most": 0}


def alerting(expect: dict[str, Any], *firing: Firing, fault: dict[str, Any] | None = None, **polls: Any) -> Run:
    return Run(expect).gate().fault(**(fault or {})).alerts(*firing, **polls).end()


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


def stamped(run: Run, stamp_s: float | None, *, told: bool) -> Run:
    """Let each alert have a start by the source's own clock; `told`: by notifications, which may come late."""
    for _, body in run.lines:
        if body["kind"] == "alerts":
            body["delivered"] = told
        for alert in body.get("firing", ()):
            alert["started_s"] = stamp_s
    return run


@pytest.mark.parametrize(("stamp_s", "value"), [(None, "pass"), (3.05, "pass"), (2.95, "unknown"), (-9e3, "unknown")])
def test_against_a_poll_speaks_only_a_start_that_was_certainly_earlier(stamp_s: float | None, value: str) -> None:
    run = stamped(alerting({"detected": [SEEN]}, (SLOW, 7.5, 14.0)), stamp_s, told=False)
    assert run.clause("seen").value == value


TOLD = [
    (None, "unknown"), (-9e3, "unknown"), (4.9, "unknown"), (6.95, "unknown"), (7.05, "pass"), (9.4, "pass"),
    (9.6, "unknown"), (300.0, "unknown"),  # the sender's clock is certainly wrong
]  # fmt: skip


@pytest.mark.parametrize(("stamp_s", "value"), TOLD)
def test_what_is_told_must_have_begun_after_the_fault_whatever_the_clocks(stamp_s: float | None, value: str) -> None:
    run = stamped(alerting({"detected": [SEEN]}, (SLOW, 7.5, 14.0)), stamp_s, told=True)
    found = run.clause("seen")
    assert found.value == value
    assert value == "pass" or "may have been firing before injection" in found.reason


@pytest.mark.parametrize(
    ("stamp_s", "value"), [(None, "unknown"), (2.95, "unknown"), (3.05, "fail"), (30.0, "unknown")]
)
def test_a_reminder_of_what_fires_for_long_breaks_no_silence(stamp_s: float | None, value: str) -> None:
    # The steady state was met at 1 s.
    run = stamped(alerting({"quiet": "others"}, ("Stale", 7.0, 8.0)), stamp_s, told=True)
    assert run.clause("quiet").value == value


@pytest.mark.parametrize(("stamp_s", "value"), [(None, "unknown"), (7.1, "fail")])
def test_a_reminder_of_what_fires_for_long_is_no_flap(stamp_s: float | None, value: str) -> None:
    run = stamped(alerting({"flaps_at_most": [FLAPS]}, (SLOW, 7.0, 8.0)), stamp_s, told=True)
    assert run.clause("flaps").value == value


def test_a_firing_that_a_webhook_only_counted_may_have_been_a_reminder() -> None:
    one = FLAPS | {"at_most": 1}
    run = stamped(
        alerting({"flaps_at_most": [one]}, (SLOW, 7.0, 30.0), counted=[(SLOW, 7.0), (SLOW, 9.05)]), 7.1, told=True
    )
    found = run.clause("flaps")
    assert (found.value, found.reason) == ("unknown", f"{SLOW} started firing 1 to 2 times (at most 1)")


@pytest.mark.parametrize(("read_s", "value"), [(22.1, "pass"), (21.8, "unknown")])
@pytest.mark.parametrize("clause", ["quiet", "flaps"])
def test_a_count_must_be_read_until_the_end(clause: str, read_s: float, value: str) -> None:
    run = alerting({"quiet": "others", "flaps_at_most": [FLAPS]}, counted=[])
    for _, body in run.lines:
        if body["kind"] == "alerts" and body["asked_s"] > read_s:
            body["fired"] = None
    found = run.clause(clause)
    assert found.value == value
    assert value == "pass" or "was last read at" in found.reason


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


@pytest.mark.parametrize(("start_s", "value"), [(11.05, "unknown"), (11.15, "fail")])
def test_what_was_pending_at_the_injection_and_may_fire_exactly_at_its_deadline_may_be_in_time(
    start_s: float, value: str
) -> None:
    # The poll at 11 s, which is the deadline, or the one after it is the last that shows it quiet.
    run = alerting({"detected": [SEEN]}, (SLOW, start_s, 14.0), pending=[(SLOW, 4.0, start_s)])
    assert run.clause("seen").value == value


@pytest.mark.parametrize(("injected_s", "value"), [(5.01, "fail"), (5.0, "unknown")])
def test_a_firing_that_was_counted_by_the_moment_of_the_injection_lies_before_it(injected_s: float, value: str) -> None:
    fault = {"injected": injected_s, "confirmed": injected_s + 0.3}
    assert alerting({"detected": [SEEN]}, fault=fault, counted=[(SLOW, 4.95)]).clause("seen").value == value


@pytest.mark.parametrize(("gate_s", "value"), [(1.01, "pass"), (1.0, "unknown")])
def test_an_alert_that_fired_by_the_moment_of_the_gate_is_no_flap(gate_s: float, value: str) -> None:
    run = Run({"flaps_at_most": [FLAPS]}).gate(gate_s).fault().alerts((SLOW, 0.95, 3.0)).end()
    assert run.clause("flaps").value == value


def test_starts_that_a_busy_machine_explains_leave_flaps_open_and_name_it() -> None:
    run = alerting({"flaps_at_most": [FLAPS]}, (SLOW, 16.0, 17.0)).machine((14.0, 15.0, CROWDED))
    found = run.clause("flaps")
    assert (found.value, found.cause) == ("unknown", "machine")
    assert "started firing 0 to 1 times (at most 0), but machine busy" in found.reason


def test_what_rests_on_a_fault_that_failed_is_not_the_machine_s() -> None:
    run = alerting({"flaps_at_most": [FLAPS]}, (SLOW, 16.0, 17.0), fault={"confirmed": None})
    found = run.machine((14.0, 15.0, CROWDED)).clause("flaps")
    assert (found.value, found.cause) == ("unknown", None)
    assert "machine" not in found.reason


def test_what_cleared_in_time_must_be_seen_quiet_from_then_on() -> None:
    # Too long without an answer, and not too long without an evaluation.
    found = alerting({"cleared": [CLEAR]}, (SLOW, 7.0, 14.0), down=[(18.0, 19.5)]).clause("clear")
    assert found.value == "unknown"
    assert found.reason.endswith("cleared, but no poll shows it quiet from 17.91 to 19.50 s")


def test_what_cleared_too_late_is_too_late_whatever_was_seen_of_it_later() -> None:
    found = alerting({"cleared": [CLEAR]}, (SLOW, 7.0, 19.0), down=[(22.0, 23.5)]).clause("clear")
    assert found.value == "fail"
    assert "cleared 6.90–7.01 s after revert" in found.reason


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


def test_a_gap_without_an_end_reaches_to_the_end_of_observation() -> None:
    found = alerting({"quiet": "others"}).gap("monitor", 20.0, 1e9).clause("quiet")
    assert (found.value, found.reason) == ("unknown", "quiet: no polls of the alerts from 20.00 to 25.00 s")


# Evaluations


@pytest.mark.parametrize(("every_s", "value"), [(9.0, "pass"), (7.0, "unknown")])
def test_a_source_may_be_restarted_twice(every_s: float, value: str) -> None:
    run = alerting({"quiet": "others"}, beats=lambda t_s: float(int(t_s % every_s * 5)))
    assert run.clause("quiet").value == value


@pytest.mark.parametrize(("observed_s", "value"), [(22.0, "pass"), (22.001, "unknown")])
def test_the_rules_may_go_without_an_evaluation_for_two_seconds_up_to_the_end(observed_s: float, value: str) -> None:
    # The last evaluation was seen by 20 s.
    run = Run({"quiet": "others"}).gate().fault()
    run.alerts(from_s=0.49, beats=lambda t_s: float(min(int((t_s + 0.01) * 5), 100)))
    assert run.end(observed_s).clause("quiet").value == value


@pytest.mark.parametrize(("observed_s", "value"), [(24.0, "pass"), (24.001, "unknown")])
def test_alerts_may_go_unpolled_for_a_second_up_to_the_end(observed_s: float, value: str) -> None:
    # The last poll was answered at 23 s.
    run = Run({"flaps_at_most": [FLAPS]}).gate().fault().alerts(from_s=0.49, to_s=23.05)
    assert run.end(observed_s).clause("flaps").value == value


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


# Polls that nobody answered


@pytest.mark.parametrize(
    ("down", "value"),
    [((12.5, 26.0), "unknown"), ((12.5, 18.05), "fail"), ((15.0, 17.0), "fail"), ((18.05, 26.0), "fail")],
)
def test_an_alert_last_seen_before_its_deadline_may_have_cleared(down: tuple[float, float], value: str) -> None:
    found = alerting({"cleared": [CLEAR]}, (SLOW, 7.0, 26.0), down=[down]).clause("clear")
    assert found.value == value, found.reason
    assert ("the alert source last answered at 12.40 s" in found.reason) is (value == "unknown")


def test_an_alert_that_could_not_be_read_for_a_while_was_not_seen_to_fire() -> None:
    found = alerting({"detected": [SEEN]}, down=[(8.0, 26.0)]).clause("seen")
    assert found.value == "fail"
    assert "was not seen to fire" in found.reason
    assert "from 8.00 s on" in found.reason
