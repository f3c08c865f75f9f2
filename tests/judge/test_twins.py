"""Twins and marks: the control, the sabotage, the known weakness; and what a run cost."""

from __future__ import annotations

from typing import Any

import pytest
from journals import ALL, BACK, SLOW, STAYS, Run, good_run, lag

WEAK = {"known_weakness": {"reason": "no retry", "ticket": "ML-7", "until": "2026-07-01"}}


def control(*alerts: tuple[str, float, float], lag_broken: tuple[float, float] = (0.0, 0.0), **plan: Any) -> Run:
    run = Run(ALL, twin="control", **plan).gate().alerts(*alerts).answers()
    return run.readings("lag", lag(lag_broken)).end()


# control


def test_a_silent_control_passes() -> None:
    verdict = control().judged()
    assert verdict.value == "pass"
    assert {c.kind for c in verdict.clauses} == {"quiet", "stays", "unbroken", "collateral"}


def test_a_control_fails_when_any_alert_fires_even_an_expected_one() -> None:
    assert control((SLOW, 8.0, 9.0)).judged().value == "fail"


def test_a_control_fails_when_what_should_recover_ever_broke() -> None:
    verdict = control(lag_broken=(8.0, 8.2)).judged()
    assert verdict.value == "fail"
    assert "without any fault" in verdict.reasons[0]


def test_a_control_fails_when_what_must_stay_did_not() -> None:
    run = Run(ALL, twin="control").gate().alerts().readings("lag", 1.0)
    assert run.answers((3.0, 4.0, {"ok": False})).end().judged().value == "fail"


def test_a_control_that_goes_through_the_motions_is_held_to_all_of_it() -> None:
    # Where the moments of the fault are marked, what comes before them counts too.
    marks = {"landed": False, "effects": []}
    broken = Run(ALL, twin="control").gate().fault(**marks).alerts().readings("lag", 1.0)
    assert broken.answers((2.0, 3.0, {"ok": False})).end().judged().value == "fail"
    assert control().fault(**marks).dies("server", 3.0).judged().value == "fail"
    assert control().fault(**marks).judged().value == "pass"


def test_a_control_fails_on_a_death() -> None:
    assert control().dies("server", 8.0).judged().value == "fail"


def test_a_control_that_could_not_be_read_is_unknown() -> None:
    run = Run(ALL, twin="control").gate().alerts().answers().readings("lag", 1.0, skip=[(7.0, 9.0)]).end()
    assert run.judged().value == "unknown"
    assert Run(ALL, twin="control").gate().alerts().answers().end().judged().value == "unknown"


def test_a_detection_met_in_the_control_voids_the_pass() -> None:
    verdict = good_run().judged(control((SLOW, 8.0, 9.0)))
    assert verdict.value == "unknown"
    assert "in the control too" in verdict.reasons[0]
    assert verdict.of_kind("detected")[0].measured.met is None


def test_an_alert_that_fires_all_along_in_the_control_voids_it_too() -> None:
    assert good_run().judged(control((SLOW, 0.0, 40.0))).value == "unknown"


def test_other_alerts_in_the_control_void_nothing() -> None:
    assert good_run().judged(control(("Stale", 8.0, 9.0))).value == "pass"
    assert good_run().judged(control((SLOW, 0.5, 0.8))).value == "pass"


def test_a_control_does_not_save_a_failure() -> None:
    late = Run({"detected": ALL["detected"]}).gate().fault().alerts().end()
    assert late.judged(control((SLOW, 8.0, 9.0))).value == "fail"


@pytest.mark.parametrize("other", [{"seed": 8}, {"start_at": "2013-06-15T06:00"}])
def test_another_run_s_control_is_none(other: dict[str, Any]) -> None:
    verdict = good_run().judged(control(**other))
    assert verdict.value == "unknown"
    assert "not this run's" in verdict.reasons[0]
    assert good_run().judged(good_run()).value == "unknown"


