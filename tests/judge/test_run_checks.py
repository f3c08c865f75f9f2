"""What makes a run `unknown`: the gate, lateness, an unconfirmed fault, deaths, and how the run ended."""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

import pytest
from journals import ALL, SLOW, STAYS, Run, good_run

from harness.judge import judge, kinds
from harness.model.alert_clauses import Detected
from harness.model.expectations import Expect
from harness.model.verdict import Value, merge

EVERY_KIND = {**ALL, "flaps_at_most": [{"id": "flaps", "alert": SLOW, "at_most": 1}]}
JUDGED = [type(clause) for clause in Expect.model_validate(EVERY_KIND).all_clauses(("promotion_monotonic",))]


def values(run: Run) -> set[str]:
    """The values of all clauses that rest on the fault."""
    return {c.value.value for c in run.judged().clauses}


def told(run: Run) -> str:
    verdict = run.judged()
    assert verdict.value == "unknown", verdict
    return " / ".join(verdict.reasons)


def faulted(*alerts: tuple[str, float, float], **fault: Any) -> Run:
    return Run(ALL).gate().fault(**fault).alerts(*alerts).answers().readings("lag", 1.0).end()


def test_a_good_run_passes() -> None:
    verdict = good_run().judged()
    assert (verdict.value, verdict.reasons) == ("pass", ())
    assert {c.kind for c in verdict.clauses} == {"detected", "quiet", "stays", "recovered", "cleared", "collateral"}


def test_fail_beats_unknown_beats_pass() -> None:
    assert merge([Value.PASS, Value.UNKNOWN, Value.FAIL]) == "fail"
    assert merge([Value.PASS, Value.UNKNOWN]) == "unknown"
    assert merge([Value.PASS]) == "pass"
    assert merge([]) == "unknown"
    run = good_run().dies("server", 8.0)
    run.add(0.0, "stack_up", ready_s=0.5)
    run.lines = [line for line in run.lines if line[1]["kind"] != "reading"]
    verdict = run.judged()
    assert verdict.value == "fail"
    assert any(c.value == "unknown" for c in verdict.clauses)
    assert all("lag" not in reason for reason in verdict.reasons)


def test_an_unmet_gate_makes_all_unknown_even_a_failure() -> None:
    run = Run(ALL).gate(met=False, why="availability 0.5").fault().alerts(("Stale", 7.0, 8.0)).end(closed="gate")
    run.dies("server", 8.0)
    assert "availability 0.5" in told(run)
    assert values(run) == {"unknown"}


def test_no_gate_at_all_is_unknown() -> None:
    assert "before its steady state" in told(Run(ALL).fault().alerts().end())


def test_a_run_that_says_it_stopped_at_a_gate_that_was_met_is_unknown() -> None:
    run = good_run()
    run.lines = [line for line in run.lines if line[1]["kind"] != "closed"]
    assert "ended early" in told(run.add(27.0, "closed", reason="gate"))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"injected": None, "confirmed": None, "reverted": None}, "before injection"),
        ({"confirmed": None}, "never confirmed"),
        ({"landed": False}, "never confirmed"),
        ({"effects": [(8.0, True), (10.0, False)]}, "had no effect at"),
        ({"effects": []}, "was not measured from"),
        ({"effects": [(6.0, True), (11.5, True)]}, "was not measured from"),
        ({"effects": [(6.0, True), (8.0, None), (11.5, True)]}, "was not measured from"),
        ({"effects": [(6.0, True), (9.0, True)], "reverted": None}, "was not measured from"),
    ],
)
def test_a_fault_that_did_not_prove_itself_makes_its_clauses_unknown(fault: dict[str, Any], said: str) -> None:
    # Neither a pass (the alert fired) nor a fail (another one fired, and a process died).
    run = faulted((SLOW, 7.0, 9.0), ("Stale", 7.0, 9.0), **fault).dies("server", 8.0)
    assert said in told(run)
    assert values(run) == {"unknown"}


