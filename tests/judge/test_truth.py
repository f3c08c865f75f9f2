"""What once let a broken stack pass, or blamed a good one: one test for each kind, with the verdict that is right."""

from __future__ import annotations

from typing import Any

import pytest
from journals import ALL, BACK, BROKEN, CROWDED, OBSERVED_S, SEEN, SLOW, STAYS, Run, good_run

from harness.judge import judge
from harness.model.plan import Plan

FIRST_S = 5.0
"""When the fault of these runs goes in."""


def control(**changes: Any) -> Run:
    """A control in which nothing happens, and all is measured."""
    run = Run(ALL, twin="control").gate()
    return run.alerts(**changes).answers().readings("lag", 1.0).end()


def pair(of: Run, beside: Run | None) -> tuple[str, str]:
    of.plan["paired"] = True
    verdict = of.judged(beside)
    return verdict.value, " / ".join(verdict.reasons)


# A: the machine, not the stack

LONG_S = 70.0
"""So long a run hides a short stall in a percentile over all of it."""
QUICK = {"id": "quick", "probe": "latency_p99", "at_most": "250ms", "over": "3s"}
STALL = (8.0, 8.38)
"""The process of the run is stopped: what was due in this stretch is sent at its end."""


def stalled(expect: dict[str, Any], *bad: tuple[float, float, dict[str, Any]]) -> Run:
    """Return a run, still open, whose harness was stopped for a moment while requests were due."""
    run = Run(expect).gate().fault().answers(*bad, to_s=LONG_S)
    for k, (t_s, body) in enumerate(run.lines):
        if body["kind"] == "answer" and STALL[0] < body["due_s"] < STALL[1]:
            by_s = STALL[1] - body["due_s"]
            later = {name: body[name] + by_s for name in ("sent_s", "done_s")}
            run.lines[k] = (t_s + by_s, body | later)
    return run.add(LONG_S, "phase", phase="observed")


def test_a_a_stall_of_the_harness_is_not_the_stack_s() -> None:
    verdict = stalled({"stays": [QUICK]}).end(None).judged()
    assert verdict.value == "unknown", verdict.reasons
    assert "the harness was late at 8." in verdict.reasons[0]


def test_a_a_stall_of_the_harness_does_not_hide_a_slow_stack() -> None:
    slow = [(t / 50, t / 50 + 0.02, {"done_s": t / 50 + 0.6}) for t in range(300, 550)]
    verdict = stalled({"stays": [QUICK]}, *slow).end(None).judged()
    assert verdict.value == "fail"


def test_a_a_bound_that_was_kept_all_the_same_is_kept() -> None:
    assert stalled({"stays": [QUICK | {"at_most": "2s"}]}).end(None).judged().value == "pass"


def test_a_good_answers_are_good_although_the_harness_was_late() -> None:
    strict = {"id": "up", "probe": "availability", "at_least": 0.99, "over": "3s"}
    right = {"id": "right", "probe": "wrong_answers", "at_most": 0, "over": "3s"}
    assert stalled({"stays": [strict, right]}).end(None).judged().value == "pass"
    failed = (STALL[0], STALL[1], {"ok": False})
    assert stalled({"stays": [strict]}, failed).end(None).judged().value == "unknown"


def test_a_a_poll_that_timed_out_while_the_harness_was_late_is_no_breach() -> None:
    low = {"id": "low", "probe": "lag", "at_most": 5}
    verdict = stalled({"stays": [low]}).readings("lag", 1.0, down=[(8.1, 8.3)], to_s=LONG_S).end(None).judged()
    assert verdict.value == "unknown"
    assert "the harness was late" in verdict.reasons[0]


def test_a_polls_that_got_no_answer_while_the_harness_was_late_are_no_silence() -> None:
    run = Run({"detected": [SEEN | {"within": "1s"}]}).gate().fault()
    run.alerts(to_s=5.0).alerts(from_s=5.0, to_s=6.2, down=[(5.0, 6.2)], late_s=0.09).alerts(from_s=6.2).end()
    found = run.clause("seen")
    assert found.value == "unknown"
    assert "the harness was late" in found.reason


