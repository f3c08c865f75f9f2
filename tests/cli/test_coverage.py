"""`harness coverage`: what of a stack its scenarios touch, and what none of them ever does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from calling import Harness

STACK = "stack.compose.yaml"


def read(harness_: Harness, *paths: str) -> dict[str, Any]:
    result = harness_("coverage", STACK, *paths, "--json")
    assert result.code == 0, result.err
    found: dict[str, Any] = json.loads(result.out)
    return found


def second(good: Path, target: str, fault: str = "network.latency", name: str = "second", **changes: str) -> None:
    """Write another scenario with its fault elsewhere."""
    text = (
        (good / "scenarios" / "good.scenario.yaml")
        .read_text("utf-8")
        .replace("scenario: slow-store", f"scenario: {name}")
    )
    text = text.replace("{link: trainer -> object-store}", target).replace("fault: network.latency", f"fault: {fault}")
    for old, new in changes.items():
        text = text.replace(old, new)
    if fault != "network.latency":
        text = text.replace('    with: {latency: "${latency}", jitter: 100ms}\n', "")
    (good / "scenarios" / f"{name}.scenario.yaml").write_text(text, "utf-8")


def test_what_a_fault_on_a_link_touches_and_what_nothing_does(good: Path, harness_: Harness) -> None:
    found = read(harness_)
    assert (found["stack"], found["scenarios"]) == ("small", ["slow-store"])
    assert found["services"] == {
        "object-store": ["slow-store"], "online": [], "trainer": ["slow-store"], "server": [],
    }  # fmt: skip
    assert found["links"]["trainer -> object-store"] == ["slow-store"]
    assert found["never"] == {
        "services": ["online", "server"],
        "links": ["server -> object-store", "server -> online"],
        "alerts": ["FeaturesStale", "ServiceDown"],
    }


@pytest.mark.parametrize(
    ("target", "fault", "services", "links"),
    [
        ("{service: online}", "network.latency", {"online"}, {"server -> online"}),
        ("{node: c}", "node.loss", {"server"}, {"server -> object-store", "server -> online"}),
        ("{keyspace: live-features}", "data.stale", {"online"}, set()),
    ],
)
def test_a_service_is_touched_in_every_way_that_a_fault_can_be_on_it(
    good: Path, harness_: Harness, target: str, fault: str, services: set[str], links: set[str]
) -> None:
    second(good, target, fault)
    found = read(harness_)
    assert {name for name, by in found["services"].items() if "second" in by} == services
    assert {name for name, by in found["links"].items() if "second" in by} == links


def test_an_alert_counts_where_it_has_to_fire(good: Path, harness_: Harness) -> None:
    stale = {"id: seen, alert: ObjectStoreSlow, labels: {service: trainer}": "id: seen, alert: FeaturesStale"}
    second(good, "{link: server -> online}", **stale)
    assert read(harness_)["alerts"] == {
        "ObjectStoreSlow": ["slow-store"],
        "FeaturesStale": ["second"],
        "ServiceDown": [],
    }


def test_where_a_misfire_puts_a_fault_does_not_count(good: Path, harness_: Harness) -> None:
    file = good / "scenarios" / "good.scenario.yaml"
    aimed = "for: 12s\n    misfire: {target: {link: server -> online}}"
    file.write_text(file.read_text("utf-8").replace("for: 12s", aimed), "utf-8")
    assert read(harness_)["links"]["server -> online"] == []


def test_runs_of_a_matrix_are_one_scenario(good: Path, harness_: Harness) -> None:
    file = good / "scenarios" / "good.scenario.yaml"
    text = file.read_text("utf-8").replace("vars: {latency: 800ms,", "matrix: {latency: [1s, 2s]}\nvars: {")
    file.write_text(text, "utf-8")
    assert read(harness_)["services"]["trainer"] == ["slow-store"]


def test_what_must_not_be_touched_is_not_missed(good: Path, harness_: Harness) -> None:
    stack = good / STACK
    kept = "  never_touch: [online]\n  datasets:"
    stack.write_text(stack.read_text("utf-8").replace("  datasets:", kept, 1), "utf-8")
    assert read(harness_)["never"]["services"] == ["server"]
    lines = [line.split() for line in harness_("coverage", STACK).out.splitlines()]
    assert ["service", "online", "never,", "by", "never_touch"] in lines


def test_for_people_it_is_a_table_and_a_sum(good: Path, harness_: Harness) -> None:
    result = harness_("coverage", STACK, "scenarios")
    head, *rows, total = result.out.splitlines()
    assert (result.code, head.split()) == (0, ["what", "name", "scenarios"])
    assert ["service", "server", "never"] in [row.split() for row in rows]
    assert ["alert", "ObjectStoreSlow", "slow-store"] in [row.split() for row in rows]
    assert total == "1 scenario; never touched: 2 of 4 services, 2 of 3 links, 2 of 3 alerts"


def test_scenarios_of_another_stack_are_left_out(good: Path, harness_: Harness) -> None:
    result = harness_("coverage", "reference", "scenarios")
    assert result.code == 2
    assert "none of the scenarios is about the stack 'reference'" in result.err
    assert harness_("coverage", "nothing").code == 2
