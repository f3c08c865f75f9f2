"""Bounds on shares: what chance explains is neither kept nor broken, and the run decides what windows leave open."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import CROWDED, Run

from harness.judge.compared import Answered
from harness.judge.shares import Excess, seen
from harness.model.clauses import Bound
from harness.model.readings import Answer
from harness.model.shares import LEVEL, Count, Tally, share_of
from harness.model.verdict import ClauseResult

pytestmark = pytest.mark.slow

FAILED = {"ok": False, "error": "refused"}
UP = {"id": "up", "probe": "availability", "at_least": 0.99, "over": "2s"}
BACK = {"id": "back", "probe": "availability", "at_least": 0.95, "over": "2s", "within": "6s"}
AGAIN = {"id": "back", "probe": "availability", "at_least": 0.99, "over": "2s", "within": "6s"}
Bad = tuple[float, float, dict[str, Any]]


def singles(*at_s: float, rate: int = 50, change: dict[str, Any] = FAILED) -> list[Bad]:
    """One answer at each of these moments is bad."""
    return [(t - 0.4 / rate, t + 0.4 / rate, change) for t in at_s]


def stays(*bad: Bad, bound: dict[str, Any] | None = None, **how: Any) -> ClauseResult:
    run = Run({"stays": [{**UP, **(bound or {})}]}).gate().fault().answers(*bad, **how).end()
    return run.clause("up")


def recovered(*bad: Bad, bound: dict[str, Any] | None = None, **how: Any) -> ClauseResult:
    run = Run({"recovered": [{**BACK, **(bound or {})}]}).gate().fault().answers(*bad, **how).end()
    return run.clause("back")


# stays


def test_two_failures_of_a_hundred_are_chance_and_the_run_decides() -> None:
    found = stays(*singles(8.0, 8.5))
    assert found.value == "pass"
    assert found.measured.worst == pytest.approx(0.98)
    assert "worst 98 %, which chance explains" in found.reason


def test_one_failure_where_a_window_has_fewer_than_a_hundred_answers_is_chance() -> None:
    found = stays(*singles(8.0, rate=20), rate=20, bound={"min_samples": 20})
    assert (found.value, found.measured.worst) == ("pass", pytest.approx(39 / 40))


def test_a_quantile_from_fewer_than_a_hundred_answers_is_not_their_maximum() -> None:
    bound = {"probe": "latency_p99", "at_least": None, "at_most": "250ms", "min_samples": 20}
    slow = {"done_s": 9.0}
    found = stays(*singles(8.0, rate=20, change=slow), rate=20, bound=bound)
    assert (found.value, found.measured.beyond) == ("pass", 1)
    assert stays((8.0, 8.6, slow), rate=20, bound=bound).value == "fail"


@pytest.mark.parametrize("length_s", [0.1, 0.2, 0.5, 2.0])
def test_an_outage_is_broken_at_once(length_s: float) -> None:
    found = stays((8.0, 8.0 + length_s, FAILED))
    assert found.value == "fail"
    assert found.reason.startswith("availability fell to")


def test_many_failures_that_are_nowhere_dense_break_the_whole_run() -> None:
    scattered = [5.2 + 0.8 * k for k in range(24)]
    found = stays(*singles(*scattered))
    assert found.value == "fail"
    assert "24 of 1,000 answers were beyond it at 5.00–25.00 s, more than chance explains" in found.reason


def test_a_part_of_a_long_run_is_not_hidden_by_the_rest_of_it() -> None:
    # 5 % over 12 s, of 95 s: 1 % in all, and no more than six in any window.
    scattered = singles(*[10.0 + 0.4 * k for k in range(30)])
    run = Run({"stays": [UP]}).gate().fault(reverted=90.0).answers(*scattered, to_s=100.5)
    found = run.end(100.0).clause("up")
    assert found.value == "fail"
    assert "more than chance explains" in found.reason


def test_of_a_part_that_broke_the_bound_the_worst_window_is_said_that_overlaps_it() -> None:
    # From 13.6 s on, 22 fail; the worst of its windows ends with the last of them.
    scattered = singles(*[10.0 + 0.4 * k for k in range(26)], 20.5, 20.9, 21.3, 21.7, 21.9)
    run = Run({"stays": [UP]}).gate().fault(reverted=90.0).answers(*scattered, to_s=100.5)
    found = run.end(100.0).clause("up")
    assert found.value == "fail"
    assert found.reason.startswith(
        "availability fell to 94 % at 21.90 s, and 22 of 416 answers were beyond it at 13.60–21.90 s"
    )


@pytest.mark.parametrize(("over_s", "broken"), [(2.0, True), (2.02, False)])
def test_a_part_that_breaks_a_bound_is_at_least_as_long_as_a_window(over_s: float, broken: bool) -> None:
    # From 10 to 12 s; a window of 2 s does not hold both ends of it.
    share = share_of(Bound.model_validate(UP))
    assert share is not None
    kept = [not (500 <= k <= 600 and k % 10 == 0) for k in range(1000)]
    answered = Answered(Tally(share, kept, LEVEL), [k / 50 for k in range(1000)])
    found = seen(answered, 0.0, 20.0, over_s)
    assert found is not None
    assert found.excess == (Excess(10.0, 12.0, Count(101, 11)) if broken else None)


def test_what_chance_hardly_explains_is_no_pass() -> None:
    # Eight of a hundred, not in a row: too few to be certain, in a run with hundreds of windows.
    close = singles(8.0, 8.3, 8.5, 8.9, 9.1, 9.4, 9.6, 9.8)
    found = stays(*close)
    assert found.value == "unknown"
    assert "8 of 100 answers: chance hardly explains it" in found.reason
    # 42 % for eight seconds, where 30 % are allowed, and 20 % in all.
    slow = [(t, t + 0.08, {"slow": True}) for t in [6.0 + 0.19 * k for k in range(42)]]
    found = stays(*slow, bound={"probe": "slow_answers", "at_least": None, "at_most": 0.3, "over": "3s"})
    assert found.value == "unknown"
    assert "hardly explains" in found.reason


def test_a_relapse_that_chance_hardly_explains_did_not_hold() -> None:
    close = singles(20.0, 20.3, 20.5, 20.9, 21.1, 21.4, 21.6, 21.8)
    found = recovered((6.0, 13.0, FAILED), *close, bound=AGAIN)
    assert found.value == "unknown"
    assert "not observed to hold: 8 of 100 answers: chance hardly explains it" in found.reason


def test_more_than_allowed_in_all_is_no_pass_although_chance_explains_it() -> None:
    found = stays(*singles(*[5.2 + 1.6 * k for k in range(12)]))
    assert found.value == "unknown"
    assert "12 of 1,000 answers were beyond it, which chance explains" in found.reason
    assert "more answers needed" in found.reason


def test_too_few_answers_to_show_five_times_the_rate_are_unknown() -> None:
    found = stays(rate=10, bound={"min_samples": 10})
    assert found.value == "unknown"
    assert "130 more answers needed: 5 % beyond it would not have shown in 200" in found.reason
    assert stays(rate=10, bound={"min_samples": 10, "at_least": 0.98}).value == "pass"


def test_a_clause_that_lacks_answers_cites_the_last_window() -> None:
    run = Run({"stays": [UP | {"min_samples": 10}]}).gate().fault().answers(rate=10).end()
    answers = {line.n: line.body for line in run.build().lines if isinstance(line.body, Answer)}
    first, last = (answers[n].due_s for n in run.clause("up").cites)
    assert (first, last) == (pytest.approx(23.1), pytest.approx(25.0))


def test_the_result_says_the_level_and_the_worst_rate_that_could_have_gone_unseen() -> None:
    measured = stays(*singles(8.0)).measured
    assert (measured.samples, measured.beyond, measured.level) == (1000, 1, LEVEL)
    assert measured.unseen == pytest.approx(0.0292, abs=0.0001)
    assert stays(bound={"at_least": 1}).measured.unseen is None


@pytest.mark.parametrize(
    ("bound", "change"),
    [
        ({"at_least": 1}, FAILED),
        ({"probe": "silent_wrong_answers", "at_least": None, "at_most": 0}, {"wrong": True}),
        ({"probe": "failed_requests", "at_least": None, "at_most": 0}, FAILED),
    ],
)
def test_bounds_of_zero_stay_strict(bound: dict[str, Any], change: dict[str, Any]) -> None:
    assert stays(bound=bound).value == "pass"
    assert stays(*singles(8.0, change=change), bound=bound).value == "fail"


def test_failures_that_chance_explains_are_none_before_the_injection() -> None:
    assert stays(*singles(3.0, 4.0)).value == "pass"
    assert stays(*singles(3.0, 4.0), (8.0, 9.0, FAILED)).value == "fail"


def test_where_more_failed_before_than_is_likely_the_fault_did_not_break_it() -> None:
    before = singles(1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)
    assert stays(*before).value == "pass"
    found = stays(*before, (8.0, 9.0, FAILED))
    assert found.value == "unknown"
    assert "7 of 200 answers were beyond it before injection" in found.reason


def test_a_machine_that_was_busy_before_the_injection_is_named() -> None:
    before = singles(1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)
    run = Run({"stays": [UP], "recovered": [BACK | {"at_least": 0.99}]}).gate().fault()
    run.answers(*before, (8.0, 9.0, FAILED)).machine((1.2, 3.0, CROWDED)).end()
    for clause in ("up", "back"):
        found = run.clause(clause)
        assert found.value == "unknown"
        assert "before injection" in found.reason
        assert "machine busy" in found.reason


def test_answers_that_are_open_may_decide_the_run_where_they_decide_no_window() -> None:
    right = {"probe": "silent_wrong_answers", "at_least": None, "at_most": 0.01}
    wrong = singles(8.0, 8.5, 11.0, 11.5, 14.0, 14.5, 17.0, 17.5, change={"wrong": True})
    assert stays(*wrong, bound=right).value == "pass"
    found = stays(*wrong, *singles(20.2, 22.4, 24.6, change={"wrong": None}), bound=right)
    assert found.value == "unknown"
    assert "3 of 1,000 answers are open, and decide it" in found.reason


def test_what_was_open_at_the_injection_was_not_before_it() -> None:
    cut_off = [(4.9, 5.0, FAILED | {"done_s": 5.5})]
    assert stays(*cut_off, (5.0, 6.0, FAILED)).value == "fail"


def test_answers_that_could_not_be_checked_are_not_chance() -> None:
    right = {"probe": "silent_wrong_answers", "at_least": None, "at_most": 0.01}
    wrong, unchecked = {"wrong": True}, {"wrong": None}
    assert stays(*singles(8.0, 8.5, change=wrong), bound=right).value == "pass"
    found = stays(*singles(8.0, 8.5, change=wrong), *singles(8.3, change=unchecked), bound=right)
    assert found.value == "unknown"
    assert "could not be checked" in found.reason


def test_a_clause_that_passes_in_spite_of_a_window_used_what_the_run_used() -> None:
    assert stays(*singles(8.0, 8.5)).used == pytest.approx(0.2)
    assert stays(*singles(8.0)).used == pytest.approx(1.0)


# recovered


def test_an_outage_recovers_within_a_narrow_interval() -> None:
    found = recovered((6.0, 13.0, FAILED))
    assert found.value == "pass"
    assert found.measured.after_s == pytest.approx(1.0, abs=0.11)
    assert found.measured.after_s - found.measured.after_lo_s < 0.25


def test_what_chance_explains_was_not_exercised() -> None:
    found = recovered(*singles(8.0, 8.1, 8.2, 8.3, 8.5, 8.7))
    assert found.value == "unknown"
    assert "not exercised: at" in found.reason
    assert "6 of 101 answers: chance explains it" in found.reason


def test_a_breach_that_only_the_run_shows_is_one() -> None:
    # No window has more than 6 of 100, and all of them together are no chance.
    slight = singles(*[6.1 + 0.4 * k for k in range(25)])
    found = recovered(*slight, bound=AGAIN)
    assert found.value == "pass"
    # The last of them was due at 15.7 s, and the window that begins there is kept.
    assert (found.measured.after_lo_s, found.measured.after_s) == (0.0, pytest.approx(3.7, abs=0.1))


def test_failures_by_chance_after_recovery_do_not_undo_it() -> None:
    late = singles(20.0, 20.5)
    found = recovered((6.0, 13.0, FAILED), *late, bound=AGAIN)
    assert found.value == "pass"
    assert found.measured.after_s == pytest.approx(1.0, abs=0.11)
    assert found.measured.beyond == 2


def test_failures_while_it_must_hold_leave_the_moment_of_recovery_open() -> None:
    found = recovered((6.0, 13.0, FAILED), *singles(17.0, 17.5, 18.5), bound=AGAIN)
    assert found.value == "unknown"
    assert "around its deadline" in found.reason
    assert found.measured.after_lo_s == pytest.approx(0.9, abs=0.11)
    assert found.measured.after_s > 6.0


def test_more_than_allowed_after_recovery_did_not_hold() -> None:
    found = recovered((6.0, 13.0, FAILED), *singles(*[18.1 + 0.6 * k for k in range(11)]), bound=AGAIN)
    assert found.value == "unknown"
    assert "not observed to hold" in found.reason


def test_a_relapse_that_only_all_later_answers_show_fails_if_it_is_after_the_deadline() -> None:
    slight = singles(*[18.1 + 0.3 * k for k in range(20)])
    found = recovered((6.0, 13.0, FAILED), *slight, bound=AGAIN)
    assert found.value == "fail"
    assert "still broken after its deadline, 6 s after revert: 20 of 3" in found.reason
    held = recovered((6.0, 13.0, FAILED), bound=AGAIN)
    assert held.value == "pass"
    assert found.cites[:3] == held.cites[:3], "the first window that was broken, as of any recovery"
    in_time = singles(*[15.1 + 0.2 * k for k in range(20)])
    found = recovered((6.0, 13.0, FAILED), *in_time, bound={**AGAIN, "within": "12s"})
    assert (found.value, found.measured.after_s) == ("pass", pytest.approx(6.9, abs=0.1))


def test_a_rate_that_stays_above_what_is_allowed_fails_though_no_window_shows_it() -> None:
    chronic = singles(*[13.2 + 0.3 * k for k in range(40)])
    found = recovered((6.0, 13.0, FAILED), *chronic, bound=AGAIN)
    assert found.value == "fail"
    rare = singles(*[13.2 + 2.0 * k for k in range(6)])
    assert recovered((6.0, 13.0, FAILED), *rare, bound=AGAIN).value != "fail"


def test_a_certain_relapse_after_the_deadline_still_fails() -> None:
    assert recovered((6.0, 13.0, FAILED), (20.0, 20.6, FAILED), bound=AGAIN).value == "fail"


# controls


def control(*bad: Bad) -> ClauseResult:
    run = Run({"recovered": [AGAIN]}, twin="control").gate().answers(*bad).end()
    return run.clause("back")


def test_a_control_is_judged_by_the_same_law() -> None:
    assert control(*singles(8.0, 8.5)).value == "pass"
    assert control((8.0, 8.5, FAILED)).value == "fail"
    scattered = control(*singles(*[2.2 + 0.8 * k for k in range(28)]))
    assert scattered.value == "fail"
    assert "without any fault" in scattered.reason
    assert control(*singles(*[2.2 + 1.7 * k for k in range(13)])).value == "unknown"


# any journal

few = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
RANK = {"fail": 0, "unknown": 1, "pass": 2}


@pytest.mark.slow
@few
@given(st.sets(st.integers(0, 1249), max_size=40), st.integers(0, 1249))
def test_one_more_failure_never_makes_a_verdict_better(failing: set[int], one: int) -> None:
    def value(of: set[int]) -> str:
        return str(stays(*singles(*[0.5 + k / 50 for k in of])).value)

    # What fails before the injection can make a failure one that the fault did not cause.
    after = {k for k in failing if 0.5 + k / 50 > 5.0}
    if 0.5 + one / 50 > 5.0:
        assert RANK[value(after | {one})] <= RANK[value(after)]


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "values"), [(0.001, {"pass"}), (0.05, {"fail"})])
def test_a_tenth_of_the_bound_passes_and_five_times_the_bound_fails(rate: float, values: set[str]) -> None:
    chance = random.Random(7)
    at_s = [5.02 + k / 50 for k in range(998)]
    seen = {stays(*singles(*[t for t in at_s if chance.random() < rate])).value for _ in range(20)}
    assert seen == values