# C3: measured at the wrong time


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ({"confirmed": 12.5}, "when its revert had begun"),
        ({"confirmed": 12.5, "reverted": (12.0, 12.6)}, "when its revert had begun"),
        ({"confirmed": 4.5}, "before its injection"),
        ({"injected": (11.0, 12.5), "confirmed": 11.9}, "before it was injected"),
        ({"effects": [(t, True) for t in (6.0, 9.0, 11.0, 15.0)]}, "measured again at 15.00 s, after its revert"),
    ],
    ids=["after revert", "during revert", "before injection", "revert before injection", "back after revert"],
)
def test_c3_what_is_measured_at_the_wrong_time_confirms_nothing(stages: dict[str, Any], reason: str) -> None:
    run = Run(ALL).gate().fault(**stages).alerts((SLOW, 7.0, 14.0)).answers().readings("lag", BROKEN).end()
    verdict = run.judged()
    assert verdict.value == "unknown"
    assert reason in " / ".join(verdict.reasons)


# Found by a property test: a firing that only a counter shows


def test_an_alert_that_fired_again_unseen_has_not_cleared_while_polls_show_it() -> None:
    firing = (SLOW, 0.0, 5.4), (SLOW, 5.6, 18.0)
    run = Run({"cleared": ALL["cleared"]}).gate().fault()
    run.alerts(*firing, counted=[(SLOW, 0.0), (SLOW, 5.6)], every_s=0.2, skip=[(5.4, 5.6)]).end()
    assert run.clause("clear").value == "unknown"


# What was not measured to be so


@pytest.mark.parametrize(
    ("stage", "reason"), [("confirmed", "never confirmed"), ("reverted", "absence was not measured")]
)
def test_a_stage_that_measured_nothing_proves_nothing(stage: str, reason: str) -> None:
    run = good_run()
    for _, body in run.lines:
        if body.get("stage") == stage:
            del body["landed"]
    verdict = run.judged()
    assert verdict.value == "unknown"
    assert reason in " / ".join(verdict.reasons)


# D1: pairs


def test_d1_a_pair_passes_with_a_control_that_was_watched_and_silent() -> None:
    assert pair(good_run(), control()) == ("pass", "")


def test_d1_a_control_that_never_ran_proves_nothing() -> None:
    value, reasons = pair(good_run(), None)
    assert value == "unknown"
    assert "its control left no journal" in reasons


@pytest.mark.parametrize(
    ("beside", "reason"),
    [
        (control(beats=lambda _t_s: 7.0), "no sign that the rules were evaluated"),
        (control(skip=[(6.0, 20.0)]), "no polls of the alerts"),
        (control(down=[(0.0, 99.0)]), "no sign that the rules were evaluated"),
        (
            Run(ALL, twin="control").gate(met=False, why="no data").alerts().end(None, "gate"),
            "steady state was not met",
        ),
        (Run(ALL, twin="control").gate().alerts().answers().readings("lag", 1.0).end(closed=None), "cut off"),
    ],
    ids=["dead rules", "never read", "no answers", "gate not met", "cut off"],
)
def test_d1_a_control_that_was_not_watched_proves_nothing(beside: Run, reason: str) -> None:
    value, reasons = pair(good_run(), beside)
    assert value == "unknown"
    assert "the control proves nothing" in reasons
    assert reason in reasons


def test_d1_a_control_that_proves_nothing_leaves_a_run_without_detections_open() -> None:
    expect = {"stays": [STAYS]}
    run = Run(expect).gate().fault().alerts().answers().end()
    broken = Run(expect, twin="control").end(None, "error")
    assert run.judged().value == "pass"
    value, reasons = pair(run, broken)
    assert value == "unknown"
    assert "the control proves nothing" in reasons