def test_a_control_that_was_to_read_no_alerts_proves_nothing_of_a_run_that_read_some() -> None:
    beside = Run(ALL, twin="control", rules=()).gate().answers().readings("lag", 1.0).end()
    verdict = good_run().judged(beside)
    assert verdict.value == "unknown"
    assert any("not this run's" in reason for reason in verdict.reasons)


def test_a_control_that_read_no_alerts_proves_nothing_whatever_its_plan_says() -> None:
    # Neither plan names an alert: that there are some is seen in the run alone.
    run = Run(ALL, rules=()).gate().fault().alerts((SLOW, 7.0, 14.0)).answers()
    run.readings("lag", lag((6.0, 14.0))).end()
    beside = Run(ALL, twin="control", rules=()).gate().answers().readings("lag", 1.0).end()
    assert run.judged().value == "pass"
    verdict = run.judged(beside)
    assert verdict.value == "unknown"
    assert "the control proves nothing: quiet: no polls of the alerts from 1.00 to 25.00 s" in verdict.reasons


def test_a_control_in_which_a_source_of_the_run_was_never_polled_proves_nothing() -> None:
    verdict = good_run().alerts(source="pager").judged(control())
    assert verdict.value == "unknown"
    assert "pager was never polled in it" in verdict.reasons[0]
    assert good_run().alerts(source="pager").judged(control().alerts(source="pager")).value == "pass"


def test_an_alert_that_fires_when_the_control_is_over_voids_nothing() -> None:
    assert good_run().judged(control((SLOW, 25.2, 26.0))).value == "pass"
    # Between two polls, the earlier of which is still in the control's time.
    assert good_run().judged(control((SLOW, 25.0, 26.0))).value == "unknown"


@pytest.mark.parametrize("landed", [True, None])
@pytest.mark.parametrize("stage", ["injecting", "injected", "confirmed", "effect", "reverting", "reverted"])
def test_a_control_that_a_fault_went_into_is_none(stage: str, landed: bool | None) -> None:
    beside = control().add(8.0, "fault", fault="slow", stage=stage, lo_s=8.0, hi_s=8.0, landed=landed)
    for verdict in (beside.judged(), good_run().judged(beside)):
        assert verdict.value == "unknown"
        assert "a fault went in at 8.00 s: this is no control" in verdict.reasons[0]


def test_a_control_whose_rows_or_processes_a_fault_hit_is_none() -> None:
    assert control().hit(8.0, {"entity": "JFK"}).judged().value == "unknown"
    assert control().dies("server", 8.0, asked="slow").judged().value == "unknown"
    assert control().hit(8.0).judged().value == "pass"


def test_a_fault_of_a_control_that_waited_in_vain_went_in_nowhere() -> None:
    # A fault that waits for another one, or for an alert, is not due in a control.
    waited = control().add(8.0, "fault", fault="slow", stage="failed", lo_s=8.0, hi_s=8.0, evidence={"error": "x"})
    assert waited.judged().value == "pass"
    assert good_run().judged(waited).value == "pass"


# sabotage


def sabotaged(*breaks: str, alerts: bool = False) -> Run:
    off = {"kind": "alert", "name": SLOW, "breaks": list(breaks), "service": "monitor", "env": {"RULES_OFF": SLOW}}
    run = Run({"detected": ALL["detected"]}, twin="sabotage", sabotage=off).gate().fault()
    return run.alerts(*([(SLOW, 7.0, 9.0)] if alerts else [])).end()


def test_a_sabotage_is_caught_when_its_clause_is_among_the_reasons() -> None:
    verdict = sabotaged("seen").judged()
    assert (verdict.value, verdict.caught, verdict.sabotage) == ("fail", True, "alert Slow")
    assert any(SLOW in reason for reason in verdict.reasons)


def test_a_sabotage_that_nothing_noticed_is_not_caught() -> None:
    verdict = sabotaged("seen", alerts=True).judged()
    assert (verdict.value, verdict.caught) == ("pass", False)


