"""Bad input: exit 2, one clear message with file, line, field and the nearest valid name, and nothing started."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from calling import Harness, Runner

import harness.backends.compose.attached

TARGET = "target: {link: trainer -> object-store}"


def steps(*whens: str) -> str:
    return "timeline:\n" + "".join(
        f"  - {{id: {name}, {when}, fault: network.latency, {TARGET}, with: {{latency: 1s}}, for: 5s}}\n"
        for name, when in zip("abc", whens, strict=False)
    )


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("old", "new", "line", "field", "said"),
    [
        ("owner:", "ownr:", 5, "ownr", ["unknown field 'ownr'", "did you mean 'owner'?"]),
        ("seed: 7", "seed: x", 10, "seed", ["a whole number is needed here, not 'x'"]),
        ("seed: 7", "seed: -1", 10, "seed", ["-1 is too small", "write 0 or more"]),
        ("for: 12s", "for: -12s", 19, "timeline.0.for", ["'-12s' has a sign", "such as 12s"]),
        ("at_most: 8h event", "at_most: 99.5%", 27, "expect.recovered.0.at_most", ["event-time", "0.995 is not one"]),
        ("for: 12s", "for: 12sec", 19, "timeline.0.for", ["'12sec' is not a duration", "did you mean 12s?"]),
        ("at_most: 8h event", "at_most: 8 hours event", 27, "expect.recovered.0.at_most", ["did you mean 8h event?"]),
        ("stack: ../stack.compose.yaml", "stack: ../stack.compse.yaml", 7, "stack",
         ["there is no stack", "did you mean", "stack.compose.yaml'?"]),
        ("for: 12s", "for: 12", 19, "timeline.0.for", ["12 is not a duration", "800ms"]),
        ("probe: training_lag", "probe: traning_lag", 27, "expect.recovered.0.probe",
         ["unknown probe 'traning_lag'", "did you mean 'training_lag'?"]),
        ("fault: network.latency", "fault: network.lag", 16, "timeline.0.fault",
         ["unknown fault 'network.lag'", "did you mean 'network.latency'?"]),
        ("id: seen, alert: ObjectStoreSlow", "id: seen, alert: ObjectStoreSlo", 22, "expect.detected.0.alert",
         ["unknown alert 'ObjectStoreSlo'", "did you mean 'ObjectStoreSlow'?"]),
        ("link: trainer -> object-store", "link: trainer -> object-stor", 17, "timeline.0.target.link",
         ["unknown link 'trainer -> object-stor'", "did you mean 'trainer -> object-store'?"]),
        ("stack: ../stack.compose.yaml", "stack: referense", 7, "stack",
         ["unknown stack 'referense'", "did you mean 'reference'?"]),
        ("timeline:\n", steps("after: {event: b.reverted}", "after: {event: a.reverted}"), 14,
         "timeline.0.after.event", ["the faults wait for one another: a -> b -> a"]),
        ("timeline:\n", steps("at: 1s", "at: 3s"), 15, "timeline.1",
         ["'b' overlaps 'a' in time", "link trainer -> object-store", "a.reverted"]),
        ("id: serving", "id: seen", 25, "expect.stays.0.id", ["the id 'seen' is used twice, first on line 22"]),
        ("at_most: 8h event", "at_most: 8h", 27, "expect.recovered.0.at_most", ["event time", "90min event"]),
    ],
)  # fmt: skip
def test_a_wrong_scenario(
    good: Path, harness_: Harness, runner: Runner, command: str, old: str, new: str, line: int, field: str,
    said: list[str],
) -> None:  # fmt: skip
    path = good / "scenarios" / "good.scenario.yaml"
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    if old == "timeline:\n":
        text = text[: text.index(old)] + new + text[text.index("expect:") :]
    else:
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
    result = harness_(command)
    assert result.code == 2
    assert f"scenarios/good.scenario.yaml:{line}: {field}: " in result.err
    for part in said:
        assert part in result.err
    assert len(result.err.splitlines()) == 1
    assert result.out == ""
    assert runner.requests == []
    assert not (good / "reports").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [", "this is not YAML"),
        (b"", "the file is empty"),
        (b"\xff\xfe\xff", "UTF-8"),
        (b"a: " + b"[" * 100 + b"]" * 100, "nested more than 40 deep"),
        (b"a: 1 #" + b"x" * (1 << 20), "bytes long"),
        (b"a: 1\na: 2\n", "duplicate key 'a'"),
    ],
)
def test_a_file_that_is_no_scenario(good: Path, harness_: Harness, runner: Runner, content: bytes, said: str) -> None:
    (good / "scenarios" / "odd.scenario.yaml").write_bytes(content)
    result = harness_("run")
    assert result.code == 2
    assert "scenarios/odd.scenario.yaml" in result.err
    assert said in result.err
    assert runner.requests == []


def test_duplicate_scenario_names(good: Path, harness_: Harness, runner: Runner) -> None:
    path = good / "scenarios" / "good.scenario.yaml"
    (good / "scenarios" / "same.scenario.yaml").write_bytes(path.read_bytes())
    result = harness_("run")
    assert result.code == 2
    assert "scenarios/same.scenario.yaml:2: scenario: " in result.err
    assert "is also defined in scenarios/good.scenario.yaml:2" in result.err
    assert runner.requests == []


def test_an_unreadable_file(good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def denied(path: Any, *more: Any, **others: Any) -> int:
        if str(path).endswith("good.scenario.yaml"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *more, **others)

    monkeypatch.setattr(os, "open", denied)
    result = harness_("run")
    assert result.code == 2
    assert result.err == "scenarios/good.scenario.yaml: cannot be read: Permission denied\n"
    assert runner.requests == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere"], "there is no such file or folder"),
        (["run", "scenarios/god.scenario.yaml"], "did you mean 'scenarios/good.scenario.yaml'?"),
        (["run", "--tag", "demoo"], "no run is selected by --tag demoo — tags: demo, nightly"),
        (["run", "-k", "nothing"], "no run is selected by -k 'nothing'"),
        (["run", "-k", "a and"], "cannot be understood"),
        (["run", "--set", "latncy=1s"], "did you mean 'latency'?"),
        (["run", "--set", "latency"], "write --set name=value"),
        (["run", "--stack", "referense"], "--stack: unknown stack 'referense'"),
        (["run", "--backend", "locl"], "did you mean 'local'?"),
        (["run", "--twin", "evil"], "'control', 'sabotage'"),
        (["run", "--twin", "control", "--paired"], "leave --twin out"),
        (["run", "--name", "../up"], "--name"),
        (["run", "-j", "0"], "-j"),
        (["run", "--seed", "x"], "--seed"),
        (["run", "--jsn"], "--json"),
        (["rnu"], "did you mean 'run'?"),
        (["list", "probes", "--stack", "referense"], "did you mean 'reference'?"),
        (["list", "prbes"], "prbes"),
        (["judge", "nowhere"], "nowhere: not a run"),
        (["report", "nowhere"], "no run in this folder"),
        (["heal", "nowhere"], "no run found"),
        (["up", "stack.compose.yaml", "--link", "trainer -> object-stor"], "did you mean 'trainer -> object-store'?"),
        (["proxy", "serve", "--nope"], "--nope"),
    ],
)
def test_wrong_arguments(good: Path, harness_: Harness, runner: Runner, arguments: list[str], said: str) -> None:
    result = harness_(*arguments)
    assert result.code == 2
    assert said in result.err
    assert result.out == ""
    assert runner.requests == []


def test_a_compose_file_is_no_scenario(good: Path, harness_: Harness, runner: Runner) -> None:
    result = harness_("run", "stack.compose.yaml")
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert "this is a compose file, not a scenario" in result.err
    assert runner.requests == []


def test_stacks_and_seeds_that_there_are_not(good: Path, harness_: Harness, runner: Runner) -> None:
    assert "valid here: reference; or give the path of a compose file" in harness_("run", "--stack", "zzz").err
    assert "did you mean 'reference'? Or give the path" in harness_("run", "--stack", "refrence").err
    assert "did you mean 'stack.compose.yaml'?" in harness_("doctor", "stack.compse.yaml", "--start").err
    assert harness_("run", "--seed", "-1").code == 2
    assert runner.requests == []


def test_values_of_the_wrong_kind_in_a_stack(good: Path, harness_: Harness) -> None:
    path = good / "stack.compose.yaml"
    text = path.read_text("utf-8")
    assert text.count("port: 18001") == 1
    path.write_text(text.replace("port: 18001", "port: sixty"), "utf-8")
    assert "port: a whole number is needed here, not 'sixty'" in harness_("check").err
    assert text.count("unit: wall") == 1
    path.write_text(text.replace("unit: wall", "unit: seconds"), "utf-8")
    assert "'seconds' is not valid here — valid here: ratio, count, wall, event, number" in harness_("check").err


@pytest.mark.parametrize("attach", [("--attach", "nosuch"), ()])
def test_a_project_that_does_not_run_is_met_before_anything_is_written(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch, attach: tuple[str, ...]
) -> None:
    project = {"com.docker.compose.project": "shop-1"}

    def containers(all: bool = False, filters: Any = None) -> list[dict[str, Any]]:  # noqa: A002 - as docker calls it
        return [] if all else [{"Labels": project}]

    engine = SimpleNamespace(client=SimpleNamespace(api=SimpleNamespace(containers=containers)), close=lambda: None)
    monkeypatch.setattr(harness.backends.compose.attached, "connect", lambda: engine)
    if not attach:
        path = good / "stack.compose.yaml"
        text = path.read_text("utf-8")
        path.write_text(text.replace("schema: 1", "schema: 1\n  ownership: attached\n  compose: {project: nosuch}", 1))
    result = harness_("run", "--backend", "compose", *attach)
    assert result.code == 4
    assert (
        "no containers of the compose project 'nosuch' — projects that run there: shop-1; name one with --attach"
        in result.err
    )
    assert runner.requests == []
    assert not (good / "reports").exists()