def test_d1_a_control_that_ended_too_early_proves_nothing() -> None:
    beside = Run(ALL, twin="control").gate().alerts(to_s=4.0).answers(to_s=4.0).readings("lag", 1.0, to_s=4.0).end(3.0)
    value, reasons = pair(good_run(), beside)
    assert value == "unknown"
    assert "it proves nothing" in reasons


@pytest.mark.parametrize(("end_s", "said"), [(6.9, True), (7.1, False)])
def test_d1_a_control_must_have_gone_on_until_the_alert_fired(end_s: float, said: bool) -> None:
    beside = (
        Run(ALL, twin="control").gate().alerts(to_s=9.0).answers(to_s=9.0).readings("lag", 1.0, to_s=9.0).end(end_s)
    )
    [seen] = [c for c in judge(good_run().build(), beside.build()).clauses if c.id == "seen"]
    assert ("the control ended before 7.01 s" in seen.reason) is said
    assert seen.value == ("unknown" if said else "pass")


def test_d1_a_control_of_other_expectations_is_not_its_own() -> None:
    beside = Run({"detected": [SEEN]}, twin="control").gate().alerts().end()
    assert "is not this run's" in pair(good_run(), beside)[1]


def test_d1_a_stack_without_alerts_can_have_a_control() -> None:
    expect = {"stays": [STAYS]}
    beside = Run(expect, twin="control", rules=()).gate().answers().end()
    assert beside.judged().value == "pass", beside.judged().reasons
    assert pair(Run(expect, rules=()).gate().fault().answers().end(), beside) == ("pass", "")


def test_d1_one_of_a_pair_can_be_judged_alone_when_that_is_asked_for() -> None:
    run = good_run()
    run.plan["paired"] = True
    assert judge(run.build(), unpaired=True).value == "pass"


# D7: nothing was asked


def test_d7_a_run_of_which_nothing_is_expected_is_no_pass() -> None:
    verdict = good_run({}).judged()
    assert verdict.value == "unknown"
    assert "expects nothing" in verdict.reasons[0]


def test_d7_damage_that_no_clause_bounds_is_named_on_a_pass() -> None:
    slow = (FIRST_S + 0.5, OBSERVED_S, {"slow": True})
    run = Run({"detected": [SEEN]}).gate().fault().alerts((SLOW, 7.0, 14.0)).answers(slow).end()
    verdict = run.judged()
    assert verdict.value == "pass"
    assert len(verdict.unbounded) == 1
    assert verdict.unbounded[0].endswith("% of the requests were slow")
    bounded = Run({"detected": [SEEN], "stays": [{"id": "p", "probe": "slow_answers", "at_most": 1}]})
    assert not bounded.gate().fault().alerts((SLOW, 7.0, 14.0)).answers(slow).end().judged().unbounded


# D8: what was open when the fault went in


def test_d8_requests_that_were_open_at_the_injection_belong_to_the_fault() -> None:
    # Due up to 0.4 s before the injection, and cut off after it: nothing was broken before the fault.
    cut_off = (FIRST_S - 0.4, FIRST_S + 7.0, {"ok": False, "done_s": FIRST_S + 7.5})
    run = Run({"stays": [STAYS | {"over": "1s", "min_samples": 20}]}).gate().fault().answers(cut_off).end()
    verdict = run.judged()
    assert verdict.value == "fail", verdict.reasons
    assert verdict.damage.failed == round(7.4 * 50)


def test_d8_a_request_that_was_too_slow_before_the_injection_is_not_the_fault_s() -> None:
    slow = [(3.0 + k / 50, 3.0 + (k + 1) / 50, {"done_s": FIRST_S + 0.01}) for k in range(70)]
    bound = {"id": "quick", "probe": "latency_p99", "at_most": "500ms"}
    verdict = Run({"stays": [bound]}).gate().fault().answers(*slow).end().judged()
    assert verdict.value == "unknown", verdict.reasons