def test_a_sabotage_is_not_caught_by_another_failure_or_by_an_unknown() -> None:
    assert sabotaged("seen", alerts=True).dies("server", 8.0).judged().caught is False
    assert sabotaged("seen", "more").judged().caught is False
    assert sabotaged().judged().caught is False


@pytest.mark.parametrize(
    "polls",
    [
        {"down": [(5.2, 99.0)]},
        {"down": [(5.2, 10.5)]},  # it answers again before the deadline, too late to tell what it did meanwhile
        {"down": [(8.0, 99.0)]},
        {"beats": lambda t_s: min(t_s, 5.0)},  # it answers, and its rules stand still
    ],
)
def test_a_sabotage_whose_alert_nobody_could_have_heard_is_unknown(polls: dict[str, Any]) -> None:
    run = sabotaged("seen")
    run.lines = [line for line in run.lines if line[1]["kind"] != "alerts"]
    run.alerts(**polls)
    for verdict in (run.judged(), run.dies("server", 8.0).judged()):
        assert (verdict.value, verdict.caught, verdict.catch) == ("unknown", False, None)
        assert verdict.of_kind("detected")[0].measured.met is None
    assert any("does not show that the sabotage was caught" in c.reason for c in run.judged().clauses)


def test_a_sabotage_is_caught_beside_a_short_silence_of_its_source() -> None:
    run = sabotaged("seen")
    run.lines = [line for line in run.lines if line[1]["kind"] != "alerts"]
    assert run.alerts(down=[(6.0, 7.5)]).judged().catch == "caught"


def test_every_source_of_a_sabotaged_alert_must_have_been_heard() -> None:
    assert sabotaged("seen").alerts(source="pager", down=[(5.2, 99.0)]).judged().value == "unknown"
    # One that does not tell its evaluations need not.
    assert sabotaged("seen").alerts(source="pager", beats=lambda _: None).judged().catch == "caught"


def test_a_sabotage_that_was_cut_off_is_unknown() -> None:
    run = sabotaged("seen")
    run.lines = [line for line in run.lines if line[1]["kind"] != "closed"]
    verdict = run.judged()
    assert (verdict.value, verdict.caught) == ("unknown", True)
    assert "cut off" in verdict.reasons[0]
    assert run.end(observed=None, closed="interrupted").judged().value == "unknown"


def test_what_is_no_sabotage_is_neither() -> None:
    assert good_run().judged().caught is None


# known weakness


def weak(died: bool = True, **plan: Any) -> Run:
    run = good_run(**WEAK, **plan)
    return run.dies("server", 8.0) if died else run


def test_a_known_weakness_that_fails_is_a_pass() -> None:
    verdict = weak().judged()
    assert (verdict.value, verdict.known_weakness) == ("pass", "no retry (ML-7)")
    assert "failed as expected" in verdict.reasons[0]
    assert "collateral" in verdict.reasons[1]


def test_a_known_weakness_that_passes_fails() -> None:
    verdict = weak(died=False).judged()
    assert verdict.value == "fail"
    assert "it passed" in verdict.reasons[0]


def test_a_known_weakness_whose_date_has_passed_fails() -> None:
    verdict = weak(started="2026-07-02T00:00:00+00:00").judged()
    assert verdict.value == "fail"
    assert "date has passed" in verdict.reasons[0]
    assert weak(started="2026-07-01T23:00:00+00:00").judged().value == "pass"


def test_a_known_weakness_that_could_not_be_judged_is_unknown() -> None:
    assert Run(ALL, **WEAK).gate(met=False).end(closed="gate").judged().value == "unknown"


def test_a_known_weakness_is_no_pass_of_a_run_that_was_cut_off() -> None:
    run = weak()
    run.lines = [line for line in run.lines if line[1]["kind"] != "closed"]
    verdict = run.judged()
    assert verdict.value == "unknown"
    assert "did not end properly" in verdict.reasons[0]


