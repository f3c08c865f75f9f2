"""The guard that every run has: what is bad once the recovery is over, whatever the scenario expects."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from journals import ALL, BROKEN, CROWDED, OBSERVED_S, REVERTED_S, SLOW, STAYS, Run
from pydantic import ValidationError

from harness.judge.facts import Facts, gather
from harness.judge.guard import guarded as checked
from harness.model.answers import ANSWER_PROBES
from harness.model.guard import LIMITS, SETTLE_S, Guard, guard_of

pytestmark = pytest.mark.slow

GUARDED = [f"guard.{name}" for name in LIMITS]
OVER_S = 18.0
"""When the recovery of `ALL` is over: 6 s after the revert."""
FAILED = {"ok": False}
LATE = {"slow": True}
FALLBACK = {"flagged": "default"}
WRONG = {"wrong": True}
NO_MODEL = {"wrong": None, "why": "no model is declared"}
KINDS = [("failed", FAILED), ("slow", LATE), ("flagged", FALLBACK), ("wrong", WRONG), ("wrong", {"stale": True})]


def guarded(
    *bad: tuple[float, float, Mapping[str, Any]],
    expect: Mapping[str, Any] = ALL,
    widened: Mapping[str, Any] | None = None,
    scores_checked: bool = True,
    end_s: float = OBSERVED_S,
    twin: str | None = None,
    rate: int = 50,
) -> Run:
    """Return a run that meets what is expected, with the usual guard, and answers that are bad as said."""
    run = Run(expect, twin=twin)
    guard = guard_of(Guard.model_validate(widened or {}), tuple(ANSWER_PROBES), scores_checked=scores_checked)
    run.plan["guard"] = [limit.model_dump(mode="json", by_alias=True) for limit in guard]
    run.gate()
    if twin is None:
        run.fault().alerts((SLOW, 7.0, 14.0)).readings("lag", BROKEN)
    else:
        run.alerts().readings("lag", 1.0)
    return run.answers(*bad, to_s=end_s + 0.5, rate=rate).end(end_s)


def values(run: Run) -> dict[str, str]:
    return {c.id: c.value.value for c in run.judged().clauses if c.kind == "guard"}


def test_d7_every_kind_of_bad_answer_is_guarded_and_good_ones_pass() -> None:
    verdict = guarded().judged()
    assert verdict.value == "pass", verdict.reasons
    assert [c.id for c in verdict.clauses if c.kind == "guard"] == GUARDED


@pytest.mark.parametrize(("name", "bad"), KINDS)
def test_d7_damage_after_the_recovery_fails_a_run_that_expects_nothing_of_it(name: str, bad: dict[str, Any]) -> None:
    expect = {"recovered": ALL["recovered"]}
    verdict = guarded((20.0, 21.0, bad), expect=expect).judged()
    assert verdict.value == "fail"
    (reason,) = verdict.reasons if name != "failed" else verdict.reasons[:1]
    assert "once the recovery was over: 50 of 351 answers (14.2 %) were bad from 18.00 s on" in reason


@pytest.mark.parametrize(("name", "bad"), KINDS)
def test_d7_damage_before_the_recovery_is_over_is_no_failure(name: str, bad: dict[str, Any]) -> None:
    assert values(guarded((6.0, OVER_S - 0.1, bad), expect={"recovered": ALL["recovered"]}))[f"guard.{name}"] == "pass"


def test_d7_the_recovery_is_over_when_the_last_clause_has_had_its_time() -> None:
    bad = (15.0, 17.0, FALLBACK)
    later = {**ALL["recovered"][0], "id": "later", "within": "8s"}
    from_injection = {**ALL["recovered"][0], "id": "soon", "within": "6s", "from": "injection"}
    assert values(guarded(bad))["guard.flagged"] == "pass"
    assert values(guarded((18.5, 19.5, FALLBACK), expect={"recovered": [later]}))["guard.flagged"] == "pass"
    assert values(guarded((18.5, 19.5, FALLBACK)))["guard.flagged"] == "fail"
    # Its deadline is at 11 s, but nothing has recovered before the fault is out.
    assert values(guarded((12.5, 13.5, FALLBACK), expect={"recovered": [from_injection]}))["guard.flagged"] == "fail"


def test_d7_a_fault_without_a_recovery_clause_has_a_settle_time() -> None:
    over_s = REVERTED_S + SETTLE_S
    expect = {"stays": [STAYS]}
    assert values(guarded((12.0, over_s - 0.1, FALLBACK), expect=expect))["guard.flagged"] == "pass"
    assert values(guarded((over_s + 0.1, over_s + 1.1, FALLBACK), expect=expect))["guard.flagged"] == "fail"


def test_d7_what_is_still_bad_when_a_run_ends_early_is_unknown() -> None:
    run = guarded((15.5, 99.0, FALLBACK), end_s=17.0)
    clause = run.clause("guard.flagged")
    assert clause.value == "unknown"
    assert "flagged_answers in the last seconds of observation: " in clause.reason
    assert "the recovery had until 18.00 s" in clause.reason
    assert values(guarded((12.0, 13.5, FALLBACK), end_s=17.0))["guard.flagged"] == "pass", "good for the last 3 s"


def test_d7_too_short_a_look_shows_nothing() -> None:
    clause = guarded(end_s=REVERTED_S + 0.5).clause("guard.failed")
    assert clause.value == "unknown"
    assert "only 0.50 s of that time were observed" in clause.reason


def test_d7_a_limit_can_be_widened_with_the_reason() -> None:
    bad = (20.0, 21.0, FALLBACK)
    why = {"flagged": {"at_most": 0.2, "because": "the cache fills for a minute"}}
    assert values(guarded(bad))["guard.flagged"] == "fail"
    assert values(guarded(bad, widened=why))["guard.flagged"] == "pass"
    (limit,) = guard_of(Guard.model_validate(why), ["flagged_answers"], scores_checked=True)
    assert limit.text == "flagged_answers at most 0.2 once the recovery is over, because: the cache fills for a minute"


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"flagged": {"at_most": 0.2}}, "because"),
        ({"flagged": {"at_most": 0.2, "because": ""}}, "at least 1 character"),
        ({"flagged": {"at_most": 1, "because": "x"}}, "less than 1"),
        ({"failed": {"at_most": 0.01, "because": "x"}}, "widened"),
        ({"wrong": {"at_most": 0, "because": "x"}}, "widened"),
        ({"slow": {"at_most": 0.01, "because": "x"}}, "`stays`"),
    ],
)  # fmt: skip
def test_d7_a_limit_can_neither_be_left_out_nor_narrowed_nor_widened_in_silence(given: Any, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Guard.model_validate(given)
    assert hint in str(caught.value)


def test_d7_a_stored_run_without_a_guard_is_judged_as_it_was_planned() -> None:
    run = guarded((20.0, 21.0, FALLBACK))
    del run.plan["guard"]
    assert run.judged().value == "pass"


def test_d7_only_what_can_be_known_is_guarded() -> None:
    assert guard_of(Guard(), (), scores_checked=True) == ()
    of_requests = guard_of(Guard(), ("availability", "slow_answers"), scores_checked=True, rate=0.5)
    assert [limit.id for limit in of_requests] == ["guard.failed", "guard.slow"]
    assert of_requests[0].over == 6.0, "three requests at that rate"


def test_d7_where_no_model_is_declared_only_known_wrong_answers_count() -> None:
    run = guarded((0.0, 99.0, NO_MODEL), scores_checked=False)
    clause = run.clause("guard.wrong")
    assert clause.value == "pass"
    assert "351 could not be checked" in clause.reason
    bad = ((0.0, 20.0, NO_MODEL), (20.0, 20.1, WRONG), (20.1, 99.0, NO_MODEL))
    assert values(guarded(*bad, scores_checked=False))["guard.wrong"] == "fail"


def test_d7_where_a_model_is_declared_unchecked_answers_are_no_proof() -> None:
    clause = guarded((18.0, 20.0, {"wrong": None, "why": "the artefact cannot be read"})).clause("guard.wrong")
    assert clause.value == "unknown"
    assert "100 more could not be checked: the artefact cannot be read" in clause.reason
    assert values(guarded((18.0, 18.2, {"wrong": None})))["guard.wrong"] == "pass", "a few may be"


def test_d7_what_was_bad_before_the_fault_is_not_its_doing() -> None:
    clause = guarded((0.0, 99.0, FALLBACK), expect={"recovered": ALL["recovered"]}).clause("guard.flagged")
    assert clause.value == "unknown"
    assert "200 of 200 (100 %) were so before the injection as well" in clause.reason


def singles(number: int, from_s: float, to_s: float) -> list[tuple[float, float, Mapping[str, Any]]]:
    """So many answers fail in a stretch, far from each other."""
    every_s = round((to_s - from_s) / number, 2)
    return [(from_s + k * every_s - 0.008, from_s + k * every_s + 0.012, FAILED) for k in range(number)]


ONLY: dict[str, Any] = {"recovered": ALL["recovered"]}
"""What is expected: nothing of answers."""


@pytest.mark.parametrize("earlier", [1, 2, 3, 6])
def test_d7_a_few_failures_before_the_fault_do_not_excuse_an_outage_after_it(earlier: int) -> None:
    clause = guarded(*singles(earlier, 1.2, 4.8), (18.0, 25.0, FAILED), expect=ONLY).clause("guard.failed")
    assert clause.value == "fail"
    said = "so many fewer that chance does not explain it" in clause.reason
    assert said is (earlier > 2), "where the limit was broken before, it says why that is no excuse"


def test_d7_a_stack_that_loses_as_many_as_before_is_no_finding_and_one_that_loses_more_is() -> None:
    def after(number: int) -> str:
        # 5 % before the fault, and 350 answers once the recovery is over.
        return values(guarded(*singles(10, 1.2, 4.8), *singles(number, 18.0, 25.0), expect=ONLY))["guard.failed"]

    assert [after(17), after(25), after(70)] == ["unknown", "unknown", "fail"], "5 %, 7 % and 20 %"


def test_d7_two_in_a_hundred_before_and_after_the_fault_are_not_its_doing() -> None:
    run = guarded(*singles(4, 1.2, 4.8), *singles(46, 18.0, 64.0), expect=ONLY, end_s=64.0).clause("guard.failed")
    assert run.value == "unknown"
    assert "46 of 2301 answers (2 %) were bad from 18.00 s on" in run.reason
    assert "4 of 200 (2 %) were so before the injection as well" in run.reason
    clean = guarded(*singles(46, 18.0, 64.0), expect=ONLY, end_s=64.0).clause("guard.failed")
    assert clean.value == "fail", "of a stack that lost none before"


def test_d7_what_the_machine_broke_before_the_fault_counts_as_broken_and_excuses_no_more() -> None:
    late = {"slow": True, "done_s": 5.0}
    outage = (18.0, 25.0, {"slow": True})

    def slow(until_s: float) -> Any:
        run = guarded((1.5, until_s, late), outage, expect=ONLY).machine((1.0, 5.2, CROWDED))
        return run.clause("guard.slow")

    assert slow(5.0).value == "fail", "88 % before, and all of them after"
    as_bad = guarded((1.0, 5.0, late), outage, expect=ONLY).machine((0.5, 5.2, CROWDED)).clause("guard.slow")
    assert as_bad.value == "unknown"
    assert "were so before the injection as well, but machine busy" in as_bad.reason
    assert slow(2.0).value == "fail", "an eighth before, and all of them after"


def test_d7_the_machine_is_named_only_where_another_run_may_decide_it() -> None:
    early, crowded = (1.0, 4.5, FALLBACK), (4.5, 4.8, {**FALLBACK, "done_s": 4.9})
    run = guarded(early, crowded, (18.0, 24.0, FALLBACK), expect=ONLY).machine((4.6, 4.9, CROWDED))
    clause = run.clause("guard.flagged")
    assert clause.value == "unknown"
    assert clause.reason.endswith("were so before the injection as well"), (
        "as bad without what the machine may have done"
    )


def test_d7_a_request_that_is_open_at_the_injection_is_not_from_before_it() -> None:
    open_ = {"ok": False, "done_s": 6.0}
    clause = guarded((4.5, 5.0, open_), *singles(35, 18.0, 25.0), expect=ONLY).clause("guard.failed")
    assert clause.value == "fail"
    assert "before the injection" not in clause.reason


def test_d7_what_the_machine_may_have_done_decides_nothing() -> None:
    slow = (20.0, 21.0, {"slow": True, "done_s": 21.5})
    clause = guarded(slow).machine((19.5, 22.0, CROWDED)).clause("guard.slow")
    assert clause.value == "unknown"
    assert clause.reason.count("machine busy") == 1
    assert clause.cause == "machine"
    assert guarded(slow).machine().clause("guard.slow").value == "fail"


def test_d7_a_gap_in_the_workload_hides_what_was_there() -> None:
    clause = guarded().gap("workload", 20.0, 20.5).clause("guard.failed")
    assert (clause.value, clause.reason[-20:]) == ("unknown", "the harness was busy")
    assert guarded((21.0, 22.0, FAILED)).gap("workload", 20.0, 20.5).clause("guard.failed").value == "fail"


def test_d7_a_single_failure_among_few_requests_is_chance() -> None:
    few = guarded((20.0, 20.5, FAILED), rate=2, expect={"recovered": ALL["recovered"]}).clause("guard.failed")
    assert few.value == "unknown"
    assert "1 of 15 answers (6.67 %)" in few.reason
    assert values(guarded((20.0, 24.0, FAILED), rate=2))["guard.failed"] == "fail"


def test_d7_nothing_rests_on_a_fault_that_did_not_land() -> None:
    run = guarded()
    run.lines = [line for line in run.lines if line[1].get("stage") != "confirmed"]
    assert set(values(run).values()) == {"unknown"}
    run = guarded()
    run.lines = [line for line in run.lines if line[1].get("stage") != "reverted"]
    assert set(values(run).values()) == {"unknown"}


def test_d7_a_control_is_guarded_from_the_gate_on() -> None:
    assert values(guarded(twin="control")) == dict.fromkeys(GUARDED, "pass")
    clause = guarded((2.0, 3.0, FALLBACK), twin="control").clause("guard.flagged")
    assert clause.value == "fail"
    assert "without any fault: 50 of 1201 answers" in clause.reason
    assert values(guarded((0.5, 1.0, FALLBACK), twin="control"))["guard.flagged"] == "pass", "that is before the gate"


def test_d7_the_guard_alone_is_no_expectation() -> None:
    verdict = guarded(expect={}).judged()
    assert verdict.value == "unknown"
    assert "expects nothing" in verdict.reasons[0]


def test_d7_damage_during_the_fault_is_named_as_before() -> None:
    verdict = guarded((6.0, 12.0, FALLBACK), expect={"recovered": ALL["recovered"]}).judged()
    assert verdict.value == "pass"
    assert verdict.unbounded == ("30 % of the requests were flagged",)


def test_how_near_a_guard_came() -> None:
    assert guarded((20.0, 20.1, LATE)).clause("guard.slow").used == pytest.approx(5 / 351 / 0.05, abs=1e-3)
    assert guarded().clause("guard.wrong").used is None


RUNS = 300


@pytest.fixture(scope="module")
def well_and_bad() -> dict[str, tuple[Facts, Facts]]:
    """The facts of one run whose answers are all good, and of the same with all of them bad: by limit."""
    well = gather(guarded(expect=ONLY).build())
    kinds = {"failed": FAILED, "slow": LATE}
    return {name: (well, gather(guarded((0.0, 99.0, bad), expect=ONLY).build())) for name, bad in kinds.items()}


def simulated(well: Facts, bad: Facts, name: str, times: float, before: float = 0.0) -> Counter[str]:
    """Judge runs in which answers are bad by chance: before the fault at a rate, then at so many times the limit."""
    chance, found = random.Random(f"{name} {times} {before}"), Counter[str]()
    (clause,) = [limit for limit in well.journal.plan.guard if limit.id == f"guard.{name}"]
    for _ in range(RUNS):
        rates = [before if one.at_s < 5.0 else times * clause.allowed for one in well.attributed]
        pairs = zip(well.attributed, bad.attributed, rates, strict=True)
        facts = replace(well)
        drawn = [wrong if chance.random() < rate else good for good, wrong, rate in pairs]
        facts.__dict__.update(attributed=drawn, disturbed=well.disturbed)
        found[checked(clause, facts).value.value] += 1
    return found


@pytest.mark.parametrize("name", ["failed", "slow"])
def test_of_runs_at_a_tenth_of_a_limit_or_at_all_of_it_none_fails(
    well_and_bad: dict[str, tuple[Facts, Facts]], name: str
) -> None:
    tenth, at = (simulated(*well_and_bad[name], name, times) for times in (0.1, 1.0))
    assert tenth["fail"] == 0
    assert tenth["pass"] >= 0.99 * RUNS, "351 answers: at 0.1 %, four or more are bad in one run of two thousand"
    assert at["fail"] == 0, "its part of the level is one in 15,000"
    assert 0.3 * RUNS < at["unknown"] < 0.7 * RUNS, "about half of them are beyond it by chance"


@pytest.mark.parametrize(("name", "fails"), [("failed", 0.84), ("slow", 1.0)])
def test_of_runs_at_five_times_a_limit_none_passes_and_most_fail(
    well_and_bad: dict[str, tuple[Facts, Facts]], name: str, fails: float
) -> None:
    found = simulated(*well_and_bad[name], name, 5.0)
    assert found["pass"] == 0
    assert found["fail"] == pytest.approx(fails * RUNS, abs=0.06 * RUNS), "14 of 351, or 36: the exact power"


def test_a_stack_that_was_at_five_times_the_limit_before_hardly_ever_fails(
    well_and_bad: dict[str, tuple[Facts, Facts]],
) -> None:
    found = simulated(*well_and_bad["failed"], "failed", 5.0, before=0.05)
    assert found["pass"] == 0
    assert found["fail"] <= 0.01 * RUNS


def test_where_every_request_failed_the_limits_on_answers_say_so() -> None:
    run = guarded((13.0, 99.0, {"ok": False}))
    for name in ("guard.flagged", "guard.wrong"):
        found = run.clause(name)
        assert found.value == "unknown"
        assert re.search(r"; all \d{3} requests failed$", found.reason), found.reason
