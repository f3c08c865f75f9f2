"""What a plan exceeds of its limits is refused before a run, with its place, and the place of the limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_files import GOOD, STACK, changed, line_of, written

from harness.description.stackfile import load_stack
from harness.faults.installed import Faults
from harness.model.errors import ScenarioError
from harness.runner.checking.check import check_given
from harness.runner.checking.guardrails import parse_guardrails
from harness.runner.checking.stacks import validated
from harness.runner.execution.draft import Draft
from harness.runner.loading.explain import problems_of
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.misfire import aim

MORE = """  - id: other
    WHEN
    fault: node.loss
    target: {node: c}
    for: 4s
expect:
"""
WORKERS = """services:
  worker-1: {x-harness: {node: w1}}
  worker-2: {x-harness: {node: w1}}
  worker-3: {environment: {STORE: "http://object-store:18900"}, x-harness: {node: w2}}
  worker: {x-harness: {node: w2}}
"""


def with_two(when: str) -> str:
    return changed("expect:\n", MORE.replace("WHEN", when))


def stack(folder: Path, guardrails: str = "{}") -> Path:
    text = STACK.read_text("utf-8").replace("  stack: small\n", f"  stack: small\n  guardrails: {guardrails}\n")
    path = folder / "own.compose.yaml"
    path.write_text(text.replace("services:\n", WORKERS), "utf-8")
    return path


def problems(folder: Path, text: str, guardrails: str = "{}") -> tuple[ScenarioError, ...]:
    try:
        validated([written(folder, text)], stack=str(stack(folder, guardrails)))
    except ScenarioError as error:
        return problems_of(error)
    return ()


@pytest.mark.parametrize(
    ("when", "number"),
    [
        ("at: 5s", 2),
        ("at: 1s", 1),
        ("at: 16s", 2),
        ("at: 17s", 1),
        ("at: 4s", 2),
        ("after: {event: slow.confirmed}", 2),
        ("after: {event: slow.reverted}", 1),
        ("after: {alert: ObjectStoreSlow}", 2),
    ],
)
def test_faults_at_once(tmp_path: Path, when: str, number: int) -> None:
    text = with_two(when)
    assert problems(tmp_path, text + "limits: {faults_at_once: 2}\n") == ()
    found = problems(tmp_path, text + "limits: {faults_at_once: 1}\n")
    assert [one.field in ("timeline.0", "timeline.1") for one in found] == [True] * (number - 1)
    for one in found:
        assert "of 2 faults that are in at once" in one.message
        assert one.line is not None
        assert "after: {event: ID.reverted}" in str(one.remedy)
        assert "faults_at_once is 1 in the scenario (limits)" in str(one.remedy)


def test_what_may_be_at_once_is_said_so(tmp_path: Path) -> None:
    [found] = problems(tmp_path, with_two("after: {alert: ObjectStoreSlow}") + "limits: {faults_at_once: 1}\n")
    assert "may be one of 2" in found.message


@pytest.mark.parametrize(
    ("when", "all_in_all"),
    [
        ("at: 5s", "12s"),
        ("at: 1s", "16s"),
        ("at: 15s", "14s"),
        ("after: {event: slow.reverted}", "16s"),
        ("after: {alert: ObjectStoreSlow}", "16s"),
    ],
)
def test_time_with_a_fault_in(tmp_path: Path, when: str, all_in_all: str) -> None:
    text = with_two(when)
    assert problems(tmp_path, text + f"limits: {{fault_time: {all_in_all}}}\n") == ()
    [found] = problems(tmp_path, text + "limits: {fault_time: 11s}\n")
    assert (found.field, found.line) == ("timeline.1.for", line_of(text, "for: 4s"))
    assert found.message == f"faults are in for {all_in_all}, all in all"
    assert found.remedy == "shorten them; fault_time is 11s in the scenario (limits)"


@pytest.mark.parametrize(
    ("target", "fault", "hit"),
    [
        ("{services: [worker-1, worker-2]}", "container.kill", 2),
        ("{service: worker-1}", "container.kill", 0),
        ("{node: w1}", "node.loss", 2),
        ("{node: w2}", "node.loss", 2),
        ("{service: server}", "container.kill", 0),
        ("{node: a}", "node.loss", 0),
    ],
)
def test_share_of_replicas(tmp_path: Path, target: str, fault: str, hit: int) -> None:
    """`worker` and its three numbered siblings are replicas of one another."""
    step = 'target: {link: trainer -> object-store}\n    with: {latency: "${latency}", jitter: 100ms}'
    text = changed(step, f"target: {target}", GOOD.replace("network.latency", fault))
    found = problems(tmp_path, text + "limits: {share_of_replicas: 0.4}\n")
    assert [one.field for one in found] == ["timeline.0.target"] * bool(hit)
    if hit:
        assert f"'slow' hits {hit} of the 4 replicas of 'worker': " in found[0].message
        assert "share_of_replicas is 0.4 in the scenario" in str(found[0].remedy)
    assert problems(tmp_path, text + "limits: {share_of_replicas: 0.5}\n") == ()


def test_the_ends_of_links_are_hit_too(tmp_path: Path) -> None:
    text = changed("target: {link: trainer -> object-store}", "target: {link: worker-3 -> object-store}")
    [found] = problems(tmp_path, text + "limits: {share_of_replicas: 0.2}\n")
    assert "1 of the 4 replicas of 'worker': worker-3" in found.message


def test_so_is_the_target_of_a_command_and_of_a_misfire(tmp_path: Path) -> None:
    commands = "{inject: [a], confirm: [b], revert: [c]}"
    text = changed('with: {latency: "${latency}", jitter: 100ms}', f"with: {commands}")
    text = changed("target: {link: trainer -> object-store}", "target: {node: w1}", text)
    [found] = problems(tmp_path, text.replace("network.latency", "command") + "limits: {share_of_replicas: 0.4}\n")
    assert found.field == "timeline.0.target"
    misfire = "    for: 12s\n    misfire: {target: {link: worker-3 -> object-store}}\n"
    [found] = problems(tmp_path, changed("    for: 12s\n", misfire) + "limits: {share_of_replicas: 0.2}\n")
    assert found.field == "timeline.0.misfire.target"


def test_the_strictest_limit_counts_and_is_named(tmp_path: Path) -> None:
    text = with_two("at: 5s")
    [found] = problems(tmp_path, text + "limits: {faults_at_once: 2}\n", "{limits: {faults_at_once: 1}}")
    assert f"faults_at_once is 1 in {tmp_path / 'own.compose.yaml'} (x-harness.guardrails.limits)" in str(found.remedy)
    [found] = problems(tmp_path, text + "limits: {faults_at_once: 1}\n", "{limits: {faults_at_once: 2}}")
    assert "in the scenario (limits)" in str(found.remedy)
    pairs = validated([written(tmp_path, text)], stack=str(stack(tmp_path, "{limits: {faults_at_once: 3}}")))
    [found] = check_given(parse_guardrails([], ["faults_at_once=1"]), pairs)
    assert "faults_at_once is 1 in --limit" in str(found.remedy)
    assert str(found).startswith(str(tmp_path / "one.scenario.yaml"))
    assert check_given(parse_guardrails([], ["faults_at_once=2"]), pairs) == []


def test_a_circle_is_told_and_nothing_is_counted(tmp_path: Path) -> None:
    text = with_two("after: {event: other.reverted}") + "limits: {faults_at_once: 1, fault_time: 1s}\n"
    [found] = problems(tmp_path, text)
    assert "wait for one another" in found.message


def test_of_a_test_by_hand_the_time_is_not_known_before(tmp_path: Path) -> None:
    limits = "{limits: {fault_time: 5s, faults_at_once: 1, share_of_replicas: 0.4}}"
    catalogue = Catalogue(load_stack(stack(tmp_path, limits)), Faults())
    draft = Draft("test", {"scenario": "test", "summary": "s", "stack": "small"}, catalogue)
    assert draft.plan.limits.fault_time == 5.0
    first = draft.fault("node.loss", {"node": "b"}, {}, None, planned=False)
    with pytest.raises(ScenarioError, match="one of 2 faults that are in at once"):
        draft.fault("node.loss", {"node": "c"}, {}, None, planned=False)
    draft.ended(first.id)
    draft.fault("node.loss", {"node": "c"}, {}, None, planned=False)
    with pytest.raises(ScenarioError, match="replicas of 'worker'"):
        draft.fault("node.loss", {"node": "w1"}, {}, None, planned=False)


def test_a_misfire_that_is_found_keeps_to_the_share(tmp_path: Path) -> None:
    text = changed("    fault: network.latency\n", "    fault: node.loss\n")
    text = changed("target: {link: trainer -> object-store}\n", "target: {node: b}\n", text)
    text = changed('    with: {latency: "${latency}", jitter: 100ms}\n', "", text)
    for share, targets in (("1.0", ["node w1"]), ("0.4", [])):
        own = stack(tmp_path, f"{{limits: {{share_of_replicas: {share}}}}}")
        own.write_text(
            own.read_text("utf-8").replace('{environment: {STORE: "http://object-store:18900"}, x', "{x"), "utf-8"
        )
        [(item, catalogue)] = validated([written(tmp_path, text)], stack=str(own))
        assert [str(target) for target in aim(item.scenario, catalogue).targets] == targets
