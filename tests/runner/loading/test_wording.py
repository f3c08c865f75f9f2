"""What a library finds wrong with a value reaches the user in the harness's own words, whatever the value is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from scenario_files import GOOD, STACK, check_problems

from harness.description.stackfile import load_stack
from harness.description.yamltree import Tree, parse_tree
from harness.faults.installed import Faults
from harness.faults.table import MODULES
from harness.model.errors import HarnessError
from harness.runner.loading.explain import Source, problems, read_model

VALUES: tuple[Any, ...] = (5, 0, -1, 1.5, 1e300, True, None, "x", "", "0s", [], [1], [None], {}, {"a": 1})
FOREIGN = re.compile(r"input|instance|valid dict|parse|validation|should|True|False|None|Value error|\[|\{")
"""What only a library, or Python, says."""
GUARDRAILS: dict[str, Any] = {
    "abort_if": [
        {"probe": "availability", "at_most": 0.5, "over": "2s", "min_samples": 5},
        {"alert": "ServiceDown", "labels": {"service": "server"}},
    ],
    "limits": {"faults_at_once": 1, "share_of_replicas": 0.5, "fault_time": "60s"},
}


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from places(one, (*place, key))


def changed(root: dict[str, Any], place: tuple[Any, ...], value: Any) -> str:
    made = json.loads(json.dumps(root))
    at = made
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return json.dumps(made, indent=1)


def values(text: str, *names: str) -> Iterator[str]:
    """Yield a file with each of its values, or those in some of its fields, replaced by each of the values."""
    root = parse_tree(text, "a file").value
    for place in places(root):
        if place and (not names or any(name in place for name in names)):
            yield from (changed(root, place, value) for value in VALUES)


def refusal(stack: Path) -> HarnessError | None:
    try:
        load_stack(stack)
    except HarnessError as error:
        return error
    return None


def told(error: HarnessError) -> str:
    shown = re.sub(r"'[^']*'|such as .*|begin with .*", "", f"{error.message} {error.remedy or ''}")
    return re.sub(r"\{(command|file|json|log)\b[^}]*\}", "", shown)


@pytest.mark.slow
def test_of_guardrails_in_a_scenario(tmp_path: Path) -> None:
    root = parse_tree(GOOD, "a file").value | GUARDRAILS
    wrong = 0
    for text in values(json.dumps(root), "abort_if", "limits", "seed", "summary"):
        for problem in check_problems(tmp_path, text):
            wrong += 1
            assert not FOREIGN.search(told(problem)), problem
            assert problem.line is not None
    assert wrong > 150


@pytest.mark.slow
def test_of_guardrails_in_a_stack(tmp_path: Path) -> None:
    root = parse_tree(STACK.read_text("utf-8"), "a file").value
    root["x-harness"] |= {"guardrails": GUARDRAILS, "never_touch": ["online"]}
    file = tmp_path / "compose.yaml"
    wrong = 0
    for text in values(json.dumps(root), "guardrails", "never_touch", "probes", "workload", "health"):
        file.write_text(text, "utf-8")
        error = refusal(file)
        wrong += error is not None
        assert error is None or (not FOREIGN.search(told(error)) and error.line is not None), error
    assert wrong > 250


@pytest.mark.parametrize("kind", MODULES)
def test_of_the_parameters_of_a_fault(kind: str) -> None:
    parameters = Faults()[kind].parameters
    for name, field in parameters.model_fields.items():
        for value in VALUES:
            raw = {field.alias or name: value}
            try:
                read_model(parameters, raw)
            except ValidationError as error:
                wrong = problems(error, parameters, raw, Source(Tree("a file")))
                assert not [one for one in wrong if FOREIGN.search(told(one))]


@pytest.mark.parametrize(
    ("limits", "field", "message", "remedy"),
    [
        ("5", "limits", "a mapping of fields is needed here, not 5", ""),
        ("{faults_at_once: 0}", "limits.faults_at_once", "0 is too small", "write 1 or more"),
        ("{share_of_replicas: 2}", "limits.share_of_replicas", "2 is too large", "write 1 or less"),
        ("{share_of_replicas: 0}", "limits.share_of_replicas", "0 is too small", "write a number above 0"),
        ("{fault_time: [1s]}", "limits.fault_time", "a list is not a duration", "800ms, 5s or 2min"),
        ("{faults_at_once: []}", "limits.faults_at_once", "a whole number is needed here, not a list", ""),
    ],
)
def test_both_files_say_the_same(tmp_path: Path, limits: str, field: str, message: str, remedy: str) -> None:
    [of_scenario] = check_problems(tmp_path, f"{GOOD}limits: {limits}\n")
    file = tmp_path / "compose.yaml"
    file.write_text(
        STACK.read_text("utf-8").replace("  stack: small\n", f"  guardrails: {{limits: {limits}}}\n"), "utf-8"
    )
    of_stack = refusal(file)
    assert of_stack is not None
    assert (of_scenario.field, of_stack.field) == (field, f"x-harness.guardrails.{field}")
    for error in (of_scenario, of_stack):
        assert error.message == message
        assert remedy in (error.remedy or "")
