"""What an unknown clause comes from: another run may decide it only where a busy machine may be the cause."""

from __future__ import annotations

import copy

import pytest
from journals import ALL, BACK, CLEAR, CROWDED, SEEN, SLOW, STAYS, Run, good_run
from test_machine_busy import QUICK, THROUGHOUT, slow

from harness.judge.verdict import judge
from harness.model.verdict import OWN_CHECKS, Verdict

pytestmark = pytest.mark.slow

UNMEASURED = {"effects": [(5.45, True), (11.5, True)]}
WEAK = {"known_weakness": {"reason": "no retry", "ticket": "ML-7", "until": "2026-07-01", "clauses": ["seen"]}}


def test_a_fault_that_was_not_measured_while_the_machine_was_busy_may_be_in_another_run() -> None:
    run = Run({"detected": [SEEN]}).gate().fault(**UNMEASURED).alerts((SLOW, 7.0, 14.0))
    verdict = copy.deepcopy(run).machine((5.5, 11.4, CROWDED)).end().judged()
    assert verdict.value == "unknown"
    [reason] = verdict.reasons
    assert reason.startswith("slow: the fault was not measured from 5.50 s to 11.50 s (2 clauses rest on it)")
    assert reason.endswith("; machine busy (others took 1.3 of 2 processors at 5.5–11.4 s)")
    assert {clause.cause for clause in verdict.clauses} == {"machine"}
    assert verdict.machine_busy
    assert not copy.deepcopy(run).machine((0.2, 2.6, CROWDED)).end().judged().machine_busy, "it was over by then"
    assert not run.machine((5.5, 7.0, CROWDED)).end().judged().machine_busy, "for too short a time"


@pytest.mark.parametrize(("busy", "named"), [((5.5, 11.4), True), ((0.2, 2.6), False)])
def test_a_known_weakness_leaves_what_may_be_the_machine_s_to_another_run(
    busy: tuple[float, float], named: bool
) -> None:
    for more in ({}, WEAK):
        run = Run({"detected": [SEEN]}, **more).gate().fault(**UNMEASURED).alerts((SLOW, 7.0, 14.0))
        verdict = run.machine((*busy, CROWDED)).end().judged()
        assert verdict.value == "unknown"
        assert verdict.machine_busy is named
        assert all(("machine busy" in reason) is named for reason in verdict.reasons)


def test_an_expected_failure_beside_what_may_be_the_machine_s_is_left_to_another_run() -> None:
    run = Run({"detected": [SEEN], "stays": [QUICK]}, **WEAK).gate().fault().alerts().answers(*slow(14.2, 15.1))
    verdict = run.machine((14.2, 15.1, CROWDED)).end().judged()
    assert verdict.value == "unknown"
    assert [clause.id for clause in verdict.clauses if clause.value == "fail"] == ["seen"]
    assert verdict.machine_busy


def test_what_never_broke_is_not_exercised_on_any_machine() -> None:
    run = Run({"recovered": [BACK]}).gate().fault().readings("lag", 1.0)
    verdict = run.machine(THROUGHOUT).end().judged()
    assert verdict.reasons == ("lag (at most 5): not exercised, it never broke",)
    assert verdict.clauses[0].cause == "other"
    assert not verdict.machine_busy


def test_an_alert_that_never_fired_on_a_busy_machine_may_fire_and_clear_in_another_run() -> None:
    run = Run({"cleared": [CLEAR]}).gate().fault().alerts()
    assert copy.deepcopy(run).machine((5.5, 11.0, CROWDED)).end().judged().machine_busy
    assert not copy.deepcopy(run).machine((0.2, 4.8, CROWDED)).end().judged().machine_busy, "it was quiet by then"
    assert not run.machine().end().judged().machine_busy


def test_answers_that_are_missing_would_be_missing_again() -> None:
    up = {"id": "up", "probe": "availability", "at_least": 0.9999, "over": "2s"}
    verdict = Run({"stays": [up]}).gate().fault().answers().machine(THROUGHOUT).end().judged()
    [reason] = verdict.reasons
    assert "more answers needed" in reason
    assert "machine" not in reason
    assert not verdict.machine_busy


def test_one_clause_that_another_run_would_leave_open_is_enough_not_to_repeat_it() -> None:
    run = Run({"stays": [QUICK], "recovered": [BACK]}).gate().fault().answers(*slow(14.2, 15.1)).readings("lag", 1.0)
    verdict = run.machine((14.2, 15.1, CROWDED)).end().judged()
    assert [clause.cause for clause in verdict.clauses if clause.value == "unknown"] == ["machine", "other"]
    assert not verdict.machine_busy


def test_a_harness_that_is_late_after_the_machine_was_busy_is_late_by_itself() -> None:
    run = Run(ALL).gate(5.0).fault(injected=6.0, confirmed=6.3).alerts().answers(late_s=0.3)
    verdict = run.machine((0.2, 4.0, CROWDED)).end().judged()
    assert verdict.reasons[0].startswith("harness late")
    assert not verdict.machine_busy
    assert verdict.clauses[0].cause == "other"


def test_a_death_before_the_injection_is_the_machine_s_only_shortly_after_it_was_busy() -> None:
    starved = {"memory_pressure": 0.6, "memory_free": 0.01}
    for signal, cause in ((9, "machine"), (11, "other")):
        run = good_run().dies("server", 4.0, signal=signal).machine((2.0, 4.0, starved))
        assert run.clause("death").cause == cause
        assert run.judged().machine_busy is (cause == "machine")


