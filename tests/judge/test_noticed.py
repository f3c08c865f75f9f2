"""What must notice: a probe that kept its bound until the fault went in says in time that it no longer does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import CROWDED, SLOW, Run, Stretch

from harness.judge.misfire import PROVES_NOTHING
from harness.model.clauses import Noticed

READY = {"id": "says-so", "probe": "ready", "equals": 200, "within": "6s"}
EXPECT = {"noticed": [READY]}


def status(*refused: Stretch) -> Callable[[float], float]:
    """Return the answers of a readiness endpoint that says no in these stretches."""
    return lambda t_s: 503.0 if any(lo <= t_s < hi for lo, hi in refused) else 200.0


def looked(*refused: Stretch, fault: dict[str, Any] | None = None, within: str = "6s", **reads: Any) -> Run:
    run = Run({"noticed": [READY | {"within": within}]}, rules=()).gate().fault(**(fault or {}))
    return run.readings("ready", status(*refused), **reads).end()


# Leaving its bound


def test_a_probe_that_leaves_its_bound_in_time_passes_with_the_interval() -> None:
    found = looked((7.0, 14.0)).clause("says-so")
    assert found.value == "pass"
    assert found.measured.after_lo_s == pytest.approx(1.9)
    assert found.measured.after_s == pytest.approx(2.01)
    assert found.measured.noticed_at_s == pytest.approx(7.01)
    assert found.used == pytest.approx(2.01 / 6, abs=0.001)
    assert found.reason == ("ready (exactly 200): it was 503 1.90–2.01 s after injection (within 6 s)")


def test_it_cites_the_fault_and_the_readings_around_it() -> None:
    run = looked((7.0, 14.0))
    lines = {line.n: line.body for line in run.build().lines}
    cited = [lines[n] for n in run.clause("says-so").cites]
    assert [line.kind for line in cited] == ["fault", "reading", "reading"]
    assert [line.value for line in cited[1:]] == [200.0, 503.0]


@pytest.mark.parametrize("limit", [{"at_least": 0.5}, {"at_most": 5}, {"equals": 1}])
def test_a_bound_has_any_side(limit: dict[str, float]) -> None:
    bad = 0.0 if "at_least" in limit else 9.0
    clause = {"id": "n", "probe": "up", "within": "6s", **limit}
    run = Run({"noticed": [clause]}).gate().fault().readings("up", lambda t_s: bad if 7 <= t_s < 9 else 1.0).end()
    assert run.clause("n").value == "pass"
    still = Run({"noticed": [clause]}).gate().fault().readings("up", 1.0).end()
    assert still.clause("n").value == "fail"


@pytest.mark.parametrize("limits", [{}, {"at_least": 1, "equals": 1}, {"at_most": 1, "at_least": 1}])
def test_exactly_one_side_is_needed(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="exactly one of at_least, at_most and equals is needed"):
        Noticed.model_validate({"id": "n", "probe": "up", "within": "6s", **limits})


def test_an_endpoint_that_always_says_yes_fails() -> None:
    found = looked().clause("says-so")
    assert (found.value, found.measured.met) == ("fail", False)
    assert "did not leave its bound within 6 s of injection, nor later" in found.reason
    assert found.measured.after_s is None


def test_leaving_it_too_late_fails() -> None:
    found = looked((11.5, 14.0)).clause("says-so")
    assert found.value == "fail"
    assert "it was 503 too late, 6.40–6.51 s after injection" in found.reason


def test_a_deadline_inside_the_interval_is_unknown() -> None:
    found = looked((11.0, 14.0)).clause("says-so")
    assert found.value == "unknown"
    assert "around its deadline" in found.reason


def test_an_injection_that_took_a_while_widens_the_interval() -> None:
    found = looked((8.0, 14.0), fault={"injected": (5.0, 6.0), "confirmed": 6.3}, within="2.5s").clause("says-so")
    assert found.value == "unknown"


# Before the injection


@pytest.mark.parametrize(
    "refused", [((2.0, 3.0), (7.0, 9.0)), ((4.85, 9.0),), ((0.0, 30.0),), ((4.0, 5.0), (7.0, 9.0))]
)
def test_what_was_beyond_its_bound_before_the_fault_notices_nothing(refused: Sequence[Stretch]) -> None:
    found = looked(*refused).clause("says-so")
    assert found.value == "unknown"
    assert "already, before injection" in found.reason


def test_a_reading_asked_before_the_injection_and_answered_after_it_tells_nothing() -> None:
    run = looked((7.0, 9.0), skip=[(4.85, 5.15)])
    run.add(5.2, "reading", probe="ready", planned_s=4.9, asked_s=4.9, answered_s=5.2, value=503.0)
    found = run.clause("says-so")
    assert found.value == "unknown"
    assert "by a reading that was asked before injection" in found.reason


def test_it_must_have_been_read_right_before_the_injection() -> None:
    found = looked((5.0, 9.0), every_s=1.5, from_s=0.4).clause("says-so")
    assert found.value == "unknown"  # a gap for a probe that is read each tenth of a second
    run = looked((5.0, 9.0), every_s=3.0, from_s=0.8)
    run.plan["stack"]["probe_every_s"] = {"ready": 3.0}
    found = run.clause("says-so")
    assert found.value == "unknown"
    assert "was not read in the second before injection; its interval is 3 s" in found.reason


def test_a_fault_that_goes_in_with_the_steady_state_has_the_reading_before_that() -> None:
    def by_hand(*refused: Stretch, lost: Stretch = (0.0, 0.0)) -> str:
        run = Run(EXPECT).gate(4.97).fault().readings("ready", status(*refused), skip=[lost])
        return str(run.gap("ready", *lost).end().clause("says-so").value)

    assert by_hand((5.0, 9.0)) == "pass"
    assert by_hand((4.85, 9.0)) == "unknown"
    assert by_hand((4.85, 4.95), (7.0, 9.0)) == "unknown"  # and not the fault's when it comes again
    assert by_hand((5.0, 9.0), lost=(4.85, 4.95)) == "unknown"
    assert by_hand((7.0, 9.0), lost=(4.85, 4.95)) == "pass"  # it was seen to keep its bound with the fault in


def test_a_slow_probe_that_was_well_with_the_fault_in_left_its_bound_after_it() -> None:
    run = looked((8.0, 12.0), every_s=3.0, from_s=0.8)
    run.plan["stack"]["probe_every_s"] = {"ready": 3.0}
    found = run.clause("says-so")
    assert found.value == "pass"
    assert (found.measured.after_lo_s, found.measured.after_s) == (pytest.approx(1.8), pytest.approx(4.81))


def test_a_gap_before_the_injection_may_hide_that_it_leaves_its_bound_by_itself() -> None:
    run = looked((7.0, 9.0), skip=[(2.0, 2.4)]).gap("ready", 2.0, 2.4)
    found = run.clause("says-so")
    assert found.value == "unknown"
    assert "may have left its bound before injection" in found.reason
    assert looked((7.0, 9.0), from_s=20.0).clause("says-so").value == "unknown"
    assert looked((7.0, 9.0), to_s=4.0).clause("says-so").value == "unknown"


def test_what_it_was_before_the_steady_state_does_not_count() -> None:
    assert looked((0.5, 0.8), (7.0, 9.0)).clause("says-so").value == "pass"


# No answer


def test_no_answer_is_neither_yes_nor_no() -> None:
    # As of a service that is itself what the fault hit: nobody is there who could notice.
    for down in ([(6.0, 14.0)], [(6.0, 6.3)]):
        found = looked(down=down).clause("says-so")
        assert found.value == "unknown"
        assert "gave no answer at 6.01 s (no answer), which is neither yes nor no" in found.reason
    late = looked((13.0, 14.0), down=[(6.0, 13.0)]).clause("says-so")
    assert late.value == "unknown"
    assert looked((8.0, 14.0), down=[(6.0, 8.0)]).clause("says-so").value == "pass"
    # After the deadline it changes nothing.
    assert looked(down=[(12.0, 14.0)]).clause("says-so").value == "fail"


def test_no_answer_before_the_injection_is_not_a_bound_that_was_kept() -> None:
    found = looked((7.0, 9.0), down=[(3.0, 3.2)]).clause("says-so")
    assert found.value == "unknown"
    assert "gave no answer at 3.01 s already" in found.reason


# Gaps, deadlines and the end


def test_a_gap_in_the_time_for_it_is_unknown() -> None:
    for refused in ((), ((13.0, 14.0),)):
        found = looked(*refused, skip=[(8.0, 10.0)]).clause("says-so")
        assert found.value == "unknown"
        assert "may have left its bound in time" in found.reason
    # One after the deadline is none in that time.
    assert looked(skip=[(12.0, 14.0)]).clause("says-so").value == "fail"


def test_observation_must_reach_the_deadline() -> None:
    run = Run({"noticed": [READY | {"within": "30s"}]}).gate().fault().readings("ready", 200.0).end()
    found = run.clause("says-so")
    assert found.value == "unknown"
    assert "when observation ended, before its deadline" in found.reason


def test_a_probe_must_be_read_while_the_fault_is_in() -> None:
    run = looked(every_s=8.0, from_s=4.5)
    run.plan["stack"]["probe_every_s"] = {"ready": 8.0}
    found = run.clause("says-so")
    assert found.value == "unknown"
    assert "not read while the fault was in; its interval is 8 s" in found.reason


@pytest.mark.parametrize(
    "fault",
    [{"confirmed": None}, {"landed": False}, {"injected": None, "confirmed": None}, {"effects": [(9.0, False)]}],
)
@pytest.mark.parametrize("refused", [(), ((7.0, 9.0),)])
def test_a_fault_that_did_not_land_is_noticed_by_nobody(fault: dict[str, Any], refused: Sequence[Stretch]) -> None:
    assert looked(*refused, fault=fault).clause("says-so").value == "unknown"


def test_without_readings_it_is_unknown() -> None:
    assert Run(EXPECT).gate().fault().end().clause("says-so").value == "unknown"


# Several faults


def two(*refused: Stretch, about: str, second_s: float = 9.0, first_out_s: float = 7.0) -> str:
    run = Run({"noticed": [READY | {"fault": about}]}, faults=("slow", "second")).gate()
    run.fault("slow", reverted=first_out_s).fault("second", injected=second_s, confirmed=second_s + 0.3, reverted=14.0)
    return str(run.readings("ready", status(*refused)).end().clause("says-so").value)


def test_of_several_faults_each_is_noticed_by_itself() -> None:
    assert two((6.0, 7.5), (10.0, 12.0), about="slow") == "pass"
    assert two((6.0, 7.5), (10.0, 12.0), about="second") == "pass"
    assert two((6.0, 12.0), about="second") == "unknown"  # by the first one, and not good again since
    assert two((10.0, 12.0), about="slow") == "unknown"  # perhaps by the second one
    assert two((6.0, 7.5), about="second") == "fail"


def test_of_faults_that_are_in_together_nobody_can_tell_which_is_noticed() -> None:
    assert two((8.0, 12.0), about="second", second_s=6.0, first_out_s=12.0) == "unknown"
    assert two((5.5, 12.0), about="slow", second_s=6.0, first_out_s=12.0) == "pass"


# The machine


def test_what_a_busy_machine_may_be_the_cause_of_is_no_notice() -> None:
    busy = looked((7.0, 9.0)).machine((5.5, 9.5, CROWDED)).clause("says-so")
    assert (busy.value, busy.cause) == ("unknown", "machine")
    # Time that the machine took is not time that the stack had.
    late = looked((12.0, 14.0)).machine((6.0, 9.0, CROWDED)).clause("says-so")
    assert (late.value, late.cause) == ("unknown", "machine")
    never = looked().machine((6.0, 9.0, CROWDED)).clause("says-so")
    assert (never.value, never.cause) == ("unknown", "machine")
    assert looked((7.0, 9.0)).machine().clause("says-so").value == "pass"
    # One that was as busy before, while the bound was kept, is not the cause.
    assert looked((7.0, 9.0)).machine((0.0, 26.0, CROWDED)).clause("says-so").value == "pass"
    # It left its bound after the machine had been busy, and not before.
    shortly = looked((8.0, 9.0)).machine((5.2, 6.5, CROWDED)).clause("says-so")
    assert (shortly.value, shortly.cause) == ("unknown", "machine")


# Twins


def control(*refused: Stretch, **reads: Any) -> Run:
    return Run(EXPECT, twin="control", rules=()).gate().readings("ready", status(*refused), **reads).end()


def test_in_a_control_the_bound_is_never_left() -> None:
    assert control().judged().value == "pass"
    verdict = control((8.0, 8.2)).judged()
    assert verdict.value == "fail"
    assert "without any fault" in verdict.reasons[0]
    assert control(skip=[(7.0, 9.0)]).judged().value == "unknown"


def test_a_probe_that_leaves_its_bound_in_the_control_too_notices_nothing() -> None:
    run = looked((7.0, 14.0))
    assert run.judged(control()).value == "pass"
    verdict = run.judged(control((8.0, 9.0)))
    assert verdict.value == "unknown"
    assert "in the control it left its bound too" in verdict.reasons[0]
    assert verdict.of_kind("noticed")[0].measured.met is None


def test_a_control_in_which_the_probe_was_not_read_proves_nothing() -> None:
    for beside in (control(skip=[(7.0, 9.0)]), control(from_s=30.0, to_s=31.0)):
        verdict = looked((7.0, 14.0)).judged(beside)
        assert verdict.value == "unknown"
        assert "the control proves nothing" in verdict.reasons[0]
    short = Run(EXPECT, twin="control", rules=()).gate().readings("ready", 200.0).end(observed=6.0)
    verdict = looked((7.0, 14.0)).judged(short)
    assert verdict.value == "unknown"
    assert "the control ended before 7.01 s" in verdict.reasons[0]


def test_a_control_does_not_save_a_failure() -> None:
    assert looked().judged(control((8.0, 9.0))).value == "fail"


def misfire(*refused: Stretch, **reads: Any) -> Run:
    return Run(EXPECT, twin="misfire").gate().fault().readings("ready", status(*refused), **reads).end()


def test_a_notice_of_a_fault_that_cannot_matter_proves_nothing() -> None:
    assert misfire().judged().value == "pass"
    [reason] = misfire((7.0, 14.0)).judged().reasons
    assert reason.startswith(f"{PROVES_NOTHING}: ready noticed the fault though the fault could not matter")
    assert misfire((13.0, 14.0)).judged().value == "fail"  # too late for a notice, and all the same
    assert misfire(skip=[(8.0, 10.0)]).judged().value == "unknown"


@pytest.mark.parametrize(
    ("refused", "reads", "value", "caught"),
    [((), {}, "fail", True), (((7.0, 9.0),), {}, "pass", False), ((), {"skip": [(8.0, 10.0)]}, "unknown", False)],
)
def test_a_sabotage_that_must_break_it_is_caught_by_what_was_read(
    refused: Sequence[Stretch], reads: dict[str, Any], value: str, caught: bool
) -> None:
    off = {"kind": "recovery", "name": "drain", "service": "server", "env": {}, "breaks": ["says-so"]}
    run = Run(EXPECT, twin="sabotage", sabotage=off).gate().fault().readings("ready", status(*refused), **reads)
    verdict = run.end().judged()
    assert (verdict.value, verdict.caught) == (value, caught)


def test_a_known_weakness_may_name_it() -> None:
    weak = {"reason": "always 200", "ticket": "ML-7", "until": "2026-07-01", "clauses": ["says-so"]}
    run = Run(EXPECT, known_weakness=weak).gate().fault().readings("ready", 200.0).end()
    assert run.judged().value == "pass"
    mended = Run(EXPECT, known_weakness=weak).gate().fault().readings("ready", status((7.0, 9.0))).end()
    assert mended.judged().value == "fail"


# Less evidence

tenths = st.integers(0, 250).map(lambda n: n / 10)
stretches = st.tuples(tenths, tenths).map(lambda pair: (min(pair), max(pair)))
CALM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@CALM
@given(
    st.lists(stretches, max_size=3),
    st.lists(stretches, max_size=2),
    stretches,
    st.booleans(),
    st.sampled_from([SLOW, "second"]),
)
def test_readings_lost_are_never_rewarded(
    refused: list[Stretch], down: list[Stretch], lost: Stretch, admitted: bool, about: str
) -> None:
    names = (SLOW, "second")
    whole = Run({"noticed": [READY | {"fault": about}]}, faults=names).gate().fault(SLOW, reverted=8.0)
    whole.fault("second", injected=12.0, confirmed=12.3, reverted=16.0)
    whole.readings("ready", status(*refused), down=down).end()
    thinner = copy.deepcopy(whole)
    lo_s, hi_s = lost
    if not admitted:
        lo_s, hi_s = lo_s, max(hi_s, lo_s + 1.2)  # what is missed for a second is a gap without being called one
    read = lambda body: body["kind"] == "reading" and lo_s <= body["asked_s"] < hi_s  # noqa: E731
    thinner.lines = [(t_s, body) for t_s, body in whole.lines if not read(body)]
    if admitted:
        thinner.gap("ready", lo_s, hi_s)
    before, after = whole.clause("says-so"), thinner.clause("says-so")
    if before.value == "pass":
        assert after.value != "fail", (before.reason, after.reason)
    else:
        assert after.value != "pass", (before.reason, after.reason)


@CALM
@given(st.integers(51, 240), st.integers(0, 100))
def test_leaving_it_later_never_makes_a_failure_a_pass(tenth: int, by: int) -> None:
    rank = {"fail": 0, "unknown": 1, "pass": 2}
    sooner, later = (looked((at / 10, at / 10 + 1)).clause("says-so").value for at in (tenth, tenth + by))
    assert rank[later] <= rank[sooner]


def test_a_service_that_is_started_anew_notices_nothing() -> None:
    """It says no while it starts, whatever the fault does to it."""
    run = looked((8.0, 9.0), down=[(5.2, 8.0)])
    run.add(5.2, "process", service="server", what="exited", at_s=5.2, exit_code=1)
    run.add(7.5, "process", service="server", what="started", at_s=7.5)
    found = run.clause("says-so")
    assert found.value == "unknown"
    assert "and server was started meanwhile: that may be why" in found.reason


def test_what_leaves_its_bound_once_the_fault_is_gone_may_notice_the_revert() -> None:
    found = looked((13.0, 14.0), within="20s").clause("says-so")
    assert found.value == "unknown"
    assert "the fault was gone by then: it may be the revert that it notices" in found.reason