def test_d8_answers_that_were_slow_before_the_injection_are_not_the_fault_s() -> None:
    # The stack hung for two seconds, and went on just after the fault went in.
    hung = [(3.0 + k / 50, 3.0 + (k + 1) / 50, {"done_s": FIRST_S + 0.05, "slow": True}) for k in range(100)]
    bound = {"probe": "slow_answers", "at_most": 0.1, "over": "1s", "min_samples": 20}
    stays = Run({"stays": [bound | {"id": "quick"}]}).gate().fault().answers(*hung).end()
    assert stays.judged().value == "unknown"
    back = Run({"recovered": [bound | {"id": "quick", "within": "6s"}]}).gate().fault().answers(*hung).end()
    assert back.judged().value == "unknown", "it was not the fault that it recovered from"


def test_d8_what_had_failed_before_the_injection_is_not_the_fault_s() -> None:
    failed = (FIRST_S - 2.0, FIRST_S - 0.5, {"ok": False})
    run = Run({"stays": [STAYS | {"over": "1s", "min_samples": 20}]}).gate().fault().answers(failed).end()
    verdict = run.judged()
    assert verdict.value == "unknown"
    assert "before injection" in verdict.reasons[0]


# D9: a known weakness names its clauses


def weak(*clauses: str) -> Run:
    known = {"reason": "no retry", "ticket": "ML-7", "until": "2026-07-01", "clauses": list(clauses)}
    run = Run({"stays": [STAYS], "recovered": [BACK]}, known_weakness=known).gate().fault()
    return run.answers((6.0, 9.0, {"ok": False}))


def test_d9_the_clause_that_is_known_to_fail_may_fail() -> None:
    verdict = weak("up").readings("lag", BROKEN).end().judged()
    assert verdict.value == "pass"
    assert verdict.reasons[0].startswith("failed as expected")


def test_d9_another_clause_that_fails_is_a_failure() -> None:
    verdict = weak("up").readings("lag", lambda t_s: 9.0 if t_s > 6.0 else 1.0).end().judged()
    assert verdict.value == "fail"
    assert verdict.reasons[0].startswith("lag")


def test_d9_a_named_clause_that_passes_fails_the_run() -> None:
    verdict = weak("up", "back").readings("lag", BROKEN).end().judged()
    assert verdict.value == "fail"
    assert "back passed" in verdict.reasons[0]


def test_d9_a_named_clause_that_cannot_be_judged_leaves_it_open() -> None:
    assert weak("up", "back").readings("lag", 1.0).end().judged().value == "unknown"


def test_d9_another_clause_that_cannot_be_judged_leaves_it_open() -> None:
    assert weak("up").readings("lag", 1.0).end().judged().value == "unknown"


# D10: the worst value and its time, in the unit of the bound


def test_d10_a_reason_gives_the_worst_value_and_its_time() -> None:
    first, worst = (6.0, 9.0, {"ok": False}), (9.0, 12.0, {"ok": True})
    fine = {"id": "up", "probe": "availability", "at_least": 0.99, "over": "2s"}
    run = Run({"stays": [fine]}).gate().fault().answers(first, worst).end()
    [reason] = run.judged().reasons
    assert reason.startswith("availability fell to 0 % at 8."), reason
    assert reason.endswith("(at least 99 %)")


def test_d10_a_polled_probe_keeps_the_unit_of_its_bound() -> None:
    run = Run({"stays": [{"id": "low", "probe": "lag", "at_most": "5s"}]}).gate().fault()
    [reason] = run.readings("lag", lambda t_s: 1.0 + 2 * max(0.0, t_s - 10.0)).end().judged().reasons
    assert reason == "lag reached 30.8 s at 24.91 s (at most 5 s)", reason


def test_stored_plans_without_the_new_fields_are_read() -> None:
    plan = good_run().build().plan
    assert Plan.model_validate(plan.model_dump(mode="json", by_alias=True)) == plan
    assert plan.paired is False


# D3: nothing was written any more


def served(run: Run, outcome_at: int) -> Run:
    body = {"id": "a", "at_event": 0, "due_s": 6.0, "sent_s": 6.0, "done_s": 6.1, "ok": True, "outcome_at": outcome_at}
    return run.add(6.1, "answer", **body)


