"""A run that a guardrail ended: a failure once a fault was in, else unknown; and a run that was stopped."""

from __future__ import annotations

from typing import Any

import pytest
from journals import ALL, STAYS, Run

from harness.model.verdict import Verdict

RULE = {"probe": "availability", "at_most": 0.5, "over": "2s"}
TEXT = "availability at most 0.5 over 2s"
DOWN = {"ok": False, "error": "status 500"}
CUT_S = 8.2


def crossed(run: Run, at_s: float = CUT_S, **changes: Any) -> Run:
    """A guardrail is crossed, and the fault reverted."""
    run.plan["abort_if"] = [RULE, {"alert": "Stale"}, {"probe": "lag", "at_least": 5, "over": "1s"}]
    body = {"why": "probe", "rule": TEXT, "probe": "availability", "from_s": at_s - 2, "at_s": at_s, "value": 0.0}
    run.add(at_s, "abort", **(body | {"measured": "0 %", "lines": [3, 4]} | changes))
    run.add(at_s + 0.01, "phase", phase="healing")
    return run.end(None, closed="aborted")


def under_fault(expect: Any = ALL, **how: Any) -> Run:
    return Run(expect, **how).gate().fault(reverted=CUT_S + 0.1)


def reason(verdict: Verdict) -> str:
    return verdict.reasons[0]


def test_with_a_fault_in_it_fails_and_cites_the_line() -> None:
    run = crossed(under_fault().answers((6.0, 9.0, DOWN), to_s=9.0).alerts(to_s=9.0).readings("lag", 1.0, to_s=9.0))
    verdict = run.judged()
    assert verdict.value == "fail"
    assert reason(verdict).startswith(f"aborted by guardrail: {TEXT} (0 % at 8.20 s, journal line ")
    clause = verdict.clauses[0]
    assert (clause.id, clause.kind) == ("aborted", "abort")
    line = clause.cites[0]
    assert f"journal line {line})" in clause.reason
    assert run.build().lines[line - 1].body.kind == "abort"
    assert clause.cites[1:] == (3, 4)


def test_no_clause_of_a_run_that_ended_early_passes_it() -> None:
    verdict = crossed(under_fault({"stays": [STAYS]}).answers(to_s=9.0)).judged()
    assert verdict.value == "fail"
    assert [c.id for c in verdict.clauses if c.value == "fail"] == ["aborted"]


def test_before_any_fault_it_is_unknown() -> None:
    run = crossed(Run(ALL).gate().answers((2.0, 9.0, DOWN), to_s=9.0), at_s=4.5)
    verdict = run.judged()
    assert verdict.value == "unknown"
    assert reason(verdict).endswith("; no fault was in: the stack was bad without one")


@pytest.mark.parametrize("from_s", [2.0, 2.9])
def test_what_was_so_before_the_fault_is_not_its_doing(from_s: float) -> None:
    verdict = crossed(under_fault().answers((from_s, 9.0, DOWN), to_s=9.0)).judged()
    assert verdict.value == "unknown"
    assert "it was so before the first fault went in" in reason(verdict)


def test_a_probe_that_was_down_before_the_fault_is_not_its_doing() -> None:
    rule = {"rule": "lag at least 5 over 1s", "probe": "lag", "measured": "no answer: refused"}
    for down_from_s, value in ((4.0, "unknown"), (6.0, "fail")):
        run = under_fault().answers(to_s=9.0).readings("lag", 1.0, down=[(down_from_s, 9.0)], to_s=9.0)
        assert crossed(run, **rule).judged().value == value


def test_an_alert_that_fired_before_the_fault_is_not_its_doing() -> None:
    for from_s, value in ((3.0, "unknown"), (6.0, "fail")):
        run = under_fault().alerts(("Stale{service=x}", from_s, 9.0), to_s=9.0).answers(to_s=9.0)
        rule = {"why": "alert", "rule": "the alert Stale fires", "alert": "Stale", "measured": "Stale{service=x}"}
        assert crossed(run, **rule).judged().value == value


def test_a_fault_that_was_in_for_too_long_fails() -> None:
    rule = {"why": "fault_time", "rule": "limits.fault_time 3s", "measured": "slow in for 4.2 s"}
    verdict = crossed(under_fault().answers(to_s=9.0), **rule).judged()
    assert verdict.value == "fail"
    assert "limits.fault_time 3s (slow in for 4.2 s" in reason(verdict)


def test_a_fault_that_is_not_measured_to_be_gone_is_told_besides() -> None:
    verdict = crossed(Run(ALL).gate().fault(reverted=None).answers((6.0, 9.0, DOWN), to_s=9.0)).judged()
    assert verdict.value == "fail"
    assert any("never measured to be gone" in clause.reason for clause in verdict.clauses)


def test_an_unsound_run_is_unknown_and_still_names_the_guardrail() -> None:
    verdict = crossed(under_fault().answers((6.0, 9.0, DOWN), to_s=9.0).dies("server", 3.0)).judged()
    assert verdict.value == "unknown"
    assert any("aborted by guardrail" in one for one in verdict.reasons)


@pytest.mark.parametrize(("twin", "value"), [("misfire", "fail"), ("sabotage", "unknown")])
def test_twins_have_the_same_rules_and_a_sabotage_is_never_caught_so(twin: str, value: str) -> None:
    sabotage = {"kind": "alert", "name": "Slow", "breaks": ["up"], "service": "m", "env": {"A": "B"}}
    run = under_fault(twin=twin, sabotage=sabotage if twin == "sabotage" else None)
    verdict = crossed(run.answers((6.0, 9.0, DOWN), to_s=9.0)).judged()
    assert verdict.value == value
    assert verdict.counts_as == value
    assert any("aborted by guardrail" in one for one in verdict.reasons)


def test_a_control_that_is_aborted_is_bad_without_any_fault() -> None:
    run = crossed(Run(ALL, twin="control").gate().answers((6.0, 9.0, DOWN), to_s=9.0))
    assert run.clause("aborted").value == "unknown"
    [up] = [clause for clause in run.judged().clauses if clause.id == "up"]
    assert up.value == "fail", "its clauses say so"
    assert run.judged().value == "fail"


def test_a_known_weakness_does_not_excuse_it() -> None:
    weakness = {"reason": "slow", "ticket": "ML-1", "until": "2030-01-01", "clauses": ["up"]}
    run = under_fault(known_weakness=weakness).answers((6.0, 9.0, DOWN), to_s=9.0)
    verdict = crossed(run).judged()
    assert verdict.value == "fail"
    assert "aborted by guardrail" in reason(verdict)


def test_an_abort_that_could_not_be_written_down_is_unknown() -> None:
    verdict = under_fault().answers(to_s=9.0).end(None, closed="aborted").judged()
    assert verdict.value == "unknown"
    assert "could not be written" in reason(verdict)


def test_it_is_never_a_busy_machine_s_and_is_not_repeated() -> None:
    run = under_fault().answers((6.0, 9.0, DOWN), to_s=9.0).dies("server", 3.0)
    assert not crossed(run).judged().machine_busy


def test_a_stopped_run_is_unknown_and_says_by_whom() -> None:
    run = under_fault().answers(to_s=9.0)
    run.add(CUT_S, "stop", latch="/state/stop/all", by="ann", since="2026-06-01T10:00:03+00:00", why="an incident")
    verdict = run.end(None, closed="stopped").judged()
    assert verdict.value == "unknown"
    told = "stopped by ann at 2026-06-01T10:00:03+00:00 (an incident): the latch /state/stop/all, journal line "
    assert reason(verdict).startswith(told)
