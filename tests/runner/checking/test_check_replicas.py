"""Faults on services with several replicas: what `check` refuses, with its place, and what limits count."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import STACK, changed, written

from harness.model.errors import ScenarioError
from harness.runner.checking.stacks import validated
from harness.runner.loading.explain import problems_of

SCORERS = """services:
  scorer: {deploy: {replicas: 3}, environment: {STORE: "http://object-store:18900"}, x-harness: {node: s, port: 18002}}
  single: {scale: 1, environment: {SCORER: "http://scorer:18002"}, x-harness: {node: t}}
  none: {deploy: {replicas: 0}, x-harness: {node: t}}
"""
LATENCY = "    fault: network.latency\n    target: {link: trainer -> object-store}\n"
WITH = "    with: {latency: 800ms, jitter: 100ms}\n"


def problems(folder: Path, fault: str, target: str, more: str = "", ownership: str = "owned") -> list[ScenarioError]:
    stack = STACK.read_text("utf-8").replace("  stack: small\n", f"  stack: small\n  ownership: {ownership}\n")
    path = folder / "own.compose.yaml"
    path.write_text(stack.replace("services:\n", SCORERS), "utf-8")
    text = changed(LATENCY, f"    fault: {fault}\n    target: {target}\n")
    for line in text.splitlines(keepends=True):
        if line.startswith("    with: ") and fault != "network.latency":
            text = text.replace(line, more)
    try:
        validated([written(folder, text)], stack=str(path))
    except ScenarioError as error:
        return [one for one in problems_of(error) if ".target" in str(one.field)]
    return []


@pytest.mark.parametrize(
    ("fault", "target", "more", "place", "message"),
    [
        ("container.pause", "{service: scorer, replica: 4}", "", "replica", "has 3 replicas, and no 4"),
        ("container.pause", "{service: single, replica: 1}", "", "replica", "'single' has one container"),
        ("container.pause", "{service: single, share: 0.5}", "", "share", "'single' has one container"),
        ("container.pause", "{service: none}", "", None, "'none' is scaled to 0"),
        ("network.latency", "{service: scorer, replica: 2}", "", "replica", "have them in common"),
        ("network.partition", "{service: scorer}", "    with: {apart_from: [online]}\n", None, "has 3 replicas"),
        ("network.partition", "{service: online}", "    with: {apart_from: [scorer]}\n", None, "has 3 replicas"),
        ("node.loss", "{service: scorer, replica: 1}", "", "service", "does not act on a service"),
    ],
)  # fmt: skip
def test_what_is_refused(fault: str, target: str, more: str, place: str | None, message: str, tmp_path: Path) -> None:
    [found] = problems(tmp_path, fault, target, more)
    assert message in found.message
    assert str(found.field) == "timeline.0.target" + (f".{place}" if place else "")


@pytest.mark.parametrize(
    ("target", "ownership"),
    [
        ("{service: scorer}", "owned"),
        ("{service: scorer, replica: 3}", "owned"),
        ("{service: scorer, share: 0.5}", "owned"),
        ("{node: s}", "owned"),
        ("{service: single, replica: 2}", "attached"),
    ],
)
def test_what_is_not(target: str, ownership: str, tmp_path: Path) -> None:
    assert problems(tmp_path, "container.pause", target, ownership=ownership) == []


@pytest.mark.parametrize(
    ("target", "hit"),
    [("{service: scorer}", 3), ("{service: scorer, replica: 1}", 0), ("{service: scorer, share: 0.7}", 2)],
)
def test_the_limit_on_the_share_of_replicas_counts_containers(target: str, hit: int, tmp_path: Path) -> None:
    more = "limits: {share_of_replicas: 0.4}\n"
    text = changed(LATENCY, f"    fault: container.pause\n    target: {target}\n")
    line = next(one for one in text.splitlines(keepends=True) if one.startswith("    with: "))
    (tmp_path / "own.compose.yaml").write_text(STACK.read_text("utf-8").replace("services:\n", SCORERS), "utf-8")
    try:
        validated([written(tmp_path, text.replace(line, "") + more)], stack=str(tmp_path / "own.compose.yaml"))
        found: list[str] = []
    except ScenarioError as error:
        found = [one.message for one in problems_of(error) if "replicas" in one.message]
    assert found == ([f"'slow' hits {hit} of the 3 replicas of 'scorer'"] if hit else [])