def test_no_clause_that_passes_or_fails_has_a_cause() -> None:
    verdict = good_run().dies("server", 16.0).machine(THROUGHOUT).judged()
    assert {clause.value for clause in verdict.clauses} == {"pass", "fail"}
    assert {clause.cause for clause in verdict.clauses} == {None}
    assert not verdict.machine_busy


def test_a_fault_that_nothing_met_would_be_met_by_nothing_again() -> None:
    why = "no traffic of 'front' met it"
    run = Run(ALL | {"stays": [QUICK]}, guarantees=["checkpoints_restorable"]).gate().fault(confirmed=None)
    run.add(8.05, "fault", fault="slow", stage="effect", lo_s=8.0, hi_s=8.05, landed=False, evidence={"why": why})
    run.alerts().answers().readings("lag", 1.0).machine(THROUGHOUT).end()
    verdict = run.judged()
    assert {(clause.value, clause.cause) for clause in verdict.clauses} == {("unknown", "other")}
    [reason] = verdict.reasons
    assert "machine" not in reason
    slower = copy.deepcopy(run)
    slower.add(9.05, "fault", fault="slow", stage="effect", lo_s=9.0, hi_s=9.05, landed=False, evidence={"why": "late"})
    assert slower.judged().machine_busy, "traffic met it in the end"


def test_what_is_not_written_yet_is_the_machine_s_only_after_it_was_due() -> None:
    late = {"outcome_at": 2000, "entity": "JFK"}
    examples = {"due_until": 10_000, "settled_until": None, "training": {}}
    run = Run(guarantees=["examples_exactly_once"]).gate().fault().answers((10.0, 10.1, late))
    run.evidence("examples", **examples).evidence("lineage", versions=[]).end()
    clause = copy.deepcopy(run).machine((12.0, 20.0, CROWDED)).clause("examples_exactly_once")
    assert (clause.value, clause.cause) == ("unknown", "machine")
    assert copy.deepcopy(run).machine((0.2, 9.0, CROWDED)).clause("examples_exactly_once").value == "fail"


@pytest.mark.parametrize(("busy", "cause"), [((4.0, 6.5), "machine"), ((15.0, 20.0), "other")])
def test_an_alert_in_the_control_is_the_machine_s_only_shortly_after_it_was_busy(
    busy: tuple[float, float], cause: str
) -> None:
    run = Run({"detected": [SEEN]}).gate().fault().alerts((SLOW, 7.0, 9.0)).machine().end()
    control = Run({"detected": [SEEN]}, twin="control").gate().alerts((SLOW, 7.0, 8.0)).machine((*busy, CROWDED)).end()
    verdict = run.judged(control)
    seen = next(clause for clause in verdict.clauses if clause.id == "seen")
    assert (seen.value, seen.cause) == ("unknown", cause)
    assert "fired in the control too" in seen.reason
    assert ("machine busy" in seen.reason) is (cause == "machine")


@pytest.mark.parametrize(("busy", "cause"), [((13.5, 14.9), "machine"), ((0.2, 2.6), "other")])
def test_a_control_that_proves_nothing_for_the_machine_s_sake_may_in_another_run(
    busy: tuple[float, float], cause: str
) -> None:
    run = Run({"detected": [SEEN]}).gate().fault().alerts((SLOW, 7.0, 9.0)).machine().end()
    control = Run({"detected": [SEEN]}, twin="control").gate().alerts(skip=[] if cause == "machine" else [(15.0, 18.0)])
    if cause == "machine":
        control.alerts(("Other", 15.0, 16.0), source="second")
    verdict = run.judged(control.machine((*busy, CROWDED)).end())
    proof = next(clause for clause in verdict.clauses if clause.id == "control")
    assert (proof.value, proof.cause) == ("unknown", cause)
    assert verdict.machine_busy is (cause == "machine")


def test_an_alert_that_the_machine_may_have_set_off_has_that_cause() -> None:
    run = Run({"quiet": "others"}).gate().fault().alerts(("Other", 15.0, 16.0))
    clause = run.machine((12.0, 13.5, CROWDED)).end().clause("quiet")
    assert (clause.value, clause.cause) == ("unknown", "machine")


def test_a_verdict_goes_by_causes_and_not_by_words() -> None:
    verdict = good_run().dies("harness:proxy", 16.0).judged()
    clause = next(c for c in verdict.clauses if c.value == "unknown")

    def with_cause(cause: str | None, reason: str) -> Verdict:
        told = clause.model_copy(update={"cause": cause, "reason": reason})
        return verdict.model_copy(update={"clauses": (told,), "reasons": (reason,)})

    assert with_cause("machine", "whatever it was").machine_busy
    assert not with_cause("other", "machine busy").machine_busy
    assert not with_cause(None, "machine busy").machine_busy
    assert not verdict.model_copy(update={"clauses": ()}).machine_busy


def test_what_the_judge_checks_by_itself_is_in_one_table() -> None:
    runs = [
        Run(ALL).gate(met=False, why="availability is 80 %").end(None, closed="gate"),
        good_run().dies("server", 0.8).answers(late_s=0.3),
        Run({}).gate().fault().end(closed="error"),
        Run({"stays": [STAYS]}, twin="misfire").gate().fault().answers().end(),
        Run(ALL).gate().fault().end(None, closed="aborted"),
    ]
    verdicts = [run.judged() for run in runs]
    verdicts.append(judge(good_run().build(), Run(ALL, seed=8, twin="control").gate().end().build()))
    own = {
        clause.id for verdict in verdicts for clause in verdict.clauses if clause.kind in ("run", "abort", "collateral")
    }
    assert own == set(OWN_CHECKS) - {"judge"}, "and the id of a judge that crashed"