@pytest.mark.parametrize(("due_until", "value"), [(None, "unknown"), (9_999, "unknown"), (10_000, "fail")])
def test_d3_an_example_that_is_due_by_the_stack_s_clock_is_missing(due_until: float | None, value: str) -> None:
    run = Run(guarantees=["examples_exactly_once"]).gate().fault()
    run.evidence("examples", training={}, settled_until=None, due_until=due_until)
    run.evidence("lineage", versions=[], poisoned={})
    assert served(run, 10_000).end().clause("examples_exactly_once").value == value


def test_d3_an_example_that_a_busy_machine_may_have_delayed_is_not_lost() -> None:
    def judged(settled: int, due_until: int | None) -> str:
        run = Run(guarantees=["examples_exactly_once"]).gate().fault().machine((5.0, 9.0, CROWDED))
        run.evidence("examples", training={}, settled_until=settled, due_until=due_until)
        run.evidence("lineage", versions=[], poisoned={})
        return str(served(run, 10_000).end().clause("examples_exactly_once").value)

    assert judged(5_000, 20_000) == "unknown"
    assert judged(30_000, 20_000) == "unknown", "newer ones may be of another writer"
    assert judged(30_000, None) == "fail", "newer ones were written"


# D4: what an answer says of itself


def test_d4_an_answer_older_than_declared_is_stale_whatever_it_says() -> None:
    run = Run({"stays": [{"id": "fresh", "probe": "stale_answers", "at_most": 0, "over": "2s"}]})
    run.plan["stack"]["freshness_s"] = {"delay": 60.0}
    old = (14.0, 14.2, {"ages": {"delay": 61.0}, "stale": False})
    assert run.gate().fault().answers(old).end().clause("fresh").value == "fail"


def test_d4_nothing_poisoned_is_unknown_where_the_truth_is() -> None:
    run = Run(guarantees=["nothing_poisoned"]).gate().fault().hit(6.0, {"entity": "a", "event_time": 1, "field": "f"})
    run.evidence("lineage", versions=[], poisoned=None)
    found = run.end().clause("nothing_poisoned")
    assert found.value == "unknown"
    assert "can be told from the truth" in found.reason


# D6: an alert before the fault


@pytest.mark.parametrize(("start_s", "skipped", "value"), [(5.05, [], "pass"), (5.05, [(5.0, 5.1)], "unknown")])
def test_d6_an_alert_counts_once_it_was_seen_absent_since_the_injection_began(
    start_s: float, skipped: list[tuple[float, float]], value: str
) -> None:
    run = Run({"detected": [SEEN]}).gate().fault().alerts((SLOW, start_s, 14.0), skip=skipped).end()
    assert run.clause("seen").value == value


# D2: rules that were not evaluated


DYING = {"beats": lambda t_s: float(int(min(t_s, 13.0) * 5))}
"""The rules are evaluated until the fault is gone, and then no more."""
FLAPS = {"flaps_at_most": [{"id": "flaps", "alert": SLOW, "at_most": 1}]}


@pytest.mark.parametrize(("expect", "clause"), [({"cleared": ALL["cleared"]}, "clear"), (FLAPS, "flaps")])
def test_d2_what_passes_after_the_rules_have_died_is_unknown(expect: dict[str, Any], clause: str) -> None:
    firing = (SLOW, 7.0, 14.0)
    assert Run(expect).gate().fault().alerts(firing).end().clause(clause).value == "pass"
    found = Run(expect).gate().fault().alerts(firing, **DYING).end().clause(clause)
    assert found.value == "unknown"
    assert "no sign that the rules were evaluated from" in found.reason


def test_d2_a_source_that_tells_by_itself_needs_no_evaluations_for_what_it_told() -> None:
    run = Run({"cleared": ALL["cleared"]}).gate().fault().alerts((SLOW, 7.0, 14.0), beats=lambda _: None).end()
    assert run.clause("clear").value == "unknown"
    for _, body in run.lines:
        if body["kind"] == "alerts":
            body["delivered"] = True
            body["firing"] = [alert | {"started_s": 7.2} for alert in body["firing"]]
    assert run.clause("clear").value == "pass"


