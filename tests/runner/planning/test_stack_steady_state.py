"""The steady state that a stack declares: every scenario waits for it, adds to it, or replaces a bound of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import GOOD, STACK, changed, written

from harness.faults.installed import Faults
from harness.model.errors import ScenarioError
from harness.model.plan import Plan
from harness.runner.checking.stacks import validated
from harness.runner.execution.draft import Draft
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.plan import make_plans

OF_STACK = """  steady_state:
    - {id: replicas, probe: replicas_up, at_least: 2}
    - {id: fast, probe: store_latency, at_most: 250ms, over: 5s}
"""


def stack(folder: Path, steady: str = OF_STACK) -> Path:
    path = folder / "own.compose.yaml"
    path.write_text(STACK.read_text("utf-8").replace("  stack: small\n", f"  stack: small\n{steady}"), "utf-8")
    return path


def planned(folder: Path, text: str = GOOD, steady: str = OF_STACK) -> Plan:
    ((item, catalogue),) = validated([written(folder, text)], stack=str(stack(folder, steady)))
    return make_plans([item], catalogue.stack)[0]


def bounds(plan: Plan) -> list[tuple[str, str]]:
    return [(bound.id, bound.text) for bound in plan.scenario.steady_state]


def test_a_scenario_adds_to_it(tmp_path: Path) -> None:
    own = bounds(planned(tmp_path, steady=""))
    assert bounds(planned(tmp_path))[: len(own)] == own
    assert [id_ for id_, _ in bounds(planned(tmp_path))[len(own) :]] == ["replicas", "fast"]


def test_a_bound_of_the_same_id_replaces_it(tmp_path: Path) -> None:
    text = changed("steady_state:\n", "steady_state:\n  - {id: replicas, probe: replicas_up, at_least: 1}\n")
    found = dict(bounds(planned(tmp_path, text)))
    assert "1" in found["replicas"]
    assert "2" not in found["replicas"]
    assert set(found) >= {"replicas", "fast"}


def test_a_test_by_hand_waits_for_it_too(tmp_path: Path) -> None:
    catalogue = Catalogue(validated([written(tmp_path, GOOD)], stack=str(stack(tmp_path)))[0][1].stack, Faults())
    settings = {"scenario": "t", "summary": "t", "stack": str(tmp_path / "own.compose.yaml")}
    draft = Draft("t", settings, catalogue)
    assert [id_ for id_, _ in bounds(draft.plan)] == ["replicas", "fast"]


@pytest.mark.parametrize(
    ("steady", "said"),
    [
        ("  steady_state: [{id: a, probe: replicas_upp, at_least: 1}]\n",
         r"own\.compose\.yaml:\d+: x-harness\.steady_state\.0\.probe: .*replicas_upp.*did you mean 'replicas_up'"),
        ("  steady_state: [{id: a, probe: training_lag, at_most: 5s}]\n",
         r"x-harness\.steady_state\.0\.at_most: .*event"),
        ("  steady_state: [{id: a, probe: replicas_up, at_least: 1}, {id: a, probe: replicas_up, at_most: 9}]\n",
         r"x-harness\.steady_state\.1\.id: the id 'a' is used twice"),
        ("  steady_state: [{id: slow, probe: replicas_up, at_least: 1}]\n",
         r"one\.scenario\.yaml:\d+: timeline\.0\.id: the id 'slow' is that of a bound of the stack's steady state"),
        ("  steady_state: [{id: seen, probe: replicas_up, at_least: 1}]\n",
         r"expect\.detected\.0\.id: the id 'seen' is that of a bound of the stack's steady state"),
        ("  steady_state: [{id: a, probe: replicas_up}]\n", r"x-harness\.steady_state\.0: exactly one of at_least"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_it_is_told_with_its_place(tmp_path: Path, steady: str, said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        planned(tmp_path, steady=steady)


def test_a_rule_that_it_would_always_cross_is_refused(tmp_path: Path) -> None:
    text = f"{GOOD}abort_if: [{{probe: replicas_up, at_least: 1}}]\n"
    with pytest.raises(ScenarioError, match=r"the steady state 'replicas' demands .*: every run would be aborted"):
        planned(tmp_path, text)
