"""Detection: an alert fires, in time, for a label set that was quiet when the fault went in."""

from __future__ import annotations

from typing import Any

import pytest
from journals import SEEN, SLOW, Firing, Run

from harness.model.verdict import ClauseResult


def looked(*firing: Firing, labels: dict[str, str] | None = None, within: str = "6s", **polls: Any) -> Run:
    seen = {**SEEN, "within": within, "labels": labels or {}}
    return Run({"detected": [seen]}).gate().fault().alerts(*firing, **polls).end()


def test_firing_in_time_passes_with_the_interval_from_last_absent_to_first_seen() -> None:
    seen = looked((SLOW, 7.0, 14.0)).clause("seen")
    assert seen.value == "pass"
    assert seen.measured.after_lo_s == pytest.approx(1.9)
    assert seen.measured.after_s == pytest.approx(2.01)
    assert seen.measured.detected_at_s == pytest.approx(7.01)


def test_reasons_cite_the_fault_and_the_poll() -> None:
    run = looked((SLOW, 7.0, 14.0))
    lines = {line.n: line.body for line in run.build().lines}
    kinds = [lines[n].kind for n in run.clause("seen").cites]
    assert kinds == ["fault", "alerts", "alerts"]


def test_firing_after_the_deadline_fails() -> None:
    seen = looked((SLOW, 11.5, 14.0)).clause("seen")
    assert (seen.value, seen.measured.met) == ("fail", False)
    assert "too late" in seen.reason


def test_a_deadline_inside_the_interval_is_unknown() -> None:
    seen = looked((SLOW, 11.0, 14.0)).clause("seen")
    assert seen.value == "unknown"
    assert "around its deadline" in seen.reason


def test_detection_counts_from_injection_not_from_confirmation() -> None:
    run = Run({"detected": [{**SEEN, "within": "3s"}]}).gate()
    run.fault(confirmed=8.0).alerts((SLOW, 9.0, 14.0)).end()
    seen = run.clause("seen")
    assert seen.value == "fail"
    assert seen.measured.after_s == pytest.approx(4.01)


def test_an_injection_that_took_a_while_widens_the_interval() -> None:
    run = Run({"detected": [{**SEEN, "within": "2.5s"}]}).gate()
    run.fault(injected=(5.0, 6.0), confirmed=6.3).alerts((SLOW, 8.0, 14.0)).end()
    assert run.clause("seen").value == "unknown"


def test_no_alert_at_all_fails() -> None:
    seen = looked().clause("seen")
    assert seen.value == "fail"
    assert "did not fire" in seen.reason
    assert seen.measured.after_s is None


def test_only_firing_counts_not_pending() -> None:
    assert looked(pending=[(SLOW, 7.0, 14.0)]).clause("seen").value == "fail"


def test_pending_at_injection_is_unknown() -> None:
    seen = looked((SLOW, 7.0, 14.0), pending=[(SLOW, 4.0, 7.0)]).clause("seen")
    assert seen.value == "unknown"
    assert "pending" in seen.reason


@pytest.mark.parametrize("until_s", [8.0, 30.0])
def test_firing_already_is_unknown(until_s: float) -> None:
    seen = looked((SLOW, 3.0, until_s)).clause("seen")
    assert seen.value == "unknown"
    assert "already" in seen.reason


def test_firing_again_after_it_fired_already_is_unknown() -> None:
    assert looked((SLOW, 3.0, 6.0), (SLOW, 7.0, 9.0)).clause("seen").value == "unknown"


def test_an_alert_that_fires_without_any_fault_detects_nothing() -> None:
    seen = looked((SLOW, 2.0, 3.0), (SLOW, 7.0, 9.0)).clause("seen")
    assert seen.value == "unknown"
    assert "fired 1.90–2.01 s after injection, and before any fault, at 2.01 s" in seen.reason


@pytest.mark.parametrize(
    "firing",
    [
        (("Slow{pod=x1}", 2.0, 4.0), ("Slow{pod=x2}", 7.0, 14.0)),
        (("Slow{value=81}", 4.0, 7.0), ("Slow{value=93}", 7.0, 14.0)),
        ((SLOW, 0.99, 4.0), (SLOW, 7.0, 14.0)),
        ((SLOW, 0.7, 4.0), (SLOW, 7.0, 14.0)),
    ],
)
def test_whatever_its_labels_an_alert_that_fires_before_any_fault_detects_nothing(firing: tuple[Firing, ...]) -> None:
    seen = looked(*firing).clause("seen")
    assert seen.value == "unknown"
    assert "and before any fault" in seen.reason


