"""A plan that grows call by call is the plan that a file would have given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.description.stackfile import load_stack, resolve_stack
from harness.faults.installed import Faults
from harness.model.errors import ScenarioError
from harness.pytest_plugin.chaos import Chaos
from harness.runner.execution.draft import TO_COME, Draft
from harness.runner.planning.catalogue import Catalogue

SLOW = {"link": "trainer -> object-store"}
SLOW_WORKER = {"link": "worker-1 -> object-store"}
LATENCY = {"latency": "800ms"}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(resolve_stack("reference"), Faults())


@pytest.fixture
def draft(catalogue: Catalogue) -> Draft:
    settings = {"scenario": "made", "summary": "Made as it goes.", "stack": "reference", "seed": 7}
    return Draft("made", settings, catalogue)


FIELDS: dict[str, dict[str, Any]] = {
    "detected": {"alert": "ObjectStoreSlow", "within": "6s"},
    "noticed": {"probe": "replicas_up", "equals": 2, "within": "6s"},
    "stays": {"probe": "availability", "at_least": 0.99},
    "recovered": {"probe": "availability", "at_least": 0.99, "within": "6s"},
    "cleared": {"alert": "ObjectStoreSlow", "within": "6s"},
    "flaps_at_most": {"alert": "ObjectStoreSlow", "at_most": 2},
}


def test_a_plan_can_be_written_before_anything_is_known(draft: Draft) -> None:
    assert draft.plan.seed == 7
    assert [step.id for step in draft.plan.scenario.timeline] == [TO_COME]
    again = type(draft.plan).model_validate_json(draft.plan.model_dump_json(by_alias=True))
    assert again == draft.plan


def test_ids_are_made_of_what_is_named_and_never_come_twice(draft: Draft) -> None:
    first = draft.fault("network.latency", SLOW, LATENCY, None, planned=False)
    draft.ended(first.id)
    second = draft.fault("network.latency", SLOW, LATENCY, None, planned=False)
    assert [first.id, second.id] == ["network.latency", "network.latency-2"]
    raw = {"alert": "ObjectStoreSlow", "within": "6s"}
    ids = [draft.expect("expect_alert", "detected", raw, "ObjectStoreSlow").id for _ in range(2)]
    assert ids == ["ObjectStoreSlow-detected", "ObjectStoreSlow-detected-2"]


def test_a_clause_belongs_to_the_fault_that_is_in_or_else_to_the_last(draft: Draft) -> None:
    outer = draft.fault("network.latency", SLOW, LATENCY, "outer", planned=False)
    inner = draft.fault("network.latency", SLOW_WORKER, LATENCY, "inner", planned=False)
    raw = {"alert": "ObjectStoreSlow", "within": "6s"}

    def belongs() -> object:
        draft.expect("expect_alert", "detected", raw, "ObjectStoreSlow")
        return draft.plan.scenario.expect.detected[-1].fault

    assert belongs() == "inner"
    draft.ended(inner.id)
    assert belongs() == "outer"
    draft.ended(outer.id)
    assert belongs() == "inner"


def test_two_faults_at_once_on_one_thing_are_refused(draft: Draft) -> None:
    draft.fault("network.latency", SLOW, LATENCY, "one", planned=False)
    with pytest.raises(ScenarioError, match=r"chaos\.fault: 'two' overlaps 'one' in time"):
        draft.fault("network.latency", SLOW, LATENCY, "two", planned=False)


def test_links_are_those_of_the_first_fault_those_named_or_all(draft: Draft, catalogue: Catalogue) -> None:
    draft.plan_links(None)
    assert tuple(map(str, draft.plan.links)) == catalogue.links
    draft.fault("network.latency", SLOW, LATENCY, None, planned=False)
    draft.plan_links(None)
    assert tuple(map(str, draft.plan.links)) == ("trainer -> object-store",)
    draft.plan_links(["gateway -> server-1"])
    assert tuple(map(str, draft.plan.links)) == ("gateway -> server-1", "trainer -> object-store")
    with pytest.raises(ScenarioError, match=r"does not run through the fault proxy — plan it .*worker-1 -> object"):
        draft.fault("network.latency", SLOW_WORKER, LATENCY, None, planned=True)


def test_a_limit_of_the_guard_is_widened(draft: Draft, catalogue: Catalogue) -> None:
    chaos = Chaos(None, lambda _control: draft, catalogue, None)  # type: ignore[arg-type]  # no stack is started
    assert [limit.id for limit in draft.plan.guard] == ["guard.failed", "guard.slow", "guard.flagged", "guard.wrong"]
    chaos.widen_guard("flagged", at_most=0.2, because="the cache fills")
    chaos.widen_guard("slow", at_most=0.5, because="it compacts")
    assert [limit.allowed for limit in draft.plan.guard] == [0.01, 0.5, 0.2, 0.0]
    assert draft.plan.guard[2].because == "the cache fills"
    with pytest.raises(ScenarioError, match=r"no limit 'flaged'.*did you mean 'flagged'"):
        chaos.widen_guard("flaged", at_most=0.2, because="x")
    with pytest.raises(ScenarioError, match="can only be widened"):
        chaos.widen_guard("failed", at_most=0.001, because="x")


def test_what_json_cannot_say_is_refused(draft: Draft) -> None:
    with pytest.raises(ScenarioError, match=r"chaos\.fault: a value cannot be written into a plan"):
        draft.fault("network.latency", SLOW, {"latency": object()}, None, planned=False)


def test_every_kind_of_a_scenario_file_can_be_expected(draft: Draft, catalogue: Catalogue) -> None:
    chaos = Chaos(None, lambda _control: draft, catalogue, None)  # type: ignore[arg-type]  # no stack is started
    draft.fault("network.latency", SLOW, LATENCY, None, planned=False)
    chaos.expect_flaps("ObjectStoreSlow", at_most=1)
    for kind, fields in FIELDS.items():
        chaos.expect(kind, **fields)
    expect = draft.plan.scenario.expect
    assert {name: len(getattr(expect, name)) for name in FIELDS} == {
        name: 1 + (name == "flaps_at_most") for name in FIELDS
    }
    assert [(c.id, c.at_most) for c in expect.flaps_at_most] == [
        ("ObjectStoreSlow-flaps_at_most", 1),
        ("ObjectStoreSlow-flaps_at_most-2", 2),
    ]
    with pytest.raises(ScenarioError, match="unknown kind of expectation 'flaps'"):
        chaos.expect("flaps", alert="ObjectStoreSlow", at_most=1)


SCORERS = """x-harness: {schema: 1, stack: scorers}
services:
  scorer: {deploy: {replicas: 4}, x-harness: {node: s, port: 1}}
  store: {x-harness: {node: t, port: 2}}
