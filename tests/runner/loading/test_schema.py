"""The published schema: up to date, self-contained, and of one mind with the models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.description.findings import field_names
from harness.faults.table import FAULTS
from harness.model.expectations import Expect
from harness.model.faultstep import FaultStep
from harness.model.scenario import Scenario
from harness.runner.loading.schema import DIALECT, scenario_schema, schema_text

PUBLISHED = Path(__file__).parents[3] / "schema" / "scenario.schema.json"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return scenario_schema(FAULTS)


def test_the_published_schema_is_up_to_date(schema: dict[str, Any]) -> None:
    assert PUBLISHED.read_text("utf-8") == schema_text(schema), "run `make generate`"


def test_it_has_every_field_by_the_name_of_the_file(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == DIALECT
    assert list(schema["properties"]) == field_names(Scenario)
    assert list(schema["$defs"]["FaultStep"]["properties"]) == field_names(FaultStep)
    assert list(schema["$defs"]["Expect"]["properties"]) == field_names(Expect)
    assert schema["required"] == ["schema", "scenario", "summary", "stack", "timeline", "expect"]


def test_every_fault_has_its_targets_and_parameters(schema: dict[str, Any]) -> None:
    rules = {
        rule["if"]["properties"]["fault"]["const"]: rule["then"]["properties"]
        for rule in schema["$defs"]["FaultStep"]["allOf"]
        if "if" in rule
    }
    assert set(rules) == set(FAULTS)
    for name, kind in FAULTS.items():
        parts = ["replica", "share"] if kind.each_replica else []
        assert rules[name]["target"]["propertyNames"]["enum"] == [*kind.targets, *parts]
        assert list(rules[name]["with"].get("properties", {})) == field_names(kind.parameters)
        assert rules[name]["with"]["additionalProperties"] is False


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inside in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(inside)


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    references = {node["$ref"] for node in _nodes(schema) if isinstance(node.get("$ref"), str)}
    assert references
    assert {r.removeprefix("#/$defs/") for r in references} <= set(schema["$defs"])


def test_defaults_are_as_a_file_has_them(schema: dict[str, Any]) -> None:
    bound = schema["$defs"]["Bound"]["properties"]
    assert bound["over"]["default"] == "3s"
    assert schema["properties"]["gate_timeout"]["default"] == "20s"
    assert all(not isinstance(node.get("default"), dict | type(None)) for node in _nodes(schema) if "default" in node)


def test_values_may_come_from_variables(schema: dict[str, Any]) -> None:
    assert {"$ref": "#/$defs/Variable"} in schema["properties"]["seed"]["anyOf"]
    assert {"$ref": "#/$defs/Variable"} in schema["$defs"]["FaultStep"]["properties"]["for"]["anyOf"]
    assert "anyOf" not in schema["properties"]["scenario"]


def test_without_faults_there_is_still_a_schema() -> None:
    assert json.loads(schema_text(scenario_schema({})))["title"] == "Scenario"
