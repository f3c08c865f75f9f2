"""Infrequent readings, infrequent rule evaluations, sources that nobody polled: never a false pass."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import BACK, CLEAR, SEEN, SLOW, Firing, Run, lag

from harness.model.verdict import ClauseResult

LOW = {"id": "low", "probe": "lag", "at_most": 5}


def knowing(run: Run, **facts: Any) -> Run:
    """Tell the judge more of the stack."""
    run.plan["stack"] |= facts
    return run


def low(every_s: float, *, known: bool = True, fault: tuple[float, float] = (5.0, 12.0), **how: Any) -> ClauseResult:
    run = Run({"stays": [LOW]}).gate().fault(injected=fault[0], confirmed=fault[0] + 0.2, reverted=fault[1])
    run.readings("lag", how.pop("curve", 1.0), every_s=every_s, **how).end()
    return knowing(run, probe_every_s={"lag": every_s} if known else {}).clause("low")


def test_a_probe_that_is_read_as_often_as_it_says_has_no_gaps() -> None:
    assert low(2.0).value == "pass"
    assert low(2.0, known=False).value == "unknown", "nobody said that it would be read so seldom"


def test_a_reading_that_is_left_out_is_a_gap_all_the_same() -> None:
    found = low(2.0, skip=[(8.0, 9.0)])
    assert found.value == "unknown"
    assert "no attempt to read" in found.reason


def test_a_breach_that_was_read_fails() -> None:
    assert low(2.0, curve=lambda t: 9.0 if 8 <= t < 10 else 1.0).value == "fail"


def test_a_fault_that_was_over_between_two_readings_shows_nothing() -> None:
    # Readings at 0.5, 4.5, 8.5, …: none lies between 5 s and 8 s.
    found = low(4.0, fault=(5.0, 8.0))
    assert found.value == "unknown"
    assert "was not read between injection and revert; its interval is 4 s" in found.reason
    assert low(4.0, fault=(5.0, 9.0)).value == "pass"


def back(every_s: float, hold: str) -> ClauseResult:
    bound = {**BACK, "within": "10s", "hold": hold}
    run = Run({"recovered": [bound]}).gate().fault().readings("lag", lag((6.0, 16.0)), every_s=every_s)
    return knowing(run.end(), probe_every_s={"lag": every_s}).clause("back")


def test_a_recovered_reading_must_be_read_again_to_hold() -> None:
    assert back(2.0, "3s").value == "pass"
    # Good again at 20.5 s, which nobody looked at until observation ended at 25 s.
    found = back(5.0, "3s")
    assert found.value == "unknown"
    assert "not observed to hold: it was not read again; its interval is 5 s" in found.reason


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 6.0), st.floats(0.0, 1.0), st.floats(5.0, 12.0), st.floats(0.1, 4.0))
def test_a_pass_was_read_good_while_the_fault_was_in(
    every_s: float, phase: float, bad_s: float, length_s: float
) -> None:
    """Whatever the pace: a pass means that every reading was good, and that there was one during the fault."""
    run = Run({"stays": [LOW]}).gate().fault()
    run.readings("lag", lambda t: 9.0 if bad_s <= t < bad_s + length_s else 1.0, every_s=every_s, from_s=phase)
    knowing(run.end(), probe_every_s={"lag": every_s})
    read = [body for _, body in run.lines if body["kind"] == "reading"]
    if run.clause("low").value == "pass":
        assert all(body["value"] == 1.0 for body in read if 1.0 <= body["asked_s"] <= 24.9)
        assert any(5.0 <= body["asked_s"] <= 12.0 for body in read)


def quiet(*firing: Firing, interval_s: float, rounds_s: float, twin: str | None = None, **polls: Any) -> ClauseResult:
    run = Run({"quiet": "others"}, twin=twin).gate()
    run = run if twin == "control" else run.fault()
    run.alerts(*firing, beats=lambda t: float(int(t / rounds_s)), **polls).end()
    for _, body in run.lines:
        if body["kind"] == "alerts":
            body["interval_s"] = interval_s
    return run.clause("quiet")


@pytest.mark.parametrize(
    ("interval_s", "rounds_s", "value", "said"),
    [
        (1.0, 1.0, "pass", ""), (5.0, 5.0, "pass", ""), (5.0, 6.4, "pass", ""),
        (1.0, 5.0, "unknown", "no sign that the rules were evaluated"),  # slower than it says itself
        (15.0, 15.0, "unknown", "were evaluated once since injection; two evaluations are needed"),
        (60.0, 60.0, "unknown", "were never evaluated since injection; two evaluations are needed"),
    ],
)  # fmt: skip
def test_silence_is_as_long_as_the_source_says_and_no_longer(
    interval_s: float, rounds_s: float, value: str, said: str
) -> None:
    found = quiet(interval_s=interval_s, rounds_s=rounds_s)
    assert (found.value, said in found.reason) == (value, True)


def test_an_alert_that_fired_fails_however_seldom_the_rules_are_gone_through() -> None:
    assert quiet(("Stale", 8.0, 9.0), interval_s=60.0, rounds_s=60.0).value == "fail"


def test_a_control_counts_rounds_from_the_steady_state_on() -> None:
    assert quiet(interval_s=10.0, rounds_s=10.0, twin="control").value == "pass"
    found = quiet(interval_s=30.0, rounds_s=30.0, twin="control")
    assert (found.value, "since the steady state" in found.reason) == ("unknown", True)


EXPECT = {"detected": [SEEN], "quiet": "others", "cleared": [CLEAR],
          "flaps_at_most": [{"id": "flaps", "alert": SLOW, "at_most": 5}]}  # fmt: skip


def test_a_source_that_was_never_polled_is_a_gap_and_not_nothing() -> None:
    run = Run(EXPECT).gate().fault().alerts((SLOW, 7.0, 13.0)).end()
    assert {c.value for c in run.judged().clauses} == {"pass"}
    knowing(run, alert_sources=("monitor", "http://alertmanager:9093"))
    values = {c.id: str(c.value) for c in run.judged().clauses}
    assert {name: values[name] for name in ("seen", "quiet", "clear", "flaps")} == dict.fromkeys(
        ("seen", "quiet", "clear", "flaps"), "unknown"
    )
    silent = knowing(Run(EXPECT).gate().fault().end(), alert_sources=("monitor",))
    assert {c.value for c in silent.judged().clauses if c.id in values and c.id != "collateral"} == {"unknown"}


def test_an_alert_that_began_before_the_fault_by_the_stacks_own_stamp_is_no_detection() -> None:
    run = Run({"detected": [SEEN]}).gate().fault().alerts((SLOW, 7.0, 14.0)).end()

    def stamped(at_s: float) -> str:
        for _, body in run.lines:
            for alert in body.get("firing", ()):
                alert["started_s"] = at_s
        return str(run.clause("seen").value)

    assert stamped(6.9) == "pass"
    assert stamped(4.9) == "pass", "within what its own clock may be off"
    assert stamped(2.0) == "unknown"


@pytest.mark.parametrize(("gap", "value"), [((3.0, 5.0), "unknown"), ((3.0, 4.85), "fail")])
def test_what_broke_right_after_a_gap_before_the_injection_may_have_been_broken_before(
    gap: tuple[float, float], value: str
) -> None:
    expect = {"stays": [{"id": "low", "probe": "lag", "at_most": 5}], "recovered": [BACK]}
    run = Run(expect).gate().fault().readings("lag", lag((5.05, 13.0)), skip=[gap]).gap("lag", *gap).end()
    assert run.clause("low").value == value, run.clause("low").reason
    assert run.clause("back").value == "unknown", "it may have broken and recovered in the gap, without the fault"
