"""Misfires: with the faults where they cannot matter, nothing that should rest on them may happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import ALL, BACK, BROKEN, CLEAR, CROWDED, POISONED, SEEN, SLOW, STAYS, Run, lag

from harness.judge.misfire import PROVES_NOTHING
from harness.model.verdict import Verdict

pytestmark = pytest.mark.slow


def misfire(
    *alerts: tuple[str, float, float],
    expect: Mapping[str, Any] | None = None,
    broken: Sequence[tuple[float, float]] = (),
    fault: Mapping[str, Any] | None = None,
    polls: Mapping[str, Any] | None = None,
    **plan: Any,
) -> Run:
    """Return a run with its fault on another link, in which these alerts fire and the lag is broken at these times."""
    run = Run(ALL if expect is None else expect, twin="misfire", **plan).gate().fault(**(fault or {}))
    return run.alerts(*alerts, **(polls or {})).answers().readings("lag", lag(*broken)).end()


def of(verdict: Verdict, id_: str) -> str:
    [found] = [c for c in verdict.clauses if c.id == id_]
    return found.value


# What passes


def test_a_misfire_in_which_nothing_happens_passes() -> None:
    verdict = misfire().judged()
    assert (verdict.value, verdict.reasons, verdict.twin) == ("pass", (), "misfire")
    assert {c.kind for c in verdict.clauses} == {"unfired", "quiet", "stays", "unbroken", "collateral"}
    [fault] = verdict.faults
    assert (fault.target, fault.meant) == ("link board -> store", "link trainer -> store")
    assert fault.confirmed_at_s is not None


def test_an_alert_that_other_clauses_allow_may_fire() -> None:
    allowed = ALL | {"quiet": {"except": ["Stale"]}}
    assert misfire(("Stale", 7.0, 9.0), expect=allowed).judged().value == "pass"


# The scenario proves nothing


def test_a_detection_that_passes_in_a_misfire_is_named() -> None:
    run = misfire((SLOW, 7.0, 9.0), expect={"detected": [SEEN]})
    verdict = run.judged()
    assert verdict.value == "fail"
    [reason] = verdict.reasons
    assert reason.startswith("the scenario proves nothing: Slow was detected though the fault could not matter")
    [seen] = verdict.of_kind("unfired")
    assert seen.cites
    assert seen.measured.fired_at_s == pytest.approx(7.01)
    # The same journal is a pass of the run that is meant.
    run.plan |= {"twin": None, "meant": []}
    assert run.judged().value == "pass"


def test_a_recovery_that_passes_in_a_misfire_is_named() -> None:
    verdict = misfire(expect={"recovered": [BACK]}, broken=[(6.0, 14.0)]).judged()
    assert verdict.value == "fail"
    assert verdict.reasons[0].startswith(f"{PROVES_NOTHING}: lag recovered though the fault could not matter")


def test_a_clearing_that_passes_in_a_misfire_is_named() -> None:
    verdict = misfire((SLOW, 7.0, 14.0), expect={"cleared": [CLEAR]}).judged()
    assert verdict.value == "fail"
    assert verdict.reasons[0].startswith(f"{PROVES_NOTHING}: Slow fired and cleared though the fault could not matter")


def test_all_that_passes_is_named_at_once() -> None:
    run = misfire((SLOW, 7.0, 14.0), broken=[(6.0, 14.0)])
    verdict = run.judged()
    assert verdict.value == "fail"
    assert [reason.startswith(PROVES_NOTHING) for reason in verdict.reasons] == [True, True, True]
    run.plan |= {"twin": None, "meant": []}
    assert run.judged().value == "pass"


def test_a_target_that_was_found_may_matter_where_the_description_is_incomplete() -> None:
    run = misfire((SLOW, 7.0, 14.0), expect=ALL | {"cleared": []}, broken=[(6.0, 14.0)])
    assert not any("lack a link" in reason for reason in run.judged().reasons)
    run.plan["meant"][0]["how"] = "found"
    told = [reason.partition("; unless link board -> store does matter")[2] for reason in run.judged().reasons]
    assert told == [": it was found by the stack description, which would lack a link then"] * 2
    silent = misfire()
    silent.plan["meant"][0]["how"] = "found"
    assert silent.judged().value == "pass"


def otherwise_bad(what: str) -> Run:
    """Return a misfire that fails by a clause which does not rest on the fault."""
    down = {"ok": False}
    calm: dict[str, Any] = {"detected": [SEEN], "quiet": "others"}
    if what == "stays":
        calm |= {"stays": [STAYS]}
    run = Run(calm, twin="misfire").gate().fault()
    if what == "guard":
        run.plan["guard"] = [{"id": "guard.failed", "probe": "availability", "at_least": 0.99, "allowed": 0.01}]
    run.alerts(*([("Stale", 7.0, 9.0)] if what == "quiet" else []))
    run.answers(*([(8.0, 10.0, down)] if what == "stays" else [(18.0, 24.0, down)] if what == "guard" else []))
    return (run.dies("server", 8.0) if what == "collateral" else run).end()


@pytest.mark.parametrize("what", ["stays", "quiet", "guard", "collateral"])
def test_a_target_that_was_found_may_be_why_another_clause_fails(what: str) -> None:
    run = otherwise_bad(what)
    [reason] = run.judged().reasons
    assert "lack a link" not in reason, "it was declared"
    run.plan["meant"][0]["how"] = "found"
    verdict = run.judged()
    hint = (
        "; unless link board -> store does matter: it was found by the stack description, which would lack a link then"
    )
    assert (verdict.value, verdict.reasons) == ("fail", (reason + hint,))
    run.plan |= {"twin": None, "meant": []}
    assert not any("lack a link" in clause.reason for clause in run.judged().clauses)


# What a control is held to as well


@pytest.mark.parametrize("firing", [(12.5, 14.0), (2.0, 3.0), (11.5, 24.0), (2.0, 24.0)])
def test_an_expected_alert_that_fires_at_another_time_does_not_tell_the_fault(firing: tuple[float, float]) -> None:
    verdict = misfire((SLOW, *firing), expect={"detected": [SEEN]}).judged()
    assert verdict.value == "fail"
    assert "though the fault could not matter: it does not tell this fault" in verdict.reasons[0]
    assert PROVES_NOTHING not in verdict.reasons[0]


def test_a_bound_that_breaks_and_does_not_recover_fails_as_in_a_control() -> None:
    verdict = misfire(expect={"recovered": [BACK]}, broken=[(6.0, 30.0)]).judged()
    assert verdict.value == "fail"
    assert "though the fault could not matter" in verdict.reasons[0]


RARE = {"id": "few", "probe": "availability", "at_least": 0.999, "over": "2s", "within": "6s", "hold": "3s"}


def test_nobody_waits_for_answers_to_a_bound_that_the_fault_is_to_break() -> None:
    run = Run({"recovered": [RARE]}, twin="misfire").gate().fault().alerts().answers().end()
    verdict = run.judged()
    assert (verdict.value, verdict.reasons) == ("pass", ())
    [few] = verdict.of_kind("unbroken")
    assert few.measured.samples == 1000
    assert few.measured.unseen == pytest.approx(0.0105, abs=1e-4), "a mean of 10.5 gives 7, which is not chance"
    # A control has that law as well; a bound that must stay has not.
    control = Run({"recovered": [RARE]}, twin="control").gate().alerts().answers().end()
    assert control.judged().value == "pass"
    stays = {"stays": [{key: RARE[key] for key in ("id", "probe", "at_least", "over")}], "detected": [SEEN]}
    stayed = Run(stays, twin="misfire").gate().fault().alerts().answers().end().judged()
    assert stayed.value == "unknown"
    assert "2,346 more answers needed" in stayed.reasons[0]


def test_few_answers_that_break_it_are_no_pass() -> None:
    def with_bad(from_s: float, to_s: float) -> str:
        run = Run({"recovered": [RARE]}, twin="misfire").gate().fault().alerts()
        return run.answers((from_s, to_s, {"ok": False})).end().judged().value

    assert with_bad(8.0, 9.0) == "fail"
    assert with_bad(8.0, 8.03) == "unknown", "2 of 1,000, which chance explains"
    assert with_bad(2.0, 3.0) == "unknown", "before the injection"


def test_what_must_stay_must_stay() -> None:
    run = Run({"detected": [SEEN], "stays": [STAYS]}, twin="misfire").gate().fault().alerts()
    assert run.answers((8.0, 10.0, {"ok": False})).end().judged().value == "fail"
    assert misfire(("Stale", 7.0, 9.0)).judged().value == "fail", "nobody expects it"
    assert misfire().dies("server", 8.0).judged().value == "fail"


def test_the_guarantees_about_data_hold() -> None:
    run = Run({"detected": [SEEN]}, twin="misfire", guarantees=["nothing_poisoned"]).gate().fault()
    run.hit(6.0, {"entity": "JFK", "event_time": 1}).alerts()
    run.readings("promoted_version", lambda t_s: float(t_s // 7), every_s=0.5)
    assert run.evidence("lineage", **POISONED).end().judged().value == "fail"


# By the law of the run that is meant


def test_an_alert_about_a_sibling_of_what_is_meant_would_detect_nothing() -> None:
    run = misfire(("Slow{replica=trainer-2}", 7.0, 9.0), expect={"detected": [SEEN]})
    run.plan["stack"]["services"] = {"trainer-1": "a", "trainer-2": "b", "store": "c"}
    run.plan["meant"][0]["target"] = {"service": "trainer-1"}
    run.plan["scenario"]["timeline"][0]["target"] = {"service": "trainer-2"}
    assert run.judged().value == "pass", "it tells the one from the other"
    run.plan["scenario"]["expect"]["detected"] = [SEEN | {"labels": "any"}]
    assert run.judged().value == "fail"


def test_an_alert_with_other_labels_is_another_alert() -> None:
    expect = {"detected": [SEEN | {"labels": {"service": "trainer"}}]}
    assert misfire(("Slow{service=board}", 7.0, 9.0), expect=expect).judged().value == "pass"
    assert misfire(("Slow{service=trainer}", 7.0, 9.0), expect=expect).judged().value == "fail"


# Unknown: what proves nothing about the scenario


@pytest.mark.parametrize(
    "fault",
    [{"confirmed": None}, {"injected": None, "confirmed": None, "reverted": None}, {"effects": [(6.0, False)]}],
    ids=["unconfirmed", "not injected", "effect lost"],
)
@pytest.mark.parametrize("firing", [[], [(SLOW, 7.0, 9.0)]], ids=["silent", "firing"])
def test_a_fault_that_was_not_there_proves_nothing(fault: dict[str, Any], firing: list[Any]) -> None:
    verdict = misfire(*firing, fault=fault).judged()
    assert verdict.value == "unknown"
    assert {of(verdict, id_) for id_ in ("seen", "back", "clear")} == {"unknown"}


@pytest.mark.parametrize("expect", [{"detected": [SEEN]}, {"recovered": [BACK | {"fault": "slow"}]}])
def test_what_passes_beside_a_fault_that_was_not_there_proves_nothing_either(expect: dict[str, Any]) -> None:
    run = Run(expect, twin="misfire", faults=("slow", "more")).gate().fault().fault("more", confirmed=None)
    run.alerts((SLOW, 7.0, 9.0)).readings("lag", lag((6.0, 14.0))).end()
    assert run.judged().value == "unknown"


def test_one_of_two_faults_that_was_not_there_proves_nothing() -> None:
    run = Run({"detected": [SEEN]}, twin="misfire", faults=("slow", "more")).gate().fault()
    assert run.fault("more", confirmed=None).alerts().end().judged().value == "unknown"


@pytest.mark.parametrize(
    "polls",
    [
        {"beats": lambda t_s: float(int(min(t_s, 6.0) * 5))},
        {"beats": lambda _: None},
        {"skip": [(7.0, 9.0)]},
        {"down": [(2.0, 26.0)]},
        {"to_s": 20.0},
    ],
    ids=["rules died", "no evaluations", "not polled", "no answers", "not polled at the end"],
)
def test_an_alert_that_nobody_could_see_is_no_alert_that_did_not_fire(polls: dict[str, Any]) -> None:
    for expect in ({"detected": [SEEN]}, {"cleared": [CLEAR]}):
        assert misfire(expect=expect, polls=polls).judged().value == "unknown"


def test_a_firing_that_is_counted_without_its_labels_is_unknown() -> None:
    expect = {"detected": [SEEN | {"labels": {"service": "trainer"}}]}
    verdict = misfire(expect=expect, polls={"counted": [(SLOW, 7.0)]}).judged()
    assert verdict.value == "unknown"
    assert "may have fired" in verdict.reasons[0]


def test_an_alert_that_may_have_been_firing_at_the_steady_state_is_unknown() -> None:
    assert misfire((SLOW, 0.0, 24.0), expect={"detected": [SEEN]}).judged().value == "unknown"


def test_a_bound_that_was_not_read_is_unknown() -> None:
    run = Run({"recovered": [BACK]}, twin="misfire").gate().fault()
    assert run.readings("lag", 1.0, skip=[(7.0, 9.0)]).end().judged().value == "unknown"


def test_a_bound_that_was_broken_before_is_unknown() -> None:
    assert misfire(expect={"recovered": [BACK]}, broken=[(2.0, 3.0)]).judged().value == "unknown"


def test_a_busy_machine_is_no_finding_about_the_scenario() -> None:
    run = misfire((SLOW, 7.0, 9.0), expect={"detected": [SEEN], "recovered": [BACK]}, broken=[(7.0, 9.0)])
    verdict = run.machine((5.0, 11.0, CROWDED)).judged()
    assert verdict.value == "unknown"
    assert verdict.machine_busy
    assert not any(reason.startswith(PROVES_NOTHING) for reason in verdict.reasons)


def test_a_machine_that_was_busy_at_another_time_is_no_excuse_for_a_scenario() -> None:
    run = misfire((SLOW, 22.0, 23.0), expect={"detected": [SEEN | {"within": "18s"}]}).machine((0.1, 1.5, CROWDED))
    assert run.judged().value == "fail", "the alert fired long after"
    for busy in ((0.2, 2.6), (16.0, 24.0)):
        verdict = misfire(expect={"recovered": [BACK]}, broken=[(7.0, 9.0)]).machine((*busy, CROWDED)).judged()
        assert verdict.value == "fail"
        assert verdict.reasons[0].startswith(f"{PROVES_NOTHING}: lag recovered")


def test_a_bound_that_breaks_on_a_quiet_machine_fails_though_its_recovery_may_be_the_machine_s() -> None:
    # Broken from 6 to 20 s: it recovers too late, perhaps for the machine. But it broke, and should not have.
    run = misfire(expect={"recovered": [BACK]}, broken=[(6.0, 20.0)]).machine((13.0, 19.0, CROWDED))
    assert run.judged().value == "fail"
    run.plan |= {"twin": None, "meant": []}
    assert run.clause("back").cause == "machine"


def test_what_can_show_nothing_is_not_the_machine_s() -> None:
    run = misfire(expect={"stays": [STAYS]}).machine((5.0, 20.0, CROWDED))
    verdict = run.judged()
    assert (verdict.value, verdict.machine_busy) == ("unknown", False)
    assert verdict.reasons == (
        "no clause rests on the fault (detected, noticed, recovered, cleared): a misfire can show nothing",
    )


def test_what_a_machine_that_is_always_busy_broke_is_no_finding_either() -> None:
    # Of the run that is meant it would be a pass: the machine was as busy before.
    run = misfire((SLOW, 7.0, 14.0), broken=[(6.0, 14.0)]).machine((0.1, 25.5, CROWDED))
    verdict = run.judged()
    assert verdict.value == "unknown"
    assert {of(verdict, id_) for id_ in ("seen", "back", "clear")} == {"unknown"}
    assert not any(PROVES_NOTHING in clause.reason for clause in verdict.clauses)
    run.plan |= {"twin": None, "meant": []}
    assert run.judged().value == "pass"


def test_a_scenario_in_which_nothing_rests_on_the_fault_can_show_nothing() -> None:
    verdict = misfire(expect={"stays": [STAYS]}).judged()
    assert verdict.value == "unknown"
    assert "no clause rests on the fault" in verdict.reasons[0]


def test_a_misfire_without_a_target_says_so() -> None:
    run = Run(ALL, twin="misfire")
    run.plan |= {"meant": [], "unaimed": "slow: no other link is proven not to matter"}
    verdict = run.end(observed=None).judged()
    assert (verdict.value, verdict.reasons) == ("unknown", ("slow: no other link is proven not to matter",))


def test_a_run_that_is_called_a_misfire_and_hits_what_is_meant_is_none() -> None:
    run = misfire()
    run.plan["scenario"]["timeline"][0]["target"] = run.plan["meant"][0]["target"]
    assert run.judged().value == "unknown"
    forgotten = misfire()
    forgotten.plan["meant"] = []
    assert forgotten.judged().value == "unknown"


def test_a_misfire_that_is_not_called_one_is_no_run_of_its_scenario() -> None:
    run = misfire((SLOW, 7.0, 14.0), broken=[(6.0, 14.0)])
    run.plan["twin"] = None
    assert run.judged().value == "unknown"


def test_a_misfire_that_was_cut_off_is_unknown() -> None:
    run = misfire()
    run.lines = [line for line in run.lines if line[1]["kind"] != "closed"]
    assert run.judged().value == "unknown"


def test_a_known_weakness_does_not_turn_a_misfire_round() -> None:
    weak = {"known_weakness": {"reason": "no retry", "ticket": "ML-7", "until": "2026-07-01", "clauses": ["seen"]}}
    assert misfire(**weak).judged().value == "pass"
    assert misfire((SLOW, 7.0, 9.0), **weak).judged().value == "fail"


# Never both


times_ = st.floats(0.5, 24.0).map(lambda t: round(t, 1))


@settings(deadline=None, max_examples=50)
@given(start=times_, length=st.floats(0.2, 12.0), broke=times_, lasted=st.floats(0.2, 12.0), confirmed=st.booleans())
def test_no_run_passes_as_itself_and_as_its_misfire(
    start: float, length: float, broke: float, lasted: float, confirmed: bool
) -> None:
    fault = {} if confirmed else {"confirmed": None}
    run = misfire((SLOW, start, start + length), broken=[(broke, broke + lasted)], fault=fault)
    as_misfire = {c.id: c.value for c in run.judged().clauses}
    run.plan |= {"twin": None, "meant": []}
    itself = {c.id: c.value for c in run.judged().clauses}
    for id_ in ("seen", "back", "clear"):
        assert not itself[id_] == as_misfire[id_] == "pass"
        assert itself[id_] != "pass" or as_misfire[id_] == "fail"


def test_a_good_run_is_a_bad_misfire() -> None:
    run = Run(ALL, twin="misfire").gate().fault().alerts((SLOW, 7.0, 14.0)).answers().readings("lag", BROKEN).end()
    assert run.judged().value == "fail"
