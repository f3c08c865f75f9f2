"""Guardrails that cannot be followed are refused before a run, in each of the three places where they are given."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import GOOD, STACK, changed, check_problems, line_of, load_problems, written

from harness.model.errors import ScenarioError
from harness.model.guardrails import AbortRule, Guardrails, Limits, strictest
from harness.runner.checking.check import check_given
from harness.runner.checking.guardrails import parse_guardrails
from harness.runner.checking.stacks import validated
from harness.runner.loading.explain import problems_of
from harness.runner.planning.plan import make_plans

RULE = "abort_if: [{probe: availability, at_most: 0.5, over: 2s}, {alert: ServiceDown, labels: {service: server}}]\n"


def stack_with(folder: Path, guardrails: str) -> Path:
    text = STACK.read_text("utf-8").replace("  stack: small\n", f"  stack: small\n  guardrails: {guardrails}\n")
    path = folder / "own.compose.yaml"
    path.write_text(text, "utf-8")
    return path


def refused(folder: Path, guardrails: str) -> tuple[ScenarioError, ...]:
    try:
        validated([written(folder)], stack=str(stack_with(folder, guardrails)))
    except ScenarioError as error:
        return problems_of(error)
    return ()


def test_good_rules_are_good(tmp_path: Path) -> None:
    assert check_problems(tmp_path, GOOD + RULE) == ()


@pytest.mark.parametrize(
    ("rule", "field", "message", "remedy"),
    [
        ("{probe: availabilty, at_most: 0.5}", "abort_if.0.probe", "unknown probe", "did you mean 'availability'?"),
        ("{probe: training_lag, at_least: 8h}", "abort_if.0.at_least", "an event-time duration", "90min event"),
        ("{alert: ServiceDwn}", "abort_if.0.alert", "unknown alert 'ServiceDwn'", "did you mean 'ServiceDown'?"),
        ("{probe: availability, at_most: 1}", "abort_if.0.at_most", "every run would be aborted", "must not go on"),
        ("{probe: availability, at_least: 0.5}", "abort_if.0.at_least", "steady state 'up' demands", "not what must"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_followed(tmp_path: Path, rule: str, field: str, message: str, remedy: str) -> None:
    text = GOOD + f"abort_if:\n  - {rule}\n"
    [problem] = check_problems(tmp_path, text)
    assert (problem.field, problem.line) == (field, line_of(text, rule))
    assert message in problem.message
    assert remedy in (problem.remedy or "")


@pytest.mark.parametrize(
    ("rule", "field", "message"),
    [
        ("{probe: availability, at_most: 0.5, over: 1h}", "over", "goes on for 1h after its injection, but for 120 s"),
        ("{probe: training_lag, at_least: 8h event, over: 3min}", "over", "the rule could never abort it"),
        ("{probe: latency_p99, at_most: 0s}", "at_most", "is never at most 0s: the rule could never abort a run"),
    ],
)
def test_a_rule_that_no_run_can_cross(tmp_path: Path, rule: str, field: str, message: str) -> None:
    text = GOOD + f"abort_if:\n  - {rule}\n"
    [problem] = check_problems(tmp_path, text)
    assert (problem.field, problem.line) == (f"abort_if.0.{field}", line_of(text, rule))
    assert message in problem.message
    found = validated([written(tmp_path)], stack=str(STACK))
    [given] = check_given(parse_guardrails([rule], []), found)
    assert message in str(given)
    assert refused(tmp_path, f"{{abort_if: [{rule}]}}") == (), "the stack has it for longer runs as well"


def test_a_rule_that_a_long_run_can_cross(tmp_path: Path) -> None:
    rule = "abort_if: [{probe: availability, at_most: 0.5, over: 15min}]\n"
    assert check_problems(tmp_path, changed("for: 12s", "for: 20min") + rule) == ()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{probe: availability}", "exactly one of at_least, at_most and equals is needed"),
        ("{at_most: 0.5}", "exactly one of probe and alert is needed"),
        ("{probe: availability, alert: ServiceDown, at_most: 1}", "exactly one of probe and alert is needed"),
        ("{alert: ServiceDown, over: 2s}", "an alert takes no bound"),
        ("{probe: availability, at_most: 0.5, labels: {a: b}}", "a probe has no labels"),
        ("{probe: availability, at_most: 0.5, over: 10ms}", "too short for a window"),
        ("{probe: availability, atmost: 0.5}", "unknown field 'atmost'"),
    ],
)
def test_a_rule_that_is_none(tmp_path: Path, rule: str, message: str) -> None:
    problems = load_problems(tmp_path, GOOD + f"abort_if:\n  - {rule}\n")
    assert any(message in problem.message for problem in problems)
    assert all(problem.line is not None for problem in problems)


def test_the_rules_of_a_stack_are_refused_with_their_place_in_its_file(tmp_path: Path) -> None:
    [problem] = refused(tmp_path, "{abort_if: [{alert: ServiceDwn}]}")
    assert problem.file == str(tmp_path / "own.compose.yaml")
    assert problem.field == "x-harness.guardrails.abort_if.0.alert"
    assert problem.line == line_of((tmp_path / "own.compose.yaml").read_text("utf-8"), "ServiceDwn")
    [problem] = refused(tmp_path, "{abort_iff: []}")
    assert "did you mean 'abort_if'?" in str(problem)
    assert refused(tmp_path, "{abort_if: [{probe: availability, at_most: 0.5}], limits: {faults_at_once: 2}}") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("probe: availability, at_most: 0.5, over: 2x", "is not a duration"),
        ("probe: availability", "exactly one of at_least, at_most and equals"),
        ("just words", "--abort-if"),
        ("[", "cannot be read"),
    ],
)
def test_a_rule_of_the_command_line_that_is_none(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as refused_:
        parse_guardrails([text], [])
    assert message in str(refused_.value)
    assert str(refused_.value).startswith(f"--abort-if {text!r}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faults_at_once", "is not a limit"),
        ("fault_at_once=1", "did you mean 'faults_at_once'?"),
        ("faults_at_once=0", "faults_at_once"),
        ("fault_time=20", "write one with its unit"),
        ("share_of_replicas=1.5", "share_of_replicas"),
    ],
)
def test_a_limit_of_the_command_line_that_is_none(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as refused_:
        parse_guardrails([], [text])
    assert message in str(refused_.value)
    assert str(refused_.value).startswith(f"--limit {text!r}: ")


def test_a_rule_of_the_command_line_names_what_the_stack_has(tmp_path: Path) -> None:
    found = validated([written(tmp_path)], stack=str(STACK))
    [problem] = check_given(parse_guardrails(["alert: ServiceDwn"], []), found)
    assert str(problem).startswith("--abort-if 'alert: ServiceDwn': alert: unknown alert 'ServiceDwn'")
    two = parse_guardrails(["alert: ServiceDown", "probe: availability, at_most: 1"], [])
    [problem] = check_given(two, found)
    assert str(problem).startswith("--abort-if 'probe: availability, at_most: 1': at_most: whatever the stack does")
    assert check_given(parse_guardrails(["{probe: availability, at_most: 0.5}"], []), found) == []


def test_every_rule_and_the_strictest_limits_are_in_the_plan(tmp_path: Path) -> None:
    stack = stack_with(tmp_path, "{abort_if: [{alert: ServiceDown}], limits: {faults_at_once: 3, fault_time: 1min}}")
    own = "abort_if: [{alert: FeaturesStale}, {alert: ServiceDown}]\nlimits: {faults_at_once: 2, fault_time: 2min}\n"
    [(item, catalogue)] = validated([written(tmp_path, GOOD + own)], stack=str(stack))
    given = parse_guardrails(["alert: ObjectStoreSlow"], ["share_of_replicas=0.5", "faults_at_once=4"])
    [plan] = make_plans([item], catalogue.stack, guardrails=given)
    assert [rule.alert for rule in plan.abort_if] == ["ServiceDown", "FeaturesStale", "ObjectStoreSlow"]
    assert plan.limits == Limits(faults_at_once=2, fault_time="1min", share_of_replicas=0.5)  # type: ignore[arg-type]
    assert strictest([]) == Limits() == Guardrails().limits


def test_a_rule_in_words() -> None:
    rule = AbortRule.model_validate({"probe": "lag", "at_least": "90min event"})
    assert rule.text == "lag at least 90min event over 3s"
    assert AbortRule.model_validate({"alert": "A", "labels": {"b": "c"}}).text == "the alert A{b=c} fires"
