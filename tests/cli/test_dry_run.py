"""`harness run --dry-run`: everything that would be hit, measured and executed, and nothing that happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import Harness, Runner

from harness.runner.safekeeping.latch import STATE, set_latch

COMMANDS = "{inject: [flag, 'on now'], confirm: [flag, get], revert: [flag, off]}"
MORE = """  - id: lost
    at: 2s
    fault: node.loss
    target: {node: a}
    for: 1s
  - id: flag
    after: {event: slow.reverted}
    fault: command
    target: {service: server}
    with: COMMANDS
    for: 1s
  - id: cut
    after: {event: flag.reverted}
    fault: network.partition
    target: {service: trainer}
    with: {apart_from: [server]}
    for: 1s
expect:
""".replace("COMMANDS", COMMANDS)


@pytest.fixture
def rich(good: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STATE, str(good / "state"))
    file = good / "scenarios" / "good.scenario.yaml"
    text = file.read_text("utf-8").replace("expect:\n", MORE, 1)
    text += "abort_if: [{probe: availability, at_most: 0.5, over: 2s}]\nlimits: {fault_time: 1min}\n"
    file.write_text(text, "utf-8")
    stack = good / "stack.compose.yaml"
    more = "  stack: small\n  never_touch: [live-only]\n  data: {command: [make-data, --all]}\n"
    text = stack.read_text("utf-8").replace("  stack: small\n", more)
    text = text.replace("  probes:\n", "  probes:\n    queue: {command: [queue-length, --of, 'a b']}\n")
    text = text.replace("  keyspaces:\n", "  keyspaces:\n    live-only: {service: board, prefix: x}\n")
    text += (
        "  board:\n    x-harness: {node: z, port: 18380, health: {tcp: true}, local: {command: [python, -m, board]}}\n"
    )
    stack.write_text(text, "utf-8")
    return good


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_everything_is_told_and_nothing_is_started(rich: Path, harness_: Harness, runner: Runner) -> None:
    result = harness_(
        "run", "--dry-run", "--backend", "compose", "--abort-if", "alert: ServiceDown", "--limit", "faults_at_once=2"
    )
    assert result.code == 0, result.err
    told = lines(result.out)
    stack = rich / "stack.compose.yaml"
    for line in (
        f"stack small (compose), {stack}",
        "owned: started for this run, and stopped after it",
        "containers one for each of 5 services, in a compose project of this run alone",
        "fault slow: at 5s for 12s: network.latency on link trainer -> object-store, latency 800ms, jitter 100ms",
        "hits link trainer -> object-store",
        "touches service object-store, trainer; node a, b; dataset training",
        "fault lost: at 2s for 1s: node.loss on node a",
        "hits service object-store, online; link trainer -> object-store, server -> object-store, server -> online; "
        "node a",
        "touches key space live-features; dataset training",
        "fault flag: after slow.reverted for 1s: command on service server, inject ['flag', 'on now'], "
        "confirm ['flag', 'get'], revert ['flag', 'off']",
        "hits what its commands hit: nobody can tell",
        "hits service trainer, server",
        "measured answers of http://server:18001/predict",
        "measured queue: command, every 1s",
        "measured alerts of http://server:18001",
        f"runs fault flag, inject: flag 'on now' (on this machine, in {rich})",
        f"runs fault flag, revert: flag off (on this machine, in {rich})",
        f"runs probe queue: queue-length --of 'a b' (on this machine, in {rich})",
        "runs workload: make (in the stack's own environment)",
        "runs data: make-data --all (in the stack's own environment)",
        "abort if availability at most 0.5 over 2s",
        "abort if the alert ServiceDown fires",
        "limits faults_at_once 2, fault_time 1min",
        "never touch live-only",
        "may die server",
        "1 run; nothing was started.",
    ):
        assert line in told, (line, told)
    faults = [line.split(":")[0] for line in told if line.startswith("fault ")]
    assert faults == ["fault lost", "fault slow", "fault flag", "fault cut"], "in the order in which they go in"
    assert runner.requests == []
    assert sorted(path.name for path in rich.iterdir()) == ["scenarios", "stack.compose.yaml"]


def test_it_is_there_for_programs_too(rich: Path, harness_: Harness) -> None:
    (run,) = json.loads(harness_("run", "--dry-run", "--json", "--backend", "compose").out)
    seen = run["preview"]
    assert (seen["run"], seen["stack"], seen["backend"], seen["attached"]) == ("slow-store", "small", "compose", None)
    slow = next(fault for fault in seen["faults"] if fault["id"] == "slow")
    assert slow["hits"] == {"link": ["trainer -> object-store"]}
    assert slow["parameters"] == {"latency": "800ms", "jitter": "100ms"}
    assert ["flag", "on now"] in [one["argv"] for one in seen["commands"]]
    assert seen["abort_if"] == ["availability at most 0.5 over 2s"]
    assert seen["never_touch"] == ["live-only"]


def test_an_attached_project_is_named_and_not_asked(rich: Path, harness_: Harness) -> None:
    result = harness_("run", "--dry-run", "--attach", "nowhere_1")
    assert result.code == 0, result.err
    assert "attached: the running compose project nowhere_1, which is left as it is" in result.out
    assert "those of the running compose project nowhere_1" in result.out


def test_containers_of_its_own_are_told_without_an_engine(rich: Path, harness_: Harness) -> None:
    result = harness_("run", "--dry-run", "--backend", "compose")
    assert "one for each of 5 services, in a compose project of this run alone" in result.out


def test_a_fault_on_containers_is_refused_where_there_are_none(rich: Path, harness_: Harness) -> None:
    for words in ([], ["--dry-run"]):
        result = harness_("run", *words)
        assert (result.code, result.out) == (2, "")
        message = "timeline.3.fault: network.partition acts on containers, and the stack would run as local processes"
        assert f"{message} — run it with --backend compose" in result.err
    assert sorted(path.name for path in rich.iterdir()) == ["scenarios", "stack.compose.yaml"], "nothing was started"


def test_a_control_leaves_its_faults_out_and_runs_none_of_their_commands(rich: Path, harness_: Harness) -> None:
    out = harness_("run", "--dry-run", "--twin", "control").out
    assert out.count("(left out: control)") == 4
    assert "fault flag, inject" not in out
    assert "probe queue" in out


def test_what_check_refuses_is_exit_2(rich: Path, harness_: Harness) -> None:
    stack = rich / "stack.compose.yaml"
    stack.write_text(stack.read_text("utf-8").replace("[live-only]", "[trainer]"), "utf-8")
    result = harness_("run", "--dry-run")
    assert result.code == 2
    assert "touches the service 'trainer'" in result.err
    assert result.out == ""


def test_a_latch_that_is_set_is_told(rich: Path, harness_: Harness) -> None:
    set_latch("small", "an incident")
    result = harness_("run", "--dry-run", "--backend", "compose")
    assert result.code == 0
    assert any(line.startswith("stopped by ") and "an incident" in line for line in lines(result.out))
