"""Bounds: what must stay, and what must come back and hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from journals import BACK, BROKEN, CROWDED, INJECTED_S, STAYS, Run, lag, times

FAILED = {"ok": False, "error": "refused"}


def up(*bad: tuple[float, float, dict[str, Any]], bound: dict[str, Any] | None = None, **how: Any) -> Run:
    return Run({"stays": [{**STAYS, **(bound or {})}]}).gate().fault().answers(*bad, **how).end()


def back(curve: Callable[[float], float | None] | float, bound: dict[str, Any] | None = None, **how: Any) -> Run:
    return Run({"recovered": [{**BACK, **(bound or {})}]}).gate().fault().readings("lag", curve, **how).end()


LOW = {"id": "low", "probe": "lag", "at_most": 5}


def low(curve: Callable[[float], float | None] | float, bound: dict[str, Any] | None = None, **how: Any) -> Run:
    return Run({"stays": [{**LOW, **(bound or {})}]}).gate().fault().readings("lag", curve, **how).end()


# stays


def test_what_stays_passes_and_says_its_worst() -> None:
    run = up((8.0, 8.02, FAILED), bound={"at_least": 0.98})
    found = run.clause("up")
    assert (found.value, found.measured.worst) == ("pass", pytest.approx(0.99))
    assert found.measured.limit == "at least 0.98"


def test_what_breaks_fails_and_cites_the_lines() -> None:
    run = up((8.0, 8.5, FAILED))
    found = run.clause("up")
    assert found.value == "fail"
    cited = {line.n: line.body for line in run.build().lines if line.n in found.cites}
    assert {body.kind for body in cited.values()} == {"answer"}


def test_an_unanswered_request_counts_in_the_window_where_it_was_due() -> None:
    # Due during the fault, given up only long after observation has ended.
    found = up((8.0, 8.5, FAILED | {"done_s": 60.0})).clause("up")
    assert found.value == "fail"
    assert "at 8." in found.reason


def test_latency_counts_from_the_intended_sending_time() -> None:
    # Sent 90 ms late and answered 20 ms later.
    for limit, value in (("100ms", "fail"), ("120ms", "pass")):
        bound = {"probe": "latency_p50", "at_least": None, "at_most": limit}
        assert up(late_s=0.09, bound=bound).clause("up").value == ("unknown" if value == "fail" else value)
    bound = {"probe": "latency_p50", "at_least": None, "at_most": "250ms"}
    assert up((8.0, 11.0, {"done_s": 12.0}), bound=bound).clause("up").value == "fail"


def test_a_failed_request_is_not_a_fast_one() -> None:
    bound = {"probe": "latency_p99", "at_least": None, "at_most": "250ms"}
    assert up((8.0, 8.2, FAILED), bound=bound).clause("up").value == "fail"


def test_too_few_samples_are_unknown() -> None:
    found = up(rate=40).clause("up")
    assert found.value == "unknown"
    assert "of 100 samples" in found.reason
    assert up(rate=40, bound={"min_samples": 50}).clause("up").value == "pass"


NOT_WRONG = {"probe": "silent_wrong_answers", "at_least": None, "at_most": 0.05, "over": "2s", "min_samples": 20}


@pytest.mark.parametrize("allowed", [0.0, 0.05])
def test_requests_without_an_answer_are_not_wrong_where_others_show_that_answers_are_right(allowed: float) -> None:
    found = up((6.0, 11.0, FAILED), bound=NOT_WRONG | {"at_most": allowed}).clause("up")
    assert found.value == "pass", found.reason


@pytest.mark.parametrize(
    ("bad", "value"),
    [
        ([(6.0, 11.0, FAILED), (11.0, 11.06, {"wrong": True}), (11.06, 15.0, FAILED)], "unknown"),
        ([(6.0, 11.0, FAILED), (11.0, 11.06, {"wrong": None}), (11.06, 15.0, FAILED)], "unknown"),
        ([(6.0, 11.0, FAILED), (11.0, 12.0, {"wrong": True})], "fail"),
        ([(2.9, 26.0, FAILED)], "unknown"),
    ],
    ids=["a few are wrong", "a few are unchecked", "wrong ones afterwards", "none is answered"],
)
def test_requests_without_an_answer_hide_no_wrong_ones(bad: list[Any], value: str) -> None:
    assert up(*bad, bound=NOT_WRONG).clause("up").value == value


NOT_A_NUMBER = "the answer is not JSON: NaN is not a valid JSON number"


@pytest.mark.parametrize("every", [1, 2], ids=["all", "half"])
@pytest.mark.parametrize("read", [{"wrong": None}, {"error": NOT_A_NUMBER}, {"error": "status 302"}])
def test_what_cannot_be_read_is_no_refusal(read: dict[str, Any], every: int) -> None:
    came = [(t, t + 0.01, FAILED | read) for t in times(6.0, 11.0, 0.02 * every)]
    run = up(*came, bound=NOT_WRONG | {"at_most": 0.0})
    assert run.clause("up").value == "unknown"


def test_answers_before_the_fault_show_nothing_of_it() -> None:
    for since_s in (INJECTED_S, INJECTED_S + 1.5):
        assert up((since_s, 26.0, FAILED), bound=NOT_WRONG | {"at_most": 0.0}).clause("up").value == "unknown"


def test_what_a_busy_machine_kept_from_coming_shows_nothing() -> None:
    found = up((6.0, 11.0, FAILED), bound=NOT_WRONG).machine((5.5, 11.5, CROWDED)).clause("up")
    assert (found.value, found.cause) == ("unknown", "machine"), found.reason


def test_fewer_requests_than_samples_stay_unknown() -> None:
    assert up((6.0, 11.0, FAILED), rate=4, bound=NOT_WRONG).clause("up").value == "unknown"


def test_a_lower_bound_is_not_kept_by_what_is_not_answered() -> None:
    bound = {"probe": "flagged_answers", "at_least": 0.5, "over": "2s", "min_samples": 20}
    flagged = [(0.0, 6.0, {"flagged": "default"}), (6.0, 11.0, FAILED), (11.0, 26.0, {"flagged": "default"})]
    assert up(*flagged, bound=bound).clause("up").value == "unknown"


def test_what_is_not_answered_has_not_recovered() -> None:
    clause = {"id": "right", "probe": "silent_wrong_answers", "at_most": 0.0, "over": "1s", "min_samples": 10}
    wrong = [(6.0, 12.0, {"wrong": True}), (12.0, 26.0, FAILED)]
    run = Run({"recovered": [clause | {"within": "4s"}]}).gate().fault().answers(*wrong).end()
    assert run.clause("right").value != "pass"


def test_counts_need_one_sample_and_readings_need_min_samples() -> None:
    failures = {"probe": "failed_requests", "at_least": None, "at_most": 0}
    assert up(rate=5, bound=failures).clause("up").value == "pass"
    assert low(1.0, {"min_samples": 31}).clause("low").value == "unknown"
    assert low(1.0, {"min_samples": 30}).clause("low").value == "pass"


def test_a_reading_with_enough_before_it_is_judged() -> None:
    run = Run({"stays": [{**LOW, "min_samples": 5, "over": "1s"}]}).gate().fault()
    found = run.readings("lag", lambda t: 9.0 if t > 8 else 1.0).end().clause("low")
    assert found.value == "fail"


def test_a_gap_in_the_workload_is_unknown() -> None:
    found = up().gap("workload", 8.0, 8.4).clause("up")
    assert found.value == "unknown"
    assert "gap" in found.reason


@pytest.mark.parametrize("how", [{"skip": [(8.0, 9.5)]}, {"to_s": 20.0}, {"from_s": 9.0}])
def test_a_gap_in_a_probe_is_unknown(how: dict[str, Any]) -> None:
    found = low(1.0, **how).clause("low")
    assert found.value == "unknown"
    assert "no attempt" in found.reason


def test_an_admitted_gap_in_a_probe_is_unknown_however_short() -> None:
    assert low(1.0, skip=[(8.0, 8.3)]).gap("lag", 8.0, 8.3).clause("low").value == "unknown"


def test_a_probe_that_was_never_read_is_unknown() -> None:
    assert Run({"stays": [LOW]}).gate().fault().end().clause("low").value == "unknown"
    assert Run({"stays": [STAYS]}).gate().fault().end().clause("up").value == "unknown"


def test_a_run_shorter_than_the_window_is_unknown() -> None:
    assert up(bound={"over": "40s"}).clause("up").value == "unknown"


def test_no_answer_to_a_probe_breaches_its_bound() -> None:
    found = low(1.0, down=[(8.0, 8.3)]).clause("low")
    assert found.value == "fail"
    assert "no answer" in found.reason


def test_a_breach_beats_a_gap() -> None:
    assert low(lag((7.0, 7.5)), skip=[(8.0, 9.5)]).clause("low").value == "fail"


def test_what_broke_before_the_fault_is_unknown() -> None:
    found = low(lag((2.0, 3.0), (7.0, 8.0))).clause("low")
    assert found.value == "unknown"
    assert "before injection" in found.reason


def test_what_broke_before_the_gate_does_not_count() -> None:
    assert low(lag((0.0, 0.9))).clause("low").value == "pass"


def test_a_window_that_reaches_back_before_the_fault_blames_it_for_nothing() -> None:
    # Requests fail before the fault, in a window too long to have been judged before it.
    bound = {"over": "4.5s"}
    found = up((1.5, 3.0, FAILED), bound=bound).clause("up")
    assert found.value == "unknown"
    assert "by answers that were due by 2.98 s, before injection" in found.reason
    assert up((5.0, 5.5, FAILED), bound=bound).clause("up").value == "fail"


def test_unverified_answers_that_decide_are_unknown() -> None:
    right = {"probe": "silent_wrong_answers", "at_least": None, "at_most": 0.01}
    assert up((8.0, 9.0, {"wrong": None}), bound=right).clause("up").value == "unknown"
    assert up((8.0, 8.02, {"wrong": None}), bound=right).clause("up").value == "pass"
    assert up((8.0, 9.0, {"wrong": True}), bound=right).clause("up").value == "fail"
    both = ((8.0, 9.0, {"wrong": True}), (9.0, 9.5, {"wrong": None}))
    assert up(*both, bound=right).clause("up").value == "fail"


def test_wrong_but_flagged_is_not_silent_and_stale_is() -> None:
    right = {"probe": "silent_wrong_answers", "at_least": None, "at_most": 0.01}
    assert up((8.0, 9.0, {"wrong": True, "flagged": "stale"}), bound=right).clause("up").value == "pass"
    assert up((8.0, 9.0, {"stale": True, "wrong": None}), bound=right).clause("up").value == "fail"
    assert up((8.0, 9.0, FAILED | {"wrong": True}), bound=right).clause("up").value == "unknown"  # nothing to judge


# recovered


def test_recovery_is_the_first_good_reading_after_the_last_breach() -> None:
    found = back(lag((6.0, 10.0), (11.0, 14.0))).clause("back")
    assert found.value == "pass"
    assert found.measured.after_lo_s == pytest.approx(1.89, abs=0.011)
    assert found.measured.after_s == pytest.approx(2.01)
    assert found.measured.recovered_at_s == pytest.approx(14.01)


def test_a_relapse_after_the_deadline_fails() -> None:
    assert back(lag((6.0, 14.0), (19.0, 20.0))).clause("back").value == "fail"


def test_recovered_too_late_fails_and_around_the_deadline_is_unknown() -> None:
    assert back(lag((6.0, 19.0))).clause("back").value == "fail"
    found = back(lag((6.0, 18.0))).clause("back")
    assert found.value == "unknown"
    assert "around its deadline" in found.reason


def test_still_broken_at_the_end_fails_only_after_the_deadline() -> None:
    found = back(lag((6.0, 40.0))).clause("back")
    assert found.value == "fail"
    assert "still broken" in found.reason
    assert back(lag((6.0, 40.0)), {"within": "20s"}).clause("back").value == "unknown"


def test_recovery_counts_from_injection_where_the_clause_has_it() -> None:
    found = back(lag((6.0, 8.0)), {"from": "injection"}).clause("back")
    assert (found.value, found.measured.after_s) == ("pass", pytest.approx(3.01))
    assert back(lag((6.0, 12.5)), {"from": "injection"}).clause("back").value == "fail", "too late, revert or not"


def test_what_is_good_once_the_fault_is_taken_out_has_not_recovered_by_itself() -> None:
    """The revert may have brought it about: that is neither a recovery of its own nor the lack of one."""
    by_itself = {"from": "injection", "within": "10s"}
    # Good only after the revert; good before it, but not for as long as `hold`.
    for broken in ((6.0, 12.5), (6.0, 9.5)):
        found = back(lag(broken), by_itself).clause("back")
        assert found.value == "unknown", broken
    assert "when the fault was taken out" in back(lag((6.0, 12.5)), by_itself).clause("back").reason
    assert back(lag((6.0, 12.5)), {"within": "10s"}).clause("back").value == "pass", "from the revert, it has"


def test_recovery_with_the_fault_still_on_took_no_time_after_revert() -> None:
    assert back(lag((6.0, 9.0))).clause("back").measured.after_s == 0.0


def test_what_never_broke_was_not_exercised() -> None:
    found = back(1.0).clause("back")
    assert found.value == "unknown"
    assert "not exercised" in found.reason


def test_what_was_not_measured_may_have_broken() -> None:
    found = back(1.0, skip=[(7.0, 9.0)]).clause("back")
    assert found.value == "unknown"
    assert "cannot be judged" in found.reason
    never = Run({"recovered": [BACK]}).gate().fault().end().clause("back")
    assert never.value == "unknown"


def test_recovery_must_be_measured_to_hold() -> None:
    found = back(lag((6.0, 17.5)), {"hold": "10s"}).clause("back")
    assert found.value == "unknown"
    assert "not observed to hold" in found.reason


@pytest.mark.parametrize("skip", [(14.5, 16.0), (19.0, 21.0)])
def test_a_gap_after_recovery_hides_the_last_breach(skip: tuple[float, float]) -> None:
    assert back(lag((6.0, 14.0)), skip=[skip]).clause("back").value == "unknown"


def test_a_gap_over_the_deadline_is_unknown_and_one_before_it_is_not() -> None:
    assert back(lag((6.0, 14.0)), skip=[(13.0, 19.0)]).clause("back").value == "unknown"
    assert back(lag((6.0, 14.0)), skip=[(13.0, 15.0)]).clause("back").value == "pass"


def test_what_broke_before_the_fault_did_not_break_by_it() -> None:
    found = back(lag((2.0, 3.0), (6.0, 9.0))).clause("back")
    assert found.value == "unknown"
    assert "before injection" in found.reason


def test_what_only_a_window_around_the_injection_shows_broke_before_it() -> None:
    run = Run(
        {"recovered": [{"id": "back", "probe": "availability", "at_least": 0.99, "over": "4.5s", "within": "9s"}]}
    )
    found = run.gate().fault().answers((2.0, 3.0, FAILED)).end().clause("back")
    assert found.value == "unknown"
    assert "by answers that were due by 2.98 s, before injection" in found.reason


def test_recovery_needs_the_fault_to_be_seen_gone() -> None:
    run = Run({"recovered": [BACK]}).gate().fault(reverted=None).readings("lag", BROKEN).end()
    assert "gone" in run.clause("back").reason


def test_shares_recover_over_their_window() -> None:
    bound = {"id": "back", "probe": "availability", "at_least": 0.99, "over": "2s", "within": "6s"}
    run = Run({"recovered": [bound]}).gate().fault().answers((6.0, 13.0, FAILED)).end()
    found = run.clause("back")
    assert found.value == "pass"
    assert found.measured.after_s == pytest.approx(1.0, abs=0.11), "a window counts from its start"


def test_recovery_of_a_named_fault() -> None:
    expect = {"recovered": [{**BACK, "fault": "slow"}]}
    run = Run(expect, faults=("slow", "second")).gate().fault(reverted=8.0)
    run.fault("second", injected=12.0, confirmed=12.3, reverted=15.0).readings("lag", lag((6.0, 9.0))).end()
    assert run.clause("back").measured.after_s == pytest.approx(1.01)


def test_many_broken_lines_are_cited_by_the_first_and_the_last() -> None:
    assert len(low(lag((6.0, 20.0))).clause("low").cites) == 8


NO_MODEL = {"wrong": None, "why": "the stack declares no model to check scores against, x-harness.integrity.models"}
RIGHT = {"id": "right", "probe": "silent_wrong_answers", "at_most": 0.01, "over": "2s"}


def test_d4_right_answers_are_unknown_where_no_model_is_declared() -> None:
    run = Run({"stays": [RIGHT, STAYS]}).gate().fault().answers((0.0, 99.0, NO_MODEL)).end()
    right = run.clause("right")
    assert right.value == "unknown"
    assert right.reason.endswith(f"decide it: {NO_MODEL['why']}"), "the reason names the remedy"
    assert run.clause("up").value == "pass", "other clauses go on as before"


def test_d4_wrong_features_are_wrong_without_a_model() -> None:
    bad = {"wrong": True, "why": "delay is 9, but was 2 as of its event time"}
    run = Run({"stays": [RIGHT]}).gate().fault().answers((0.0, 8.0, NO_MODEL), (8.0, 9.0, bad), (9.0, 99.0, NO_MODEL))
    # Before injection no window is known to be good, but the one that broke begins after it.
    assert run.end().clause("right").value == "fail"


@pytest.mark.parametrize(("until_s", "value"), [(13.0, "unknown"), (20.0, "fail")])
def test_d4_a_recovery_that_nothing_can_tell_is_unknown_until_its_deadline(until_s: float, value: str) -> None:
    back = RIGHT | {"id": "back", "within": "6s"}
    wrong = {"wrong": True, "why": "delay is 9, but was 2 as of its event time"}
    run = Run({"recovered": [back]}).gate().fault()
    found = run.answers((0.0, 8.0, NO_MODEL), (8.0, until_s, wrong), (until_s, 99.0, NO_MODEL)).end().clause("back")
    assert found.value == value
    assert "may be good again: answers whose score could not be checked" in found.reason
    assert "x-harness.integrity.models" in found.reason


def test_one_good_value_stays() -> None:
    def judged(value: Any) -> Any:
        clause = {"id": "same", "probe": "version", "equals": 7}
        return Run({"stays": [clause]}).gate().fault().readings("version", value).end().clause("same")

    kept = judged(7.0)
    assert (kept.value, kept.reason) == ("pass", "version stayed exactly 7, worst 7")
    for other in (8.0, 6.0):
        found = judged(lambda t_s, other=other: other if 7 <= t_s < 9 else 7.0)
        assert found.value == "fail"
        assert found.reason.startswith(f"version was {other:g} at 7.")
        assert found.measured.worst == other


def test_one_good_value_recovers() -> None:
    clause = {"id": "again", "probe": "version", "equals": 7, "within": "5s"}
    run = Run({"recovered": [clause]}).gate().fault()
    found = run.readings("version", lambda t_s: 8.0 if 7 <= t_s < 11 else 7.0).end().clause("again")
    assert (found.value, found.measured.limit) == ("pass", "exactly 7")
    run = Run({"recovered": [clause]}).gate().fault()
    assert run.readings("version", lambda t_s: 7.0 if t_s < 7 else 6.0).end().clause("again").value == "fail"