def test_a_fault_that_was_never_confirmed_says_what_was_looked_for_last() -> None:
    run = faulted((SLOW, 7.0, 9.0), confirmed=None)
    for at_s, why in ((6.2, "toxics are not on"), (7.2, "no traffic of 'front' met it")):
        run.add(at_s, "fault", fault="slow", stage="effect", lo_s=at_s, hi_s=at_s, landed=False, evidence={"why": why})
    assert "the fault was injected but never confirmed: no traffic of 'front' met it" in told(run)


def test_a_fault_that_could_not_be_handled_makes_its_clauses_unknown() -> None:
    run = faulted((SLOW, 7.0, 9.0))
    run.add(12.0, "fault", fault="slow", stage="failed", lo_s=12, hi_s=12, evidence={"error": "the proxy hung"})
    assert "the proxy hung" in told(run)


def test_what_is_measured_before_it_landed_or_while_it_goes_out_is_no_lapse() -> None:
    run = good_run()
    run.add(5.1, "fault", fault="slow", stage="effect", lo_s=5.1, hi_s=5.15, landed=False)
    run.add(11.8, "fault", fault="slow", stage="reverting", lo_s=11.8, hi_s=11.8)
    run.add(11.9, "fault", fault="slow", stage="effect", lo_s=11.7, hi_s=11.9, landed=False)
    run.add(11.95, "fault", fault="slow", stage="effect", lo_s=11.9, hi_s=11.95, landed=False)
    assert run.judged().value == "pass"


def test_a_revert_must_be_measured_absence() -> None:
    run = good_run()
    for _, body in run.lines:
        if body.get("stage") == "reverted":
            body["landed"] = True
    assert "its effect was still measured" in told(run)


def test_a_fault_that_never_was_seen_gone_is_no_pass() -> None:
    run = Run({"detected": ALL["detected"]}).gate().fault(reverted=None).alerts((SLOW, 7.0, 14.0)).end()
    assert "never measured to be gone" in told(run)


def test_another_faults_doubt_leaves_a_detection_alone() -> None:
    expect = {"detected": ALL["detected"]}
    run = Run(expect, faults=("slow", "second")).gate().fault().alerts((SLOW, 7.0, 9.0))
    run.fault("second", injected=15.0, confirmed=None, reverted=18.0).end()
    assert run.clause("seen").value == "pass"
    assert run.judged().value == "unknown"


def test_a_harness_late_in_sending_or_in_polling_is_unknown() -> None:
    sends = Run(ALL).gate().fault().alerts((SLOW, 7.0, 14.0)).answers(late_s=0.11).end()
    assert "harness late" in told(sends)
    polls = Run(ALL).gate().fault().alerts((SLOW, 7.0, 14.0), late_s=0.11).answers().end()
    assert "harness late" in told(polls)  # a thousand requests on time do not make up for it
    assert values(polls) == {"unknown"}


def test_a_late_harness_hides_no_fault_that_was_not_in() -> None:
    lost = Run(ALL).gate().fault(confirmed=None).alerts((SLOW, 7.0, 14.0)).answers(late_s=0.11).end()
    assert "harness late" in told(lost)
    assert "besides, " in told(lost)
    whole = Run(ALL).gate().fault().alerts((SLOW, 7.0, 14.0)).answers(late_s=0.11).end()
    assert "besides, " not in told(whole)
    on_time = Run({"detected": ALL["detected"]}).gate().fault().alerts((SLOW, 7.0, 14.0), late_s=0.09).end()
    assert on_time.judged().value == "pass"


def test_lateness_before_the_gate_does_not_count() -> None:
    run = good_run().answers(from_s=0.0, to_s=0.9, late_s=0.5)
    assert run.judged().value == "pass"


def test_a_death_before_injection_is_unknown() -> None:
    for at_s in (0.5, 4.0):
        assert "before injection" in told(good_run().dies("server", at_s))
    never = Run(ALL).gate().alerts().end().dies("server", 8.0)
    assert "before injection" in told(never)