def named(*clauses: str) -> Run:
    """Return a run in which `up` passes, and `back` is unknown: it never broke."""
    weakness = {"known_weakness": WEAK["known_weakness"] | {"clauses": clauses}}
    run = Run({"stays": [STAYS], "recovered": [BACK]}, **weakness).gate().fault()
    return run.answers().readings("lag", 1.0)


def test_a_known_weakness_that_passes_fails_whatever_else_is_unknown() -> None:
    for run in (named("up").end(), named("up", "back").end(), named("up").end().dies("server", 8.0, exit_code=0)):
        verdict = run.judged()
        assert verdict.value == "fail"
    verdict = named("up").end().judged()
    assert "up passed; remove it from known_weakness" in verdict.reasons[0]
    assert named("back").end().judged().value == "unknown"


def test_a_known_weakness_does_not_pass_for_sure_where_the_run_itself_is_unknown() -> None:
    assert named("up").end(closed=None).judged().value == "unknown"
    assert named("up").end(closed="interrupted").judged().value == "unknown"
    assert named("up").dies("harness:proxy", 20.0).end().judged().value == "unknown"


def test_twins_of_a_known_weakness_are_judged_as_they_are() -> None:
    assert control(**WEAK).judged().value == "pass"


# damage

WRONG = {"wrong": True}


def cost(*bad: tuple[float, float, dict[str, Any]]) -> Run:
    run = good_run()
    run.lines = [line for line in run.lines if line[1]["kind"] != "answer"]
    return run.answers(*bad, rate=10)


def test_damage_is_counted_before_detection_until_recovery_and_after() -> None:
    # Detected at 7.01 s, recovered at 14.01 s.
    run = cost((6.0, 7.0, WRONG), (9.0, 11.0, WRONG), (20.0, 20.5, WRONG))
    damage = run.judged().damage
    assert (damage.wrong_before_detection, damage.wrong_until_recovery, damage.wrong_after) == (10, 20, 5)
    assert damage.seconds == 4
    assert damage.requests == 201


def test_flagged_answers_are_another_thing_than_silent_ones() -> None:
    damage = cost((9.0, 11.0, WRONG | {"flagged": "default"}), (12.0, 13.0, {"wrong": None})).judged().damage
    assert (damage.flagged, damage.wrong_until_recovery, damage.unverified) == (20, 0, 10)


def test_failed_and_slow_requests_are_counted_from_injection() -> None:
    damage = cost((2.0, 3.0, {"ok": False}), (9.0, 10.0, {"ok": False}), (10.0, 11.0, {"slow": True})).judged().damage
    assert (damage.failed, damage.slow) == (10, 10)


def test_without_detection_all_wrong_answers_came_before_it() -> None:
    run = Run(ALL).gate().fault().alerts().answers((9.0, 11.0, WRONG), rate=10).readings("lag", 1.0).end()
    damage = run.judged().damage
    assert (damage.wrong_before_detection, damage.wrong_until_recovery, damage.wrong_after) == (20, 0, 0)


def test_a_run_without_injection_cost_nothing() -> None:
    damage = Run(ALL).gate().alerts().answers().end().judged().damage
    assert not any(damage.model_dump().values())


def test_data_damage_is_traced_from_rows_to_versions_and_answers() -> None:
    run = cost((9.0, 9.5, {"entity": "JFK", "stamps": {"weather": 3600, "delay": None}}))
    run.hit(6.0, {"entity": "JFK", "event_time": 3600}, {"entity": "LGA", "event_time": 3600})
    parts = [{"version": 1, "trained_on": [{"key": "t1"}]}, {"version": 2, "parent": 1, "trained_on": []}]
    damage = run.evidence("lineage", versions=parts, poisoned={"t1": ["a"]}).judged().damage
    assert (damage.rows_hit, damage.answers_from_hit_rows, damage.versions_poisoned) == (2, 5, (1, 2))