"""


def test_share_is_that_of_replicas_for_a_fault_on_containers_and_a_parameter_else(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(SCORERS)
    known = Catalogue(load_stack(tmp_path / "compose.yaml"), Faults())
    draft = Draft("made", {"scenario": "made", "summary": "Made.", "stack": "scorers", "seed": 7}, known)
    half = draft.fault("container.pause", {"service": "scorer"}, {"share": 0.5}, None, planned=False)
    assert (half.target.share, half.parameters) == (0.5, {})
    draft.ended(half.id)
    second = draft.fault("container.pause", {"service": "scorer", "replica": 2}, {}, None, planned=False)
    assert second.target.replica == 2
    draft.ended(second.id)
    with pytest.raises(ScenarioError, match="has 4 replicas, and no 5"):
        draft.fault("container.pause", {"service": "scorer", "replica": 5}, {}, None, planned=False)


def test_share_stays_a_parameter_where_a_fault_has_one(draft: Draft, catalogue: Catalogue) -> None:
    dataset = next(iter(catalogue.stack.datasets))
    given = {"operation": "truncate", "share": 0.5}
    step = draft.fault("object.corrupt", {"dataset": dataset}, given, None, planned=False)
    assert (step.target.share, step.parameters) == (None, given)


@pytest.mark.parametrize(
    ("kind", "parameters", "said"),
    [
        (
            "node.loss",
            {"nod": "b", "foor": "2s"},
            ["unknown field 'nod' — did you mean 'node'?", "unknown field 'foor'"],
        ),
        ("network.latency", {"latncy": "1s"}, ["did you mean 'latency'?", "exactly one target is needed"]),
        ("node.los", {"nod": "b"}, ["unknown fault 'node.los' — did you mean 'node.loss'?"]),
    ],
)
def test_every_slip_in_a_fault_without_a_target_is_told(
    draft: Draft, kind: str, parameters: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(ScenarioError) as caught:
        draft.fault(kind, {}, parameters, None, planned=False)
    for part in said:
        assert part in str(caught.value)