def test_what_does_its_work_and_ends_while_the_stack_starts_did_not_die() -> None:
    assert good_run().dies("prepare", 0.5, exit_code=0, signal=None).judged().value == "pass"
    assert good_run().dies("prepare", 0.5, exit_code=1, signal=None).judged().value == "unknown"


def test_a_death_that_no_fault_inflicted_is_collateral() -> None:
    verdict = good_run().dies("server", 8.0).judged()
    assert verdict.value == "fail"
    assert "collateral: server died at 8.00 s (signal 11)" in verdict.reasons[0]
    assert verdict.of_kind("collateral")[0].cites
    assert "exit code 3" in good_run().dies("server", 8.0, signal=None, exit_code=3).judged().reasons[0]


def test_deaths_that_the_fault_or_the_harness_made_are_not_collateral() -> None:
    run = good_run().dies("server", 8.0, asked="slow").dies("server", 26.0, asked="harness").dies("worker", 25.5)
    assert run.judged().value == "pass"


def test_the_death_of_a_replica_is_that_of_its_service() -> None:
    verdict = good_run().dies("server", 8.0, replica=3).judged()
    assert "collateral: replica 3 of server died at 8.00 s (signal 11)" in verdict.reasons[0]
    assert good_run(may_die=["server"]).dies("server", 8.0, replica=3).judged().value == "pass"


def test_services_that_may_die_may() -> None:
    assert good_run(may_die=["server"]).dies("server", 8.0).judged().value == "pass"
    assert good_run(may_die=["server"]).dies("worker", 8.0).judged().value == "fail"


def test_the_harness_s_own_proxy_is_no_part_of_the_stack() -> None:
    assert "fault proxy died" in told(good_run().dies("harness:proxy", 8.0))
    assert good_run().dies("harness:proxy", 8.0).dies("server", 7.0).judged().value == "fail"
    after = good_run().dies("harness:proxy", 8.0).dies("server", 9.0).judged()
    assert after.value == "unknown", "what follows from the end of the proxy is not the stack's"


def test_what_was_open_when_the_proxy_died_decides_nothing() -> None:
    cut_off = (7.9, 8.1, {"ok": False, "done_s": 8.2})
    run = Run({"stays": [STAYS]}).gate().fault(reverted=None).answers(cut_off, to_s=8.1)
    run.dies("harness:proxy", 8.0).add(8.3, "phase", phase="healing").add(9.0, "closed", reason="error", error="died")
    verdict = run.judged()
    assert verdict.value == "unknown", verdict.reasons
    assert all(clause.value != "fail" for clause in verdict.clauses)


@pytest.mark.parametrize(("at_s", "value"), [(5.1, "unknown"), (6.3, "fail")])
def test_a_death_while_the_fault_goes_in_may_have_come_before_it(at_s: float, value: str) -> None:
    run = Run({"stays": [STAYS]}).gate().fault(injected=(5.0, 6.2), confirmed=6.4).answers().end()
    found = run.dies("server", at_s).clause("collateral")
    assert found.value == value
    assert ("may have died before the fault went in" in found.reason) is (value == "unknown")


@pytest.mark.parametrize(("may_die", "value"), [(["server"], "pass"), ([], "unknown")])
def test_a_service_that_may_die_may_do_so_before_the_injection(may_die: list[str], value: str) -> None:
    assert good_run(may_die=may_die).dies("server", 3.0).judged().value == value


def test_a_journal_that_was_never_closed_is_unknown() -> None:
    run = good_run()
    run.lines = [line for line in run.lines if line[1]["kind"] != "closed"]
    assert "cut off" in told(run)


@pytest.mark.parametrize("reason", ["interrupted", "error"])
def test_a_run_that_ended_early_is_unknown(reason: str) -> None:
    run = good_run()
    run.lines = [line for line in run.lines if line[1]["kind"] != "closed"]
    assert f"ended early: {reason} (^C)" in told(run.add(27.0, "closed", reason=reason, error="^C"))


