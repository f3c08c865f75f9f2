"""What proves that an alert does not fire: answers of its source, a watchdog, evaluations of the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from journals import CLEAR, SEEN, SLOW, Firing, Run, Stretch

FLAPS = {"flaps_at_most": [{"id": "flaps", "alert": SLOW, "at_most": 1}]}
QUIET = {"quiet": "others"}
CLEARED = {"cleared": [CLEAR]}


def seldom(expect: dict[str, Any], interval_s: float, *firing: Firing, to_s: float = 25.0, **polls: Any) -> Run:
    """Return a run of rules that are evaluated at an interval, and observed until a moment."""
    run = Run(expect).gate().fault().alerts(*firing, to_s=to_s + 0.5, **polls).end(to_s)
    for _, body in run.lines:
        if body["kind"] == "alerts" and "down" not in body:
            body["interval_s"] = interval_s
    return run


def every(interval_s: float) -> Callable[[float], float]:
    return lambda t_s: float(int(t_s / interval_s))


def asleep(run: Run, *stretches: Stretch) -> Run:
    """Let the watchdog of the source be gone in some stretches: whatever else it counts does not count."""
    for _, body in run.lines:
        if body["kind"] == "alerts":
            body["awake"] = not any(lo <= body["asked_s"] < hi for lo, hi in stretches)
            if not body["awake"]:
                body["evaluations"] = None
    return run


# Answers


@pytest.mark.parametrize(("down", "value"), [((70.0, 118.0), "unknown"), ((70.0, 70.8), "pass")])
def test_a_source_that_does_not_answer_hides_what_fires_meanwhile(down: Stretch, value: str) -> None:
    found = seldom(QUIET, 60.0, to_s=200.0, beats=every(60.0), down=[down]).clause("quiet")
    assert found.value == value
    assert ("no poll of the alerts was answered from" in found.reason) is (value == "unknown")


def test_a_source_with_a_history_tells_it_later() -> None:
    def run(until_s: float, **counted: Any) -> Run:
        return seldom(QUIET, 6.0, beats=every(6.0), down=[(15.0, until_s)], **counted)

    assert run(19.0).clause("quiet").value == "unknown"
    assert run(19.0, counted=[(SLOW, 0.6)]).clause("quiet").value == "pass"
    assert run(19.0, counted=[("Stale", 16.0)]).clause("quiet").value == "fail"
    assert run(19.0, counted=[(SLOW, 0.6)], resets=[17.0]).clause("quiet").value == "unknown", "it was lost"
    assert run(26.0, counted=[(SLOW, 0.6)]).clause("quiet").value == "unknown", "it was never read again"
    sleepy = asleep(run(15.0, counted=[(SLOW, 0.6)]), (15.0, 18.0))
    assert sleepy.clause("quiet").value == "unknown", "nobody evaluated what it would have counted"


# Watchdogs


@pytest.mark.parametrize(("until_s", "value"), [(149.0, "unknown"), (76.5, "pass")])
def test_without_its_watchdog_a_source_that_shows_no_alert_shows_nothing(until_s: float, value: str) -> None:
    run = asleep(seldom(QUIET, 75.0, to_s=300.0, beats=every(75.0)), (76.0, until_s))
    assert run.clause("quiet").value == value


def test_an_alertmanager_that_was_restarted_and_lost_all_did_not_clear_any() -> None:
    run = asleep(seldom(CLEARED, 75.0, (SLOW, 7.0, 13.0), beats=lambda _: 1.0), (13.0, 99.0))
    found = run.clause("clear")
    assert found.value == "unknown"
    assert "the alert source last answered at 12.90 s" in found.reason


def test_what_is_shown_without_a_watchdog_fires_all_the_same() -> None:
    assert asleep(seldom(QUIET, 0.2, ("Stale", 8.0, 9.0)), (7.0, 99.0)).clause("quiet").value == "fail"
    found = asleep(seldom(CLEARED, 0.2, (SLOW, 7.0, 99.0)), (8.0, 99.0)).clause("clear")
    assert found.value == "fail"
    assert "still firing" in found.reason


def test_a_firing_goes_on_while_the_watchdog_is_gone() -> None:
    once = FLAPS | {"cleared": [CLEAR]}
    run = asleep(seldom(once, 0.2, (SLOW, 7.0, 8.0), (SLOW, 9.0, 14.0)), (8.0, 9.0))
    assert run.clause("flaps").measured.starts == 1


def test_what_a_webhook_reports_as_resolved_is_over_without_a_watchdog() -> None:
    run = asleep(seldom(CLEARED, 0.2, (SLOW, 7.0, 20.0)), (19.5, 20.5))
    for _, body in run.lines:
        if body["kind"] == "alerts":
            body["delivered"] = True
            body["firing"] = [one | {"started_s": 7.5} for one in body["firing"]]
    assert run.clause("clear").measured.after_s == pytest.approx(8.01)


def test_a_source_without_its_watchdog_at_the_injection_says_nothing_of_it() -> None:
    run = asleep(seldom({"detected": [SEEN]}, 0.2, (SLOW, 7.0, 14.0)), (4.0, 6.0))
    assert "no poll of the alerts right before injection" in run.clause("seen").reason


def test_a_webhook_whose_watchdog_is_gone_does_not_prove_by_itself_what_clears() -> None:
    run = asleep(seldom(CLEARED, 0.2, (SLOW, 7.0, 14.0), beats=lambda _: None), (20.0, 20.5))
    for _, body in run.lines:
        if body["kind"] == "alerts":
            body["delivered"] = True
    assert run.clause("clear").value == "unknown"


# Evaluations


@pytest.mark.parametrize(
    ("interval_s", "rounds", "value"), [(20.0, 0, "unknown"), (9.0, 1, "unknown"), (9.0, 2, "pass")]
)
def test_flaps_are_proven_by_two_rounds_since_the_injection(interval_s: float, rounds: int, value: str) -> None:
    def beats(t_s: float) -> float:
        return 7.0 + sum(t_s >= at_s for at_s in (8.0, 16.0)[:rounds])

    found = seldom(FLAPS, interval_s, beats=beats, to_s=18.0).clause("flaps")
    assert found.value == value
    assert ("two evaluations are needed" in found.reason) is (value == "unknown")


@pytest.mark.parametrize(("again_s", "value"), [(99.0, "unknown"), (12.95, "unknown"), (15.0, "pass")])
def test_what_cleared_is_quiet_once_the_rules_were_gone_through_again(again_s: float, value: str) -> None:
    beats = lambda t_s: 7.0 + (t_s >= again_s)  # noqa: E731 - a curve
    found = seldom(CLEARED, 60.0, (SLOW, 7.0, 13.0), beats=beats).clause("clear")
    assert found.value == value
    assert ("the rules of monitor were not evaluated after that" in found.reason) is (value == "unknown")


def test_one_who_tells_by_itself_and_has_no_watchdog_needs_no_rounds() -> None:
    run = Run(CLEARED).gate().fault().alerts((SLOW, 7.0, 13.0), beats=lambda _: None).end()
    for _, body in run.lines:
        if body["kind"] == "alerts":
            body["delivered"] = True
            body["firing"] = [one | {"started_s": 7.5} for one in body["firing"]]
    assert run.clause("clear").value == "pass"