def test_an_alert_about_something_else_before_any_fault_is_another() -> None:
    run = looked(("Slow{service=server-2}", 2.0, 4.0), ("Slow{service=server-1}", 7.0, 14.0))
    run.plan["stack"]["services"] = {"server-1": "a", "server-2": "b", "trainer": "b", "store": "a"}
    run.plan["scenario"]["timeline"][0]["target"] = {"service": "server-1"}
    assert run.clause("seen").value == "pass"


def test_an_alert_that_was_over_before_the_steady_state_is_a_fresh_one_later() -> None:
    assert looked((SLOW, 0.6, 0.85), (SLOW, 7.0, 9.0)).clause("seen").value == "pass"


def test_an_alert_of_an_earlier_fault_is_a_fresh_one_later() -> None:
    run = Run({"detected": [{**SEEN, "fault": "second"}]}, faults=("slow", "second")).gate()
    run.fault("slow", injected=2.0, confirmed=2.3, reverted=4.0).fault("second", injected=8.0, confirmed=8.3)
    assert run.alerts((SLOW, 2.5, 5.0), (SLOW, 9.0, 11.0)).end().clause("seen").value == "pass"


def test_another_label_set_was_quiet_and_detects() -> None:
    both = (("Slow{service=a}", 3.0, 30.0), ("Slow{service=b}", 7.0, 9.0))
    assert looked(*both, labels={"service": "b"}).clause("seen").value == "pass"
    # Where any of them counts, one needs no fault to fire.
    assert looked(*both).clause("seen").value == "unknown"


def test_the_labels_must_match() -> None:
    run = looked(("Slow{service=server}", 7.0, 9.0), labels={"service": "trainer"})
    assert run.clause("seen").value == "fail"
    run = looked(("Slow{service=trainer,severity=page}", 7.0, 9.0), labels={"service": "trainer"})
    assert run.clause("seen").value == "pass"


def test_the_first_of_several_label_sets_counts() -> None:
    run = looked(("Slow{service=b}", 14.0, 16.0), ("Slow{service=a}", 7.0, 9.0))
    assert run.clause("seen").measured.detected_at_s == pytest.approx(7.01)


def test_a_short_firing_is_seen_in_the_counters() -> None:
    seen = looked(counted=[(SLOW, 7.05)]).clause("seen")
    assert seen.value == "pass"
    assert seen.measured.after_lo_s == pytest.approx(2.0)
    assert seen.measured.after_s == pytest.approx(2.11)


def test_a_counter_that_lags_one_poll_behind_makes_no_second_firing() -> None:
    for counted_s in (6.95, 7.05):
        run = Run({"flaps_at_most": [{"id": "flaps", "alert": SLOW, "at_most": 1}]}).gate().fault()
        run.alerts((SLOW, 7.0, 9.0), counted=[(SLOW, counted_s)]).end()
        assert run.clause("flaps").measured.starts == 1


def test_a_counted_firing_of_what_was_pending_at_injection_is_unknown() -> None:
    run = looked(pending=[("Slow{service=a,severity=page}", 4.0, 7.0)], counted=[("Slow{service=a}", 7.05)])
    assert run.clause("seen").value == "unknown"


def test_a_counter_without_all_the_labels_leaves_it_open() -> None:
    run = looked(counted=[("Slow{service=a}", 7.05)], labels={"service": "a", "severity": "page"})
    assert run.clause("seen").value == "unknown"
    run = looked(counted=[("Slow{service=b}", 7.05)], labels={"service": "a", "severity": "page"})
    assert run.clause("seen").value == "fail"


def test_a_counter_that_starts_anew_is_no_firing_of_its_own() -> None:
    run = looked(counted=[(SLOW, 2.05), (SLOW, 2.55)], resets=[8.0])
    assert run.clause("seen").value == "fail"


def test_a_firing_right_after_the_source_restarted_is_seen() -> None:
    run = looked((SLOW, 0.6, 0.8), counted=[(SLOW, 0.6), (SLOW, 0.7), (SLOW, 8.05)], resets=[8.0])
    seen = run.clause("seen")
    assert (seen.value, seen.measured.after_s) == ("pass", pytest.approx(3.11))


def test_what_a_source_forgot_to_count_does_not_hide_a_later_firing() -> None:
    # It fires at 0.3 s and is restarted before its counter is read: that start is never counted.
    run = looked((SLOW, 0.3, 0.85), counted=[(SLOW, 0.15), (SLOW, 7.05)], resets=[0.4], from_s=0.1)
    assert run.clause("seen").value == "pass"