def test_an_interrupted_run_is_not_held_to_what_healing_and_stopping_did() -> None:
    run = Run({"stays": ALL["stays"], "quiet": "others"}).gate().fault().alerts(("Stale", 15.5, 18.0), to_s=18.0)
    run.answers((15.0, 18.0, {"ok": False}), to_s=18.0).dies("server", 16.0)
    run.add(14.9, "phase", phase="healing").add(15.0, "phase", phase="stopping").end(None, closed="interrupted")
    verdict = run.judged()
    assert verdict.value == "unknown"
    assert all(c.value != "fail" for c in verdict.clauses)


def test_a_failure_seen_before_the_run_was_cut_off_is_a_failure_still() -> None:
    run = Run({"quiet": "others"}).gate().fault(reverted=None).alerts(("Stale", 7.0, 9.0), to_s=9.0).end(None, None)
    run.lines = [line for line in run.lines if line[0] < 9.0]
    assert run.judged().value == "fail"


def test_evidence_of_another_form_makes_its_guarantee_unknown() -> None:
    run = good_run(guarantees=["promotion_monotonic"]).evidence("promotions", history=[{"seq": 1}])
    verdict = run.judged()
    assert verdict.value == "unknown"
    assert "not of the documented form: history.0.version: the field 'version' is missing" in verdict.reasons[0]
    assert [c.id for c in verdict.clauses if c.value != "pass"] == ["promotion_monotonic"]


def crash(_clause: object, _facts: object) -> NoReturn:
    raise ZeroDivisionError("so many")


@pytest.mark.parametrize("kind", [kinds.BY_CLAUSE[clause] for clause in JUDGED], ids=lambda kind: kind.document)
def test_a_checker_that_crashes_makes_its_own_clauses_unknown(
    monkeypatch: pytest.MonkeyPatch, kind: kinds.ExpectationKind[Any]
) -> None:
    run = good_run(EVERY_KIND, guarantees=["promotion_monotonic"]).evidence("promotions", history=[])
    before = run.judged()
    monkeypatch.setitem(kinds.BY_CLAUSE, kind.clause, dataclasses.replace(kind, checker=crash))
    verdict = run.judged()
    crashed = verdict.of_kind(kind.result.KIND)
    assert crashed
    for clause in crashed:
        assert (clause.value, type(clause.measured)) == ("unknown", kind.result)
        assert clause.reason == f"{clause.id}: its checker failed: ZeroDivisionError: so many"
    assert [c for c in verdict.clauses if c not in crashed] == [c for c in before.clauses if c.kind != kind.result.KIND]
    assert verdict.value == "unknown"


def test_a_failure_beside_a_checker_that_crashes_is_still_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    crashing = dataclasses.replace(kinds.BY_CLAUSE[Detected], checker=crash)
    monkeypatch.setitem(kinds.BY_CLAUSE, Detected, crashing)
    verdict = good_run().dies("server", 8.0).judged()
    assert verdict.value == "fail"
    assert [c.id for c in verdict.clauses if c.value == "fail"] == ["collateral"]


def test_an_unknown_fault_named_by_a_clause_is_unknown() -> None:
    run = good_run({"detected": [{"id": "seen", "alert": SLOW, "within": "6s", "fault": "nobody"}]})
    assert judge(run.build()).value == "unknown"


def test_an_empty_journal_is_unknown() -> None:
    assert "before its steady state" in told(Run(ALL))


def test_faults_are_reported_with_their_evidence() -> None:
    run = good_run()
    for _, body in run.lines:
        if body.get("stage") == "confirmed":
            body["evidence"] = {"added_ms": 790}
    [report] = run.judged().faults
    assert (report.injected_at_s, report.confirmed_at_s, report.reverted_at_s) == (5.0, 5.3, 12.0)
    assert report.evidence == {"added_ms": 790}
    assert report.target == "link trainer -> store"
    [never] = Run(ALL).gate().alerts().end().judged().faults
    assert (never.injected_at_s, never.evidence) == (None, {})
