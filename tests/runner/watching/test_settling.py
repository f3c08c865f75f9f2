"""What a run decides while it goes: whether the gate is open, when a fault is due, and when to stop looking."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fake_runs import plan_of, small_description

from harness.journal.writer import JournalWriter
from harness.model.clauses import Bound
from harness.model.faultstep import FaultStep
from harness.model.readings import Alert, AlertsSeen, Answer, FaultSeen, Gap, GateSeen, ProcessSeen, Reading
from harness.runner.execution.script import RunContext, wait_for_start
from harness.runner.watching.gate import wait_for_steady_state
from harness.runner.watching.live import KEPT_S, Live
from harness.runner.watching.settling import Settling

SOURCE = "http://server:18001"
BROKEN = Alert(name="Broken", labels={"service": "x"})


class Frozen:
    """A clock that goes on a little each time it is read."""

    def __init__(self, at_s: float = 10.0, step_s: float = 0.1) -> None:
        self.at_s, self._step_s = at_s, step_s

    def now_s(self) -> float:
        self.at_s += self._step_s
        return self.at_s


def answers(live: Live, to_s: float, count: int = 40, ok: bool = True, **fields: Any) -> None:
    for k in range(count):
        due_s = to_s - 0.02 * k
        one = Answer(id=f"r{due_s}", at_event=0, due_s=due_s, sent_s=due_s, done_s=due_s, ok=ok, **fields)
        live.note(k, due_s, one)


def alerts(
    live: Live, *firing: Alert, at_s: float = 10.0, beats: float | None = 1.0, down: str | None = None, **more: Any
) -> None:
    seen = AlertsSeen(
        source=SOURCE,
        planned_s=at_s,
        asked_s=at_s,
        answered_s=at_s,
        firing=firing,
        evaluations=beats,
        down=down,
        **more,
    )
    live.note(0, 0.0, seen)


def well() -> Live:
    live = Live()
    answers(live, 10.0)
    alerts(live, beats=1)
    alerts(live, beats=2)
    return live


async def gate_of(live: Live, *, scores_checked: bool = True, **expect: Any) -> Any:
    plan = plan_of("0s", "1s", scores_checked=scores_checked, gate_timeout="100ms", expect=expect)
    clock: Any = Frozen()
    return await wait_for_steady_state(plan, small_description(), live, clock, lambda: 10.0)


async def test_a_stack_that_is_well_opens_the_gate() -> None:
    seen = await gate_of(well(), detected=[{"id": "seen", "alert": "Broken", "within": "1s"}])
    assert seen.met
    assert seen.values["up"] == 1.0


def test_a_reading_is_the_present_one_only_until_nothing_is_known() -> None:
    live, bound = Live(), Bound.model_validate({"id": "b", "probe": "lag", "at_most": 5})
    live.note(1, 3.0, Reading(probe="lag", planned_s=3.0, asked_s=3.0, answered_s=3.0, value=1.0))
    live.note(2, 4.0, Gap(probe="lag", from_s=3.9, to_s=4.0, why="a sample is 77.5 s old"))
    point = live.point(bound, 4.0)
    assert (point.good, point.why, point.cites) == (None, "a sample is 77.5 s old", (2,))
    live.note(3, 5.0, Reading(probe="lag", planned_s=5.0, asked_s=5.0, answered_s=5.0, value=2.0))
    assert (live.point(bound, 5.0).good, live.gap("lag")) == (True, None)


async def test_a_probe_that_the_gate_and_the_scenario_bound_is_named_once() -> None:
    live = well()
    answers(live, 10.0, ok=False)
    seen = await gate_of(live)
    assert not seen.met
    assert str(seen.why).count("availability is") == 1, seen.why
    assert {"up", "gate-availability"} <= set(seen.values), "both are measured all the same"


async def test_a_slow_probe_that_gives_too_few_readings_ends_the_gate_and_is_told_as_that() -> None:
    live = well()
    live.note(1, 9.5, Reading(probe="ready", planned_s=9.5, asked_s=9.5, answered_s=9.9, value=200.0))
    noticed = {"id": "no", "probe": "ready", "equals": 200, "within": "5s", "over": "1s", "min_samples": 3}
    seen = await gate_of(live, noticed=[noticed])
    assert (seen.met, seen.why) == (False, "ready is 200, not known to be exactly 200 (1 of 3 samples)")


async def test_the_gate_waits_for_a_service_that_has_failed() -> None:
    def process(what: Any, **how: Any) -> ProcessSeen:
        return ProcessSeen(service="store", what=what, at_s=9.0, **how)

    live = well()
    for how, why in (({"exit_code": 1}, "with code 1"), ({"signal": 11}, "by signal 11")):
        live.note(1, 9.0, process("exited", **how))
        seen = await gate_of(live)
        assert (seen.met, seen.why) == (False, f"store ended at 9.0 s {why} and does not run")
        live.note(2, 9.5, process("restarted"))
        assert (await gate_of(live)).met
    live.note(3, 9.5, process("exited", exit_code=1))
    plan = plan_of("0s", "1s", scores_checked=True, gate_timeout="100ms", may_die=["store"])
    clock: Any = Frozen()
    assert (await wait_for_steady_state(plan, small_description(), live, clock, lambda: 10.0)).met
    for of_its_own in ({"exit_code": 0}, {"signal": 9, "asked": "harness"}):
        live.note(3, 9.6, process("exited", **of_its_own))
        assert (await gate_of(live)).met


SEEN = [{"id": "seen", "alert": "Broken", "labels": {"service": "x"}, "within": "1s"}]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda live: answers(live, 10.0, 40, ok=False), "availability is 0.5, not at least 0.9"),
        (lambda live: answers(live, 10.0, 2, wrong=True), "silent_wrong_answers is 0.0"),
        (lambda live: alerts(live, BROKEN, beats=3), "Broken{service=x}, which the fault should raise"),
        (lambda live: alerts(live, beats=3, pending=(BROKEN,)), "is already pending or firing"),
        (lambda live: alerts(live, down="refused"), "does not answer (refused)"),
    ],
)
async def test_each_unhealthy_thing_is_reported(change: Any, why: str) -> None:
    live = well()
    change(live)
    seen = await gate_of(live, detected=SEEN)
    assert not seen.met
    assert why in seen.why


async def test_d4_the_gate_does_not_wait_for_what_cannot_be_known() -> None:
    live = Live()
    answers(live, 10.0, wrong=None)
    alerts(live, beats=1)
    alerts(live, beats=2)
    assert not (await gate_of(live)).met, "here a model is declared, and its scores are checked before it opens"
    assert (await gate_of(live, scores_checked=False)).met


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"wrong": True, "why": "delay is 9"}, "2 answers of the last 1 s are wrong or stale (delay is 9)"),
        ({"wrong": None, "stale": True}, "2 answers of the last 1 s are wrong or stale (it is stale)"),
        ({"ok": False}, "availability"),
    ],
)
async def test_d4_what_is_known_to_be_wrong_keeps_it_shut(bad: dict[str, Any], why: str) -> None:
    live = Live()
    answers(live, 10.0, 40 if "ok" not in bad else 5, wrong=None)
    answers(live, 9.5, 2 if "ok" not in bad else 20, **{"ok": True} | bad)
    alerts(live, beats=1)
    alerts(live, beats=2)
    seen = await gate_of(live, scores_checked=False)
    assert not seen.met
    assert why in seen.why


async def test_nothing_seen_at_all() -> None:
    live = Live()
    seen = await gate_of(live)
    assert "does not answer" in seen.why
    assert "availability has no value" in seen.why
    answers(live, 10.0)
    alerts(live, beats=1)
    assert "nothing shows that" in (await gate_of(live)).why, "one beat proves no evaluation"


@pytest.mark.parametrize(("beat_s", "met"), [(9.9, True), (6.0, False)])
async def test_rules_that_were_evaluated_once_and_no_more_keep_it_shut(beat_s: float, met: bool) -> None:
    live = Live()
    answers(live, 10.0)
    for k in range(3):
        alerts(live, at_s=beat_s - 0.2 + 0.1 * k, beats=k)
    alerts(live, at_s=10.0, beats=2)
    assert (await gate_of(live)).met is met


async def test_rules_that_are_evaluated_seldom_may_be_so() -> None:
    live = Live()
    answers(live, 10.0)
    for at_s, beats in ((0.0, 1), (3.0, 2), (6.0, 3), (10.0, 3)):
        alerts(live, at_s=at_s, beats=beats)
    assert (await gate_of(live)).met, "three seconds went between two of them"


@pytest.mark.parametrize(("settled_s", "took_s", "met"), [(9.5, 0.02, True), (8.0, 0.02, False), (8.0, 1.5, True)])
async def test_what_was_seen_before_a_stack_hung_does_not_open_it(settled_s: float, took_s: float, met: bool) -> None:
    live = Live()
    for k in range(60):
        due_s = settled_s - 0.02 * k
        live.note(k, due_s, Answer(id=f"r{k}", at_event=0, due_s=due_s, sent_s=due_s, done_s=due_s + took_s, ok=True))
    alerts(live, at_s=9.8, beats=1)
    alerts(live, at_s=10.0, beats=2)
    plan, clock = plan_of("0s", "1s", gate_timeout="100ms"), Frozen()
    seen = await wait_for_steady_state(plan, small_description(), live, cast("Any", clock), lambda: settled_s)
    assert seen.met is met, seen.why
    assert met or "has no answer yet" in seen.why


@pytest.mark.parametrize(
    ("fields", "probe", "said"),
    [
        ({"ok": False, "error": "status 404"}, "availability", "status 404"),
        ({"wrong": True, "why": "score is 3, not 4"}, "silent_wrong_answers", "score is 3, not 4"),
    ],
)
async def test_the_gate_names_one_request_for_want_of_which_it_waits(
    fields: dict[str, Any], probe: str, said: str
) -> None:
    live = well()
    answers(live, 10.0, **{"ok": True, **fields})
    plan, clock = plan_of("0s", "1s", scores_checked=True, gate_timeout="100ms"), Frozen()
    seen = await wait_for_steady_state(
        plan, small_description(), live, cast("Any", clock), lambda: 10.0, lambda answer: f"file of {answer.id}"
    )
    assert not seen.met
    assert re.search(
        rf"{probe} is [\d.]+, not at (least|most) [\d.]+ \(for one, file of r10.0: {said}\)", str(seen.why)
    )


async def test_other_label_sets_of_an_expected_alert_do_not_hold_up_the_gate() -> None:
    live = well()
    alerts(live, Alert(name="Broken", labels={"service": "y"}), beats=3)
    assert (await gate_of(live, detected=SEEN)).met


def stage(live: Live, name: str, at_s: float) -> None:
    live.note(0, at_s, FaultSeen.model_validate({"fault": "it", "stage": name, "lo_s": at_s, "hi_s": at_s}))


def settling(live: Live, twin: Any = None, **changes: Any) -> Settling:
    return Settling(plan_of("0s", "1s", twin=twin, **changes), live)


def test_a_detection_is_waited_for_until_it_is_there_or_over() -> None:
    live = Live()
    it = settling(live, expect={"detected": [{"id": "seen", "alert": "Broken", "within": "8s"}]})
    stage(live, "injected", 1.0)
    it.tick(2.0)
    assert not it.settled(5.0, 2.0)
    assert it.settled(9.6, 2.0), "its time is over"
    alerts(live, BROKEN)
    it.tick(5.0)
    assert it.settled(5.0, 2.0)


def test_a_probe_that_must_notice_is_waited_for_until_it_says_so_or_its_time_is_over() -> None:
    live = Live()

    def read(at_s: float, value: float | None) -> None:
        down = "refused" if value is None else None
        one = Reading(probe="ready", planned_s=at_s, asked_s=at_s, answered_s=at_s, value=value, down=down)
        live.note(1, at_s, one)

    expect = {"noticed": [{"id": "told", "probe": "ready", "equals": 200, "within": "8s"}]}
    it = settling(live, expect=expect)
    read(0.5, 503.0)
    stage(live, "injected", 1.0)
    assert not it.settled(5.0, 2.0), "what it said before the injection is nothing"
    read(4.0, 200.0)
    assert not it.settled(5.0, 2.0)
    read(5.0, None)
    assert not it.settled(5.1, 2.0), "no answer does not say so"
    assert it.settled(9.6, 2.0), "its time is over"
    read(6.0, 503.0)
    assert it.settled(6.1, 2.0)
    read(6.5, 200.0)
    assert it.settled(6.6, 2.0), "once is enough"
    beside = settling(live, twin="control", expect=expect)
    beside.began("it", 1.0)
    assert not beside.settled(9.6, 2.0), "without the fault it has as much time"
    assert beside.settled(12.1, 2.0)


async def test_the_gate_waits_for_a_probe_that_must_leave_its_bound_to_keep_it() -> None:
    live, expect = well(), {"noticed": [{"id": "told", "probe": "ready", "equals": 200, "within": "1s"}]}
    read = Reading(probe="ready", planned_s=9.9, asked_s=9.9, answered_s=9.9, value=503.0)
    live.note(1, 9.9, read)
    assert (await gate_of(live, **expect)).why == "ready is 503, not exactly 200"
    live.note(2, 9.9, read.model_copy(update={"value": 200.0}))
    assert (await gate_of(live, **expect)).met


def test_a_source_that_is_down_is_not_quiet() -> None:
    live = Live()
    it = settling(live, expect={"cleared": [{"id": "quiet", "alert": "Broken", "within": "20s"}]})
    stage(live, "reverted", 2.0)
    alerts(live, BROKEN, at_s=3.0)
    alerts(live, down="refused")
    assert not it.settled(5.0, 2.0)
    alerts(live)
    assert it.settled(5.0, 2.0)
    assert settling(live, expect={}).settled(3.1, 2.0)
    assert not settling(live, expect={}, observe="5s").settled(3.1, 2.0)


@pytest.mark.parametrize(("interval_s", "waits"), [(5.0, True), (0.5, False), (None, False)])
def test_an_alert_that_is_over_is_watched_until_its_rules_were_gone_through_again(
    interval_s: float | None, waits: bool
) -> None:
    live = Live()
    it = settling(live, expect={"cleared": [{"id": "quiet", "alert": "Broken", "within": "4s"}]})
    stage(live, "injected", 1.0)
    stage(live, "reverted", 2.0)
    alerts(live, BROKEN, at_s=3.0, beats=1, interval_s=interval_s)
    alerts(live, at_s=3.1, beats=2, interval_s=interval_s)
    assert it.settled(5.0, 2.0) is not waits, "it was over by the evaluation that is counted here"
    assert it.settled(7.0, 2.0) is not waits, "whatever its deadline is"
    assert it.settled(10.6, 2.0), "the rules are not gone through any more"
    alerts(live, at_s=8.1, beats=3, interval_s=interval_s)
    assert it.settled(8.2, 2.0)


def test_an_alert_that_fired_between_two_looks_is_known_to_be_quiet_again() -> None:
    live = Live()
    it = settling(live, expect={"cleared": [{"id": "quiet", "alert": "Broken", "within": "20s"}]})
    stage(live, "injected", 1.0)
    stage(live, "reverted", 3.0)
    it.tick(1.5)
    alerts(live, BROKEN, at_s=0.5)
    alerts(live, at_s=1.6)
    assert not it.settled(5.0, 3.0), "it fired before the fault, and may be pending"
    alerts(live, BROKEN, at_s=1.7)
    alerts(live, at_s=1.8)
    assert it.settled(5.0, 3.0)


def test_a_recovery_must_break_recover_and_hold() -> None:
    live = Live()
    bound = {"id": "back", "probe": "availability", "at_least": 0.9, "over": "1s", "min_samples": 5}
    it = settling(live, expect={"recovered": [bound | {"within": "20s", "hold": "2s"}]})
    stage(live, "reverted", 10.0)
    answers(live, 10.0)
    it.tick(10.0)
    assert not it.settled(11.5, 10.0), "it never broke yet"
    answers(live, 12.0, ok=False)
    it.tick(12.0)
    answers(live, 14.0, 60)
    it.tick(14.0)
    assert not it.settled(15.0, 10.0), "it does not hold yet"
    assert it.settled(16.6, 10.0)
    broken = settling(live, expect={"recovered": [bound | {"within": "20s", "hold": "2s"}]})
    assert not broken.settled(33.4, 10.0), "a window that begins in time ends a second later, and must hold"
    assert broken.settled(33.6, 10.0), "its time is over"


def test_nothing_is_waited_for_once_a_fault_has_failed() -> None:
    live = Live()
    it = settling(live, expect={"detected": [{"id": "seen", "alert": "Broken", "within": "60s"}]})
    stage(live, "injected", 1.0)
    stage(live, "failed", 1.5)
    assert it.settled(3.0, 1.5)


def test_what_is_kept_is_bounded_and_sorted_by_when_it_was_due() -> None:
    live = Live()
    for k in range(20_000):
        due_s = k * 0.02
        live.note(k, due_s, Answer(id=str(k), at_event=0, due_s=due_s, sent_s=due_s, done_s=due_s, ok=True))
    assert len(live.answers_between(-1.0, 400.0)) < (KEPT_S / 0.02) + 1200
    bound = Bound.model_validate({"id": "n", "probe": "failed_requests", "at_most": 0, "over": "1s"})
    late = Answer(id="late", at_event=0, due_s=399.5, sent_s=0, done_s=0, ok=False)
    live.note(20_001, 400.0, late)
    assert live.point(bound, 399.98).value == 1.0
    assert live.point(bound, 399.4).value == 0.0


async def started(live: Live, tmp_path: Path, **start: Any) -> str | None:
    step = FaultStep.model_validate(
        {"id": "next", "fault": "test.fault", "target": {"service": "server"}, "for": "1s", **start}
    )
    journal = JournalWriter(tmp_path / "journal.jsonl", plan_of("0s", "1s"))
    watchers: Any = SimpleNamespace(settled_s=lambda: 10.0)
    nothing: Any = None
    try:
        context = RunContext(plan_of("0s", "1s"), journal.now_s(), live, journal, nothing, watchers, nothing, nothing)
        return await wait_for_start(context, step)
    finally:
        journal.close()


async def test_triggers(tmp_path: Path) -> None:
    live = Live()
    answers(live, 10.0)
    alerts(live, BROKEN)
    stage(live, "reverted", 1.0)
    bound = {"id": "b", "probe": "availability", "at_least": 0.9, "over": "1s", "min_samples": 5}
    for n, after in enumerate(({"alert": "Broken"}, {"probe": bound}, {"event": "it.reverted"})):
        assert await started(live, tmp_path / str(n), after=after) is None
    assert await started(live, tmp_path / "at", at="10ms") is None
    for n, after in enumerate(({"alert": "Other"}, {"probe": bound | {"probe": "lag"}}, {"event": "it.confirmed"})):
        why = await started(live, tmp_path / f"no{n}", after=after | {"timeout": "50ms"})
        assert why == "its trigger did not happen within 0.05 s"


def test_polled_probes_are_compared_with_their_bounds() -> None:
    live = Live()
    bound = Bound.model_validate({"id": "b", "probe": "lag", "at_most": 5})
    assert live.point(bound, 1.0).good is None
    for value, good in ((3.0, True), (7.0, False), (None, False)):
        live.note(1, 1.0, Reading(probe="lag", planned_s=1, asked_s=1, answered_s=1, value=value))
        assert live.point(bound, 1.0).good is good


def test_a_whole_window_of_what_must_stay_follows_the_injection() -> None:
    live = well()
    stays = [{"id": "serving", "probe": "availability", "at_least": 0.9, "over": "3s"}]
    watch = settling(live, expect={"stays": stays})
    stage(live, "injected", 11.0)
    stage(live, "reverted", 11.5)
    assert not watch.settled(13.5, 11.5)
    assert watch.settled(14.6, 11.5)


def test_a_run_goes_on_until_there_are_answers_enough_or_no_more_come() -> None:
    stays = [{"id": "serving", "probe": "availability", "at_least": 0.95, "over": "1s"}]
    live = well()
    watch = settling(live, expect={"stays": stays})
    stage(live, "injected", 11.0)
    stage(live, "reverted", 11.5)
    answers(live, 13.0)
    assert not watch.settled(13.1, 11.5), "40 answers are too few to show 25 %"
    assert watch.settled(15.0, 11.5), "no more come"
    answers(live, 14.0)
    assert watch.settled(14.1, 11.5)


def test_nobody_waits_for_answers_for_ever() -> None:
    live = well()
    stays = [{"id": "serving", "probe": "availability", "at_least": 0.99, "over": "1s"}]
    watch = settling(live, expect={"stays": stays})
    stage(live, "injected", 11.0)
    stage(live, "reverted", 11.5)
    answers(live, 131.0)
    assert not watch.settled(130.9, 11.5)
    assert watch.settled(131.0, 11.5)


def test_a_bound_of_zero_and_one_that_is_polled_wait_for_no_answers() -> None:
    strict = {"id": "right", "probe": "silent_wrong_answers", "at_most": 0, "over": "1s"}
    low = {"id": "low", "probe": "lag", "at_most": 5, "over": "1s"}
    live = well()
    watch = settling(live, expect={"stays": [strict, low]})
    stage(live, "injected", 11.0)
    stage(live, "reverted", 11.5)
    answers(live, 13.0, count=5)
    assert watch.settled(13.1, 11.5)


def test_a_control_waits_for_answers_too() -> None:
    stays = [{"id": "serving", "probe": "availability", "at_least": 0.95, "over": "1s"}]
    live = well()
    watch = settling(live, twin="control", expect={"stays": stays})
    live.note(1, 9.0, GateSeen(met=True, at_s=11.0))
    answers(live, 15.0)
    assert not watch.settled(15.1, 11.5)
    answers(live, 16.0)
    assert watch.settled(16.1, 11.5)


@pytest.mark.parametrize(
    ("probe", "limit", "enough"),
    [
        ("availability", {"at_least": 0.95}, True),
        ("slow_answers", {"at_most": 0.05}, True),
        ("silent_wrong_answers", {"at_most": 0.05}, False),
        ("flagged_answers", {"at_most": 0.05}, False),
    ],
)
def test_only_answers_that_the_bound_looks_at_are_enough(probe: str, limit: dict[str, float], enough: bool) -> None:
    live = well()
    watch = settling(live, expect={"stays": [{"id": "b", "probe": probe, "over": "1s", **limit}]})
    stage(live, "injected", 11.0)
    stage(live, "reverted", 11.5)
    answers(live, 13.0, ok=False)
    answers(live, 14.0)
    assert watch.settled(14.1, 11.5) is enough, "59 are needed; 80 requests were due, and 40 answered"
    answers(live, 15.0)
    assert watch.settled(15.1, 11.5)


def test_an_answer_without_ages_says_nothing_of_ages() -> None:
    live = well()
    watch = settling(
        live, expect={"stays": [{"id": "old", "probe": "feature_age_p99", "at_most": "5s event", "over": "1s"}]}
    )
    stage(live, "injected", 11.0)
    stage(live, "reverted", 11.5)
    for second in range(12, 22):
        answers(live, float(second))
    assert not watch.settled(21.1, 11.5), "330 are needed, and none of the 400 tells an age"
    for second in range(12, 22):
        answers(live, float(second), ages={"weather": 1.0})
    assert watch.settled(21.1, 11.5)
