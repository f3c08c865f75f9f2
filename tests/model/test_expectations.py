"""What a scenario may say, and what the records refuse."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from harness.model.alert_clauses import Flaps, Silence
from harness.model.answers import ANSWER_PROBES, quantile
from harness.model.clauses import Bound
from harness.model.errors import HarnessError, ScenarioError, did_you_mean, nearest
from harness.model.expectations import Expect
from harness.model.faultstep import After, FaultStep, Target
from harness.model.readings import Answer
from harness.model.scenario import Scenario

STEP = {"id": "slow", "at": "4s", "fault": "network.latency", "target": {"service": "store"}, "for": "7s"}


def scenario(**changes: Any) -> Scenario:
    plain = {"schema": 1, "scenario": "toy", "summary": "A toy.", "stack": "toy", "timeline": [STEP], "expect": {}}
    return Scenario.model_validate(plain | changes)


def test_a_bound_has_exactly_one_side() -> None:
    for sides in ({}, {"at_least": 1, "at_most": 2}):
        with pytest.raises(ValidationError, match="exactly one of at_least, at_most and equals"):
            Bound.model_validate({"id": "a", "probe": "p", **sides})


def test_a_bound_is_kept_up_to_its_limit() -> None:
    low = Bound.model_validate({"id": "a", "probe": "p", "at_least": 0.99})
    high = Bound.model_validate({"id": "a", "probe": "p", "at_most": "90min event"})
    assert [low.met_by(v) for v in (0.99, 0.98)] == [True, False]
    assert [high.met_by(v) for v in (5400, 5401)] == [True, False]
    assert (low.limit.value, high.limit.value) == (0.99, 5400.0)
    assert (low.worst([1, 0.5]), high.worst([1, 0.5])) == (0.5, 1)
    assert (low.over, low.min_samples) == (3.0, None)


def test_a_window_needs_one_sample_at_least() -> None:
    assert Bound.model_validate({"id": "a", "probe": "p", "at_most": 1, "min_samples": 1}).min_samples == 1
    with pytest.raises(ValidationError, match="min_samples"):
        Bound.model_validate({"id": "a", "probe": "p", "at_most": 1, "min_samples": 0})


@pytest.mark.parametrize("bad", ["", "two words", "a/b"])
def test_ids_are_keys(bad: str) -> None:
    with pytest.raises(ValidationError, match="is not an id"):
        scenario(scenario=bad)


def test_ids_are_unique_over_the_whole_scenario() -> None:
    with pytest.raises(ValidationError, match="'slow' is used twice"):
        scenario(steady_state=[{"id": "slow", "probe": "availability", "at_least": 1}])


def test_quiet_spares_what_is_expected_and_what_is_excepted() -> None:
    expect = Expect.model_validate(
        {
            "detected": [{"id": "a", "alert": "A", "within": "5s"}],
            "cleared": [{"id": "b", "alert": "B", "within": "5s"}],
            "flaps_at_most": [{"id": "c", "alert": "A", "at_most": 1}],
            "quiet": {"others": True, "except": ["D"]},
        }
    )
    assert expect.allowed_alerts == ("A", "B", "D")
    assert [c.id for c in expect.clauses] == ["a", "b", "c"]
    assert Expect().allowed_alerts is None
    assert Expect(quiet="others").allowed_alerts == ()


def test_a_step_starts_in_exactly_one_way() -> None:
    for start in ({"at": "1s", "after": {"alert": "A"}}, {"at": None}):
        with pytest.raises(ValidationError, match="exactly one of at and after"):
            FaultStep.model_validate({**STEP, **start})
    with pytest.raises(ValidationError, match="exactly one of alert, probe and event"):
        After.model_validate({"timeout": "1s"})
    assert After.model_validate({"event": "slow.injected"}).timeout == 10.0


def test_a_target_is_exactly_one_thing() -> None:
    with pytest.raises(ValidationError, match="exactly one target"):
        Target.model_validate({"link": "a -> b", "node": "b"})
    both = Target.model_validate({"links": ["a -> b", "c -> b"]})
    assert (both.kind, str(both)) == ("links", "links a, c -> b")


def test_a_scenario_knows_its_steps_and_its_start() -> None:
    assert scenario().fault("slow").duration == 7.0
    with pytest.raises(KeyError):
        scenario().fault("other")
    assert scenario(start_at="2013-06-14T06:00").start_at == "2013-06-14T06:00"
    with pytest.raises(ValidationError, match="is not a moment"):
        scenario(start_at="tomorrow")


def test_a_scenario_survives_json() -> None:
    whole = scenario(steady_state=[{"id": "up", "probe": "availability", "at_least": 0.99, "over": "2s"}])
    assert Scenario.model_validate_json(whole.model_dump_json(by_alias=True)) == whole


def answer(**changes: Any) -> Answer:
    plain = {"id": "a", "at_event": 0, "due_s": 1.0, "sent_s": 1.0, "done_s": 1.1, "ok": True}
    return Answer.model_validate(plain | changes)


@pytest.mark.parametrize("probe", sorted(ANSWER_PROBES))
def test_no_answers_measure_nothing(probe: str) -> None:
    measured = ANSWER_PROBES[probe].measure([])
    assert measured.samples == 0
    assert measured.lo in (None, 0.0)


def test_what_each_probe_counts() -> None:
    window = [
        answer(ages={"a": 5.0, "b": 50.0}),
        answer(ok=False),
        answer(slow=True, flagged="stale", stale=True, ages={"a": 500.0}),
        answer(wrong=None, done_s=1.5),
        answer(wrong=True),
    ]
    found = {name: (m.lo, m.hi, m.samples) for name, p in ANSWER_PROBES.items() for m in [p.measure(window)]}
    assert found["availability"] == (0.8, 0.8, 5)
    assert found["failed_requests"] == (1.0, 1.0, 5)
    assert found["slow_answers"] == (0.4, 0.4, 5)
    assert found["flagged_answers"] == (0.25, 0.25, 4)
    assert found["stale_answers"] == (0.25, 0.25, 4)
    assert found["wrong_answers"] == (0.25, 0.5, 4)
    assert found["silent_wrong_answers"] == (0.25, 0.5, 4)
    assert found["latency_p50"] == (pytest.approx(0.1), pytest.approx(0.1), 5)
    assert found["latency_p99"] == (60.0, 60.0, 5)
    assert found["feature_age_p50"] == (50.0, 50.0, 2)
    assert found["feature_age_p99"] == (500.0, 500.0, 2)


def test_quantiles_are_of_the_nearest_rank() -> None:
    assert [quantile([3.0, 1.0, 2.0], q) for q in (0.0, 0.33, 0.5, 0.99, 1.0)] == [1.0, 1.0, 2.0, 3.0, 3.0]
    assert quantile([float(n) for n in range(1, 101)], 0.99) == 99.0


def test_the_nearest_name_is_the_remedy() -> None:
    assert nearest("availabilty", ANSWER_PROBES) == "availability"
    assert did_you_mean("availabilty", ANSWER_PROBES) == "did you mean 'availability'?"
    assert did_you_mean("zzz", ["b", "a"]) == "valid here: a, b"
    assert did_you_mean("zzz", []) == "nothing is valid here"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({}, "no"),
        ({"file": "a.yaml", "line": 3, "field": "expect.quiet"}, "a.yaml:3: expect.quiet: no"),
        ({"line": 3}, "line 3: no"),
        ({"field": "x", "remedy": "say y"}, "x: no — say y"),
    ],
)
def test_errors_say_where_and_what_would_be_right_and_cross_processes(place: dict[str, Any], text: str) -> None:
    error = ScenarioError("no", **place)
    assert str(error) == text
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ScenarioError)
    assert isinstance(again, HarnessError)
    assert str(again) == text


@pytest.mark.parametrize(
    ("allowed", "text"), [((), "no alert fires"), (("A", "B"), "no alert fires except A, B")], ids=["none", "some"]
)
def test_the_text_of_quiet_names_what_is_allowed(allowed: tuple[str, ...], text: str) -> None:
    assert Silence(allowed=allowed).text == text


@pytest.mark.parametrize(("at_most", "times"), [(0, "0 times"), (1, "once"), (2, "2 times")])
def test_the_text_of_flaps_counts_in_words(at_most: int, times: str) -> None:
    assert Flaps(id="flaps", alert="Slow", at_most=at_most).text == f"Slow fires at most {times}"
