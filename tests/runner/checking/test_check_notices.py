"""A notice that no run could show, and a limit outside of what a probe can read, are refused before a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import GOOD, STACK, changed, line_of, written

from harness.model.errors import ScenarioError
from harness.runner.checking.stacks import validated
from harness.runner.loading.explain import problems_of

PROBES = """  probes:
    up: {http: {url: "http://server:18001/ready"}}
    status: {http: {url: "http://server:18001/ready", read: status}}
    took: {http: {url: "http://server:18001/ready", read: latency}}
    answers: {mongo: {url: "mongodb://server"}}
    errors: {log: {service: server, pattern: ERROR}}
"""


def problems(folder: Path, text: str) -> list[ScenarioError]:
    (folder / "stack.yaml").write_text(STACK.read_text("utf-8").replace("  probes:\n", PROBES), encoding="utf-8")
    try:
        validated([written(folder, text)], stack=str(folder / "stack.yaml"))
    except ScenarioError as error:
        return list(problems_of(error))
    return []


def noticing(bound: str, more: str = "") -> str:
    return changed("  quiet: others", f"  quiet: others\n  noticed: [{{id: n, {bound}, within: 5s}}]{more}")


def holding(bound: str, notice: str) -> str:
    return noticing(notice).replace("steady_state:\n", f"steady_state:\n  - {{id: held, {bound}}}\n")


def staying(bound: str, notice: str) -> str:
    return noticing(notice).replace("  stays:\n", f"  stays:\n    - {{id: kept, {bound}}}\n")


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        (noticing("probe: up, at_most: 1"), "at_most", "gives 0 or 1: it can never leave the bound at most 1"),
        (noticing("probe: up, at_least: 0"), "at_least", "gives 0 or 1: it can never leave the bound at least 0"),
        (noticing("probe: answers, at_least: 1"), "at_least", "gives 1 or no answer: it can never leave the bound at"),
        (noticing("probe: status, at_least: 100"), "at_least", "gives whole numbers 100 to 999: it can never leave"),
        (noticing("probe: took, at_least: 0s"), "at_least", "gives from 0 on: it can never leave"),
        (noticing("probe: errors, at_least: 0"), "at_least", "gives whole numbers from 0 on: it can never leave"),
        (noticing("probe: up, equals: 2"), "equals", "gives 0 or 1: it is never exactly 2"),
        (noticing("probe: status, equals: 20"), "equals", "gives whole numbers 100 to 999: it is never exactly 20"),
        (holding("probe: up, at_least: 1", "probe: up, at_most: 0"), "at_most",
         "the steady state 'held' demands up at least 1, and a notice begins with at most 0: the gate"),
        (holding("probe: status, equals: 200", "probe: status, equals: 503"), "equals", "the gate would never open"),
        (staying("probe: up, at_least: 1", "probe: up, at_least: 1"), "probe",
         "the clause 'kept' of `stays` fails where the probe leaves at least 1: no run could pass"),
        (staying("probe: status, equals: 200", "probe: status, at_most: 299"), "probe", "no run could pass"),
    ],
)  # fmt: skip
def test_a_notice_that_no_run_could_show(tmp_path: Path, text: str, field: str, said: str) -> None:
    (found,) = problems(tmp_path, text)
    assert (found.field, found.line) == (f"expect.noticed.0.{field}", line_of(text, "id: n,"))
    assert said in found.message


def test_no_answer_is_no_notice(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, noticing("probe: answers, at_least: 1"))
    assert (found.remedy or "").startswith("no answer is no notice: take a probe with a number for each state")
    assert found.remedy


@pytest.mark.parametrize(
    "text",
    [
        noticing("probe: up, at_least: 1"),
        noticing("probe: up, at_most: 0"),
        noticing("probe: status, equals: 200"),
        noticing("probe: took, at_most: 0s"),
        noticing("probe: replicas_up, at_least: 0"),
        holding("probe: up, at_least: 1", "probe: up, equals: 1"),
        holding("probe: status, at_most: 299", "probe: status, at_least: 200"),
        staying("probe: status, at_most: 503", "probe: status, equals: 200"),
        staying("probe: up, at_least: 1", "probe: status, equals: 200"),
    ],
)
def test_a_notice_that_a_run_may_show(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize("block", ["stays", "recovered", "steady_state"])
def test_one_good_value_wherever_a_bound_is(tmp_path: Path, block: str) -> None:
    deadline = ", within: 5s" if block == "recovered" else ""
    place = f"{block}:\n" if block == "steady_state" else f"  {block}:\n"
    indent = "  " if block == "steady_state" else "    "

    def found(bound: str) -> list[str]:
        text = GOOD.replace(place, f"{place}{indent}- {{id: same, {bound}{deadline}}}\n")
        return [f"{one.field}: {one.message}" for one in problems(tmp_path, text)]

    assert found("probe: status, equals: 200") == []
    (never,) = found("probe: status, equals: 200.5")
    assert "equals: the probe 'status' gives whole numbers 100 to 999: it is never exactly 200.5" in never
    (many,) = found("probe: availability, equals: 1")
    assert "equals: the probe 'availability' sums up many answers, and has no one good value" in many


@pytest.mark.parametrize("clause", ["stays", "recovered"])
@pytest.mark.parametrize(("bound", "side"), [("at_least: 0", "at_least"), ("at_most: 1", "at_most")])
def test_a_bound_that_no_reading_breaks(tmp_path: Path, clause: str, bound: str, side: str) -> None:
    more = ", within: 5s" if clause == "recovered" else ""
    text = changed(f"  {clause}:\n", f"  {clause}:\n    - {{id: kept, probe: up, {bound}{more}}}\n")
    (found,) = problems(tmp_path, text)
    assert (found.field, found.line) == (f"expect.{clause}.0.{side}", line_of(text, "id: kept"))
    assert "gives 0 or 1: it is always" in found.message
    assert "cannot fail" in found.message


def test_a_bound_that_only_no_answer_breaks(tmp_path: Path) -> None:
    text = changed("  stays:\n", "  stays:\n    - {id: kept, probe: errors, at_least: 0}\n")
    assert problems(tmp_path, text) == []


def test_a_rule_that_no_reading_crosses(tmp_path: Path) -> None:
    text = changed("expect:\n", "abort_if:\n  - {probe: up, at_least: 0}\nexpect:\n")
    (found,) = problems(tmp_path, text)
    assert "could never abort a run" in found.message