@pytest.mark.parametrize(
    ("beats", "value"),
    [
        (lambda t_s: (100.0, 57.0)[int(t_s * 10) % 2], "unknown"),  # two that stand still
        (lambda t_s: (100.0, 57.0, 57.0, 100.0, 30.0)[int(t_s * 10) % 5], "unknown"),
        (lambda t_s: float(int(t_s * 5)) if t_s < 15 else float(int(t_s * 5) - 75), "pass"),  # restarted
        (lambda t_s: float(int(t_s * 5)) if t_s < 15 else 0.0, "unknown"),  # restarted, and never again evaluated
    ],
)
def test_d2_a_count_that_only_changes_is_no_evaluation(beats: Any, value: str) -> None:
    run = Run({"quiet": "others"}).gate().fault().alerts(beats=beats).end()
    assert run.clause("quiet").value == value


@pytest.mark.parametrize("clause", ["seen", "quiet", "clear", "flaps"])
def test_d2_a_notification_that_was_refused_may_have_been_any(clause: str) -> None:
    at_s = 8.0 if clause == "seen" else 20.0
    firing = [] if clause == "seen" else [(SLOW, 7.0, 14.0)]
    run = Run({**ALL, **FLAPS}).gate().fault().alerts(*firing).answers().readings("lag", BROKEN).end()
    for t_s, body in run.lines:
        if body["kind"] == "alerts" and at_s <= t_s < at_s + 0.1:
            body["refused"] = "not a notification of Alertmanager or Grafana"
    found = run.clause(clause)
    assert found.value == "unknown"
    assert "a notification was refused" in found.reason


# D5: an alert about something else

SERVICES = {"server-1": "a", "server-2": "b", "trainer": "b", "store": "a"}


@pytest.mark.parametrize(
    ("target", "alert", "value"),
    [
        ({"service": "server-2"}, "Down{service=server-2}", "pass"),
        ({"service": "server-2"}, "Down{service=server-1}", "fail"),
        ({"service": "server-2"}, "Down{instance=server-1:8000}", "fail"),
        ({"services": ["server-2", "server-1"]}, "Down{service=server-1}", "pass"),
        ({"service": "server-2"}, "Down{service=trainer}", "pass"),  # what the fault does further down the line
        ({"service": "server-2"}, "Down{}", "pass"),
        ({"service": "server-2"}, "Down{severity=page}", "pass"),
        ({"node": "b"}, "Down{service=server-1}", "fail"),
        ({"node": "b"}, "Down{node=a}", "fail"),
        ({"node": "b"}, "Down{node=b}", "pass"),
        ({"node": "b"}, "Down{node=a,service=trainer}", "pass"),
        ({"node": "b"}, "Down{node=a,service=store}", "pass"),  # further down the line, on its own node
        ({"node": "b"}, "Down{variant=a}", "pass"),  # no label about a machine: it may be anything
        ({"node": "b"}, "Down{model=ranker-a}", "pass"),
        ({"node": "b"}, "Down{variant=b,node=a}", "fail"),
        ({"node": "b"}, "Down{kubernetes_node=a}", "fail"),
        ({"node": "b"}, "Down{hostname=a.internal}", "fail"),
        ({"node": "b"}, "Down{Instance=a:9100}", "fail"),
        ({"node": "b"}, "Down{availability_zone=a,model=ranker-a}", "fail"),
        ({"node": "b"}, "Down{machine=b}", "pass"),
        ({"service": "server-2"}, "Down{instance=http://server-1:80}", "fail"),
        ({"service": "server-2"}, "Down{instance=server-1.default.svc:80}", "fail"),
        ({"service": "server-2"}, "Down{container=toy-server-1-1}", "fail"),
        ({"link": "trainer -> server-2"}, "Down{link=trainer->server-1}", "pass"),  # the consumer was hit too
        ({"service": "server-2"}, "Down{service=trainer,backup=server-1}", "pass"),
        ({"link": "server-2 -> store"}, "Down{service=server-1}", "fail"),
        ({"link": "server-2 -> store"}, "Down{service=store}", "pass"),
        ({"keyspace": "features"}, "Down{service=server-1}", "pass"),
    ],
)
def test_d5_an_alert_about_an_untouched_sibling_detects_nothing(target: Any, alert: str, value: str) -> None:
    seen = {"id": "seen", "alert": "Down", "within": "6s"}
    for labels, expected in (({}, value), ({"labels": "any"}, "pass")):
        run = Run({"detected": [seen | labels]}, rules=["Down"])
        run.plan["stack"]["services"] = SERVICES
        run.plan["scenario"]["timeline"][0]["target"] = target
        found = run.gate().fault().alerts((alert, 7.0, 14.0)).end().clause("seen")
        assert found.value == expected, found.reason
        assert ("only, which the fault did not hit" in found.reason) is (expected == "fail")