@pytest.mark.parametrize("odd", [[1], {"a": [1]}, None, True, "noon", 3600.5, 10**30])
def test_a_manifest_may_hold_any_json_and_hides_no_death(odd: Any) -> None:
    for row in ({"entity": "JFK", "event_time": odd}, {"entity": odd, "event_time": 1}, {"entity": odd}):
        run = cost((9.0, 9.5, {"entity": "JFK", "stamps": {"weather": None}})).hit(6.0, row)
        assert run.judged().damage.answers_from_hit_rows == 0
        assert run.dies("server", 9.0).judged().value == "fail"


def test_what_cannot_be_counted_hides_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.judge.verdict.count", lambda *_: 1 / 0)
    verdict = good_run().judged()
    assert verdict.value == "unknown"
    assert verdict.reasons == ("the damage could not be counted: ZeroDivisionError: division by zero",)
    assert good_run().dies("server", 9.0).judged().value == "fail"
    assert Run(ALL).gate(met=False).end(closed="gate").judged().value == "unknown"


# what a pass names, because no clause bounds it

FAILED, STALE = {"ok": False}, {"stale": True}


def passing(bad: dict[str, Any], probe: str, **limit: Any) -> tuple[str, ...]:
    """Return what a passing run names; half of its requests are bad while the fault is in, and one probe is bounded."""
    run = Run({"stays": [{"id": "b", "probe": probe, "over": "2s", "min_samples": 10, **limit}]}).gate().fault()
    every_other = [(5.5 + k * 0.2, 5.6 + k * 0.2, bad) for k in range(30)]
    verdict = run.answers(*every_other, rate=10).end().judged()
    assert verdict.value == "pass", verdict.reasons
    return verdict.unbounded


@pytest.mark.parametrize(("bad", "kind"), [(FAILED, "not answered"), ({"slow": True}, "slow")])
def test_a_bound_on_the_median_does_not_hide_what_befell_half_of_the_requests(bad: dict[str, Any], kind: str) -> None:
    (said,) = passing(bad, "latency_p50", at_most="250ms")
    assert said.endswith(f"of the requests were {kind}")
    assert passing(bad, "slow_answers", at_most=0.8) == ()


@pytest.mark.parametrize(("bad", "other", "own"), [
    ({"wrong": True}, "stale_answers", "wrong_answers"),
    (STALE, "wrong_answers", "stale_answers"),
])  # fmt: skip
def test_a_bound_on_stale_answers_does_not_hide_wrong_ones_nor_the_reverse(
    bad: dict[str, Any], other: str, own: str
) -> None:
    (said,) = passing(bad, other, at_most=0.8)
    assert said.endswith("of the requests were silently wrong or stale")
    assert passing(bad, own, at_most=0.8) == passing(bad, "silent_wrong_answers", at_most=0.8) == ()
    assert passing(bad | {"wrong": True, "stale": True}, other, at_most=0.8) == ()


def unalerted(until_s: float, *firing: tuple[str, float, float], **how: Any) -> tuple[str, ...]:
    """Return what a passing run names whose lag is beyond its bound from 6 s on; no clause asks for an alert."""
    clause = {"id": "back", "probe": "lag", "at_most": 5, "within": "11s", "hold": "2s"}
    run = Run({"recovered": [clause]}).gate().fault().readings("lag", lag((6.0, until_s)))
    run.plan["stack"]["alert_sources"] = ["monitor"]
    verdict = run.alerts(*firing, **how).end().judged()
    assert verdict.value == "pass", verdict.reasons
    return verdict.unbounded


def test_a_pass_names_what_was_broken_for_long_while_no_alert_fired() -> None:
    assert unalerted(22.0) == ("no alert fired while lag was beyond its bound",)
    assert unalerted(13.0) == (), "alerts wait before they fire"
    assert unalerted(22.0, ("Slow", 15.0, 20.0)) == ()
    assert unalerted(22.0, down=[(8.0, 9.0)]) == (), "nobody saw whether one fired"