def test_counters_that_were_not_read_in_every_poll_count_nothing_twice() -> None:
    run = Run({"flaps_at_most": [{"id": "flaps", "alert": SLOW, "at_most": 1}]}).gate().fault()
    run.alerts((SLOW, 7.0, 8.0), counted=[(SLOW, 7.0)]).end()
    for _, body in run.lines:
        if body["kind"] == "alerts" and 6.9 < body["asked_s"] < 8.2:
            body["fired"] = None
    assert run.clause("flaps").measured.starts == 1


def test_one_of_several_sources_is_enough() -> None:
    run = looked((SLOW, 7.0, 9.0)).alerts(source="other")
    assert run.clause("seen").value == "pass"


def test_a_source_in_which_it_was_pending_makes_it_unknown() -> None:
    run = looked((SLOW, 7.0, 9.0), source="a").alerts(source="b", pending=[(SLOW, 4.0, 30.0)])
    assert run.clause("seen").value == "unknown"


def test_a_source_that_was_not_read_at_injection_makes_it_unknown() -> None:
    run = looked((SLOW, 7.0, 9.0), source="a").alerts(source="b", skip=[(4.0, 6.0)])
    assert run.clause("seen").value == "unknown"


def test_a_source_that_may_have_fired_in_time_unseen_is_unknown_not_too_late() -> None:
    run = looked((SLOW, 11.5, 14.0), source="a").alerts((SLOW, 9.0, 14.0), source="b", skip=[(8.0, 13.0)])
    assert run.clause("seen").value == "unknown"


def test_no_poll_before_injection_is_unknown() -> None:
    assert looked((SLOW, 7.0, 9.0), skip=[(3.0, 5.2)]).clause("seen").value == "unknown"
    assert Run({"detected": [SEEN]}).gate().fault().end().clause("seen").value == "unknown"


def test_a_counted_firing_that_may_lie_before_injection_is_unknown() -> None:
    run = looked(counted=[(SLOW, 5.15)])
    for _, body in run.lines:
        if body["kind"] == "alerts" and 3.0 < body["asked_s"] < 5.15:
            body["fired"] = None
    assert run.clause("seen").value == "unknown"


def test_a_gap_in_polling_is_unknown() -> None:
    seen = looked(skip=[(7.0, 8.5)]).clause("seen")
    assert seen.value == "unknown"
    assert "no polls of the alerts from" in seen.reason


def test_a_gap_before_a_late_firing_is_unknown() -> None:
    assert looked((SLOW, 11.5, 14.0), skip=[(7.0, 8.5)]).clause("seen").value == "unknown"


def test_a_gap_that_the_harness_admits_is_unknown_however_short() -> None:
    assert looked(skip=[(7.0, 7.5)]).gap("monitor", 7.0, 7.5).clause("seen").value == "unknown"


def test_a_gap_does_not_take_back_what_was_seen_in_time() -> None:
    assert looked((SLOW, 7.0, 9.0), skip=[(8.0, 10.0)]).clause("seen").value == "pass"


def test_an_alert_source_that_is_down_all_the_while_is_a_failure_of_the_stack() -> None:
    seen = looked(down=[(5.0, 30.0)]).clause("seen")
    assert seen.value == "fail"
    assert "no answer" in seen.reason


def test_a_source_that_comes_back_with_the_alert_after_the_deadline_is_unknown() -> None:
    assert looked((SLOW, 7.0, 20.0), down=[(6.0, 13.0)]).clause("seen").value == "unknown"


def test_observation_that_ends_before_the_deadline_is_unknown() -> None:
    run = Run({"detected": [{**SEEN, "within": "30s"}]}).gate().fault().alerts().end()
    assert run.clause("seen").value == "unknown"


def test_without_a_poll_after_the_deadline_nothing_was_missed() -> None:
    run = Run({"detected": [{**SEEN, "within": "20s"}]}).gate().fault().alerts(to_s=24.9).end()
    seen = run.clause("seen")
    assert seen.value == "unknown"
    assert "the last poll, which was before its deadline" in seen.reason


def test_each_detection_belongs_to_its_fault() -> None:
    detected = [SEEN, {"id": "later", "alert": "Stale", "within": "3s", "fault": "second"}]
    run = Run({"detected": detected}, faults=("slow", "second")).gate()
    run.fault(reverted=9.0).fault("second", injected=12.0, confirmed=12.3, reverted=15.0)
    run.alerts((SLOW, 6.0, 9.0), ("Stale", 13.0, 15.0)).end()
    assert run.clause("seen").measured.after_s == pytest.approx(1.01)
    assert run.clause("later").measured.after_s == pytest.approx(1.01)


def measured(clause: ClauseResult) -> set[str]:
    return set(clause.model_dump()["measured"])


def test_the_fields_of_a_detection_are_always_there() -> None:
    assert measured(looked().clause("seen")) == measured(looked((SLOW, 7.0, 9.0)).clause("seen"))