@pytest.mark.parametrize(
    ("labels", "value"),
    [
        ("container=toy-server-2,job=server", "pass"),
        ("container=toy-server-3,job=server", "fail"),
        ("name=toy_server_3", "fail"),
        ("instance=server-3:8000", "fail"),
        ("instance=10.0.0.3:8000,job=server", "pass"),  # no name says which one that is
        ("version=server-3", "pass"),  # a model, perhaps
        ("container=toy-my-server-3,job=server", "pass"),  # another service
        ("container=toy-server-2,pod=toy-server-3", "pass"),
    ],
)
def test_d5_an_alert_about_another_replica_detects_nothing(labels: str, value: str) -> None:
    run = Run({"detected": [{"id": "seen", "alert": "Down", "within": "6s"}]}, rules=["Down"])
    run.plan["stack"]["services"] = {"server": "a", "my-server": "b"}
    run.plan["scenario"]["timeline"][0]["target"] = {"service": "server", "replica": 2}
    found = run.gate().fault().alerts((f"Down{{{labels}}}", 7.0, 14.0)).end().clause("seen")
    assert found.value == value, found.reason


def test_d5_a_label_that_the_clause_asks_for_is_no_reason_to_doubt_it() -> None:
    run = Run({"detected": [{"id": "seen", "alert": "Down", "labels": {"instance": "server-1"}, "within": "6s"}]})
    run.plan["stack"]["services"] = SERVICES
    run.plan["scenario"]["timeline"][0]["target"] = {"service": "server-2"}
    assert run.gate().fault().alerts(("Down{instance=server-1}", 7.0, 14.0)).end().clause("seen").value == "pass"


def test_d2_a_source_that_told_nothing_proves_nothing_about_flaps() -> None:
    run = Run(FLAPS).gate().fault().alerts(beats=lambda _: None).end()
    for _, body in run.lines:
        if body["kind"] == "alerts":
            body["delivered"] = True
    assert run.clause("flaps").value == "unknown"


@pytest.mark.parametrize("cycle", [[10.0, 20.0, 30.0], [10.0, 20.0, 30.0, 40.0], [10.0, 20.0, 20.0, 30.0, 30.0]])
def test_d2_any_number_of_evaluators_may_stand_still(cycle: list[float]) -> None:
    run = Run({"quiet": "others"}).gate().fault().alerts(beats=lambda t_s: cycle[round(t_s * 10) % len(cycle)]).end()
    assert run.clause("quiet").value == "unknown"


def test_a_a_late_request_does_not_make_an_alert_late() -> None:
    run = Run({"detected": [SEEN | {"within": "2s"}]}).gate().fault().alerts((SLOW, 10.0, 14.0)).answers()
    run.add(10.0, "answer", id="z", at_event=1, due_s=5.5, sent_s=9.0, done_s=9.1, ok=True)
    assert run.end().clause("seen").value == "fail"
