"""What `harness check` says of a fault that nothing in its scenario could feel, and of one that something could."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.runner.checking.notes import notes
from harness.runner.checking.stacks import validated

UP = {"http": {"url": "http://predictor:8000/health"}}
PROBES: dict[str, Any] = {
    "predictor_up": UP,
    "predictor_status": {"http": {"url": "http://predictor:8000/ready", "read": "status"}},
    "predictor_found": {"http": {"url": "http://predictor:8000/search", "read": "json", "path": "hits"}},
    "predictor_right": {"http": {"url": "http://predictor:8000/search", "expect": {"json": {"hits": 3}}}},
    "vectors_up": {"http": {"url": "http://vectors:6333/healthz"}},
    "vectors_held": {"json": {"url": "http://vectors:6333/count", "path": "count"}},
    "board_up": {"http": {"url": "http://board:3000/"}},
    "predictor_port": {"tcp": {"service": "predictor"}},
    "predictor_serves": {"grpc": {"service": "predictor"}},
    "predictor_answers": {"mongo": {"url": "mongodb://predictor:27017"}},
    "predictor_documents": {"mongo": {"url": "mongodb://predictor/shop", "collection": "hits", "read": "count"}},
    "predictor_runs": {"container": {"service": "predictor"}},
    "vectors_run": {"container": {"service": "vectors", "read": "healthy"}},
    "outside": {"json": {"url": "http://example.org/number", "path": "n"}},
}
LATENCY = {"fault": "network.latency", "target": {"link": "predictor -> vectors"}, "with": {"latency": "300ms"}}
LOST = {"fault": "node.loss", "target": {"node": "vectors"}}
NOTHING = "nothing measured could feel this: network.latency on link predictor -> vectors"
PAGES = "only health checks could feel this (predictor_up), and those may answer as before: network.latency on"


def told(tmp_path: Path, fault: dict[str, Any], *probes: str, **changes: Any) -> list[str]:
    """Return the notes of a scenario in which these probes must stay as they are."""
    harness = {"schema": 1, "stack": "found", "probes": PROBES, **changes.pop("stack", {})}
    port = {"health": {"tcp": True}, "local": {"command": ["true"]}}
    services = {
        "vectors": {"image": "x", "x-harness": {"port": 6333, "node": "vectors", **port}},
        "predictor": {
            "image": "x",
            "environment": {"VECTORS": "http://vectors:6333"},
            "x-harness": {"port": 8000, "node": "predictor", **port},
        },
        "board": {"image": "x", "x-harness": {"port": 3000, "node": "board", **port}},
    }
    for name, more in changes.pop("services", {}).items():
        services[name] |= more
    stack = tmp_path / "stack.yaml"
    stack.write_text(yaml.safe_dump({"name": "found", "x-harness": harness, "services": services}), "utf-8")
    expect = {"stays": [{"id": name, "probe": name, "at_least": 1} for name in probes], **changes}
    scenario = {
        "schema": 1,
        "scenario": "one",
        "summary": "One fault.",
        "stack": "stack.yaml",
        "timeline": [{"id": "it", "at": "2s", "for": "5s", **fault}],
        "expect": expect,
    }
    file = tmp_path / "one.scenario.yaml"
    file.write_text(yaml.safe_dump(scenario), "utf-8")
    found = notes(validated([file]))
    assert all(note.field in ("timeline.0.target", "expect.noticed.0.probe") for note in found)
    assert all(note.remedy and note.line for note in found)
    return [note.message for note in found]


def test_what_is_asked_beside_a_slow_link_does_not_feel_it(tmp_path: Path) -> None:
    assert [one.startswith(NOTHING) for one in told(tmp_path, LATENCY, "vectors_up")] == [True]
    assert [one.startswith(NOTHING) for one in told(tmp_path, LATENCY, "vectors_up", "board_up")] == [True]


def test_a_health_page_of_the_consumer_need_not_feel_it(tmp_path: Path) -> None:
    assert [one.startswith(PAGES) for one in told(tmp_path, LATENCY, "vectors_up", "predictor_up")] == [True]
    (found,) = told(tmp_path, LATENCY, "predictor_up", "predictor_status")
    assert "(predictor_up, predictor_status)" in found


@pytest.mark.parametrize(
    "probe", ["predictor_found", "predictor_right", "predictor_documents", "vectors_held", "outside"]
)
def test_what_says_more_than_a_health_page_could(tmp_path: Path, probe: str) -> None:
    # What a store holds may change with what its consumers write; of what is outside nobody can tell.
    assert told(tmp_path, LATENCY, probe) == []


@pytest.mark.parametrize(
    ("probe", "unfelt"), [("vectors_up", False), ("vectors_held", False), ("predictor_up", True), ("board_up", True)]
)
def test_a_lost_service_is_felt_by_its_own_probes(tmp_path: Path, probe: str, unfelt: bool) -> None:
    assert bool(told(tmp_path, LOST, probe)) is unfelt


def test_what_nothing_ties_to_the_target_feels_nothing(tmp_path: Path) -> None:
    (found,) = told(tmp_path, LOST, "board_up")
    assert found.startswith("nothing measured could feel this: node.loss on node vectors")
    asks = {"board": {"environment": {"ASKS": "http://predictor:8000"}}}
    (found,) = told(tmp_path, LOST, "board_up", services=asks)
    assert found.startswith("only health checks could feel this (board_up)")


def test_who_only_has_the_address_of_a_store_does_not_feel_its_loss(tmp_path: Path) -> None:
    assert told(tmp_path, LOST, "predictor_found") == []
    unused = {"unused_links": ["predictor -> vectors"]}
    (found,) = told(tmp_path, LOST, "predictor_found", stack=unused)
    assert found.startswith("nothing measured could feel this: node.loss on node vectors")
    waits = {"predictor": {"depends_on": ["vectors"]}}
    assert told(tmp_path, LOST, "predictor_found", stack=unused, services=waits) == [], "it starts only after the store"
    (found,) = told(tmp_path, LOST, "predictor_up", stack=unused, services=waits)
    assert found.startswith("only health checks could feel this (predictor_up)")


@pytest.mark.parametrize("probe", ["predictor_port", "predictor_serves", "predictor_answers"])
def test_a_port_and_a_health_check_are_no_more_than_a_health_page(tmp_path: Path, probe: str) -> None:
    (found,) = told(tmp_path, LATENCY, probe)
    assert found.startswith(f"only health checks could feel this ({probe})")


@pytest.mark.parametrize(("probe", "said"), [("predictor_runs", "only health checks"), ("vectors_run", "nothing")])
def test_that_a_container_runs_says_nothing_of_its_work(tmp_path: Path, probe: str, said: str) -> None:
    (found,) = told(tmp_path, LATENCY, probe)
    assert found.startswith(said)
    killed = {"fault": "container.kill", "target": {"service": "predictor"}}
    assert bool(told(tmp_path, killed, probe)) is (probe == "vectors_run")


@pytest.mark.parametrize(
    ("probe", "felt"),
    [("vectors_up", False), ("vectors_run", False), ("vectors_held", True), ("predictor_up", False),
     ("predictor_found", True)],
)  # fmt: skip
@pytest.mark.parametrize("fault", ["object.corrupt", "network.partition"])
def test_a_server_answers_as_before_with_wrong_data_or_without_its_peers(
    tmp_path: Path, fault: str, probe: str, felt: bool
) -> None:
    data = {"datasets": {"models": {"service": "vectors", "bucket": "models", "prefix": "m/"}}}
    damaged = {"fault": fault, "target": {"dataset": "models"}, "with": {"operation": "flip"}}
    apart = {"fault": fault, "target": {"service": "predictor"}, "with": {"apart_from": ["vectors"]}}
    found = told(tmp_path, damaged if fault == "object.corrupt" else apart, probe, stack=data)
    assert [one.startswith(f"only health checks could feel this ({probe})") for one in found] == [True] * (not felt)


@pytest.mark.parametrize(("probe", "felt"), [("predictor_port", False), ("predictor_serves", True)])
def test_a_port_takes_connections_for_a_paused_server(tmp_path: Path, probe: str, felt: bool) -> None:
    paused = {"fault": "container.pause", "target": {"service": "predictor"}}
    assert (told(tmp_path, paused, probe) == []) is felt
    killed = {"fault": "container.kill", "target": {"service": "predictor"}}
    assert told(tmp_path, killed, probe) == []


def test_alerts_and_a_workload_may_feel_anything_they_are_tied_to(tmp_path: Path) -> None:
    alerts = {"alert_sources": [{"kind": "prometheus", "url": "http://board:3000"}], "alerts": {"Slow": {}}}
    assert told(tmp_path, LATENCY, "vectors_up", quiet="others", stack=alerts) == []
    seen = [{"id": "seen", "alert": "Slow", "within": "4s"}]
    assert told(tmp_path, LATENCY, "vectors_up", detected=seen, stack=alerts) == []
    (tmp_path / "requests.jsonl").write_text('{"body": {}}\n', "utf-8")
    asked = {"workload": {"url": "http://predictor:8000/search", "requests": "requests.jsonl", "rate": "5/s"}}
    assert told(tmp_path, LATENCY, "vectors_up", stack=asked) == []
    elsewhere = {"workload": {**asked["workload"], "url": "http://board:3000/"}}
    assert [one.startswith(NOTHING) for one in told(tmp_path, LATENCY, "vectors_up", stack=elsewhere)] == [True]


def test_of_a_command_nobody_can_tell(tmp_path: Path) -> None:
    command = {"fault": "command", "target": {"service": "vectors"}}
    command |= {"with": {"inject": ["true"], "confirm": ["true"], "revert": ["true"], "absent": ["true"]}}
    assert told(tmp_path, command, "board_up") == []


@pytest.mark.parametrize(
    ("fault", "probe", "limit", "said"),
    [
        (LOST, "vectors_up", {"at_least": 1}, True),
        (LOST, "vectors_held", {"at_least": 1}, False),
        (LATENCY, "predictor_up", {"at_least": 1}, False),
        (LOST | {"target": {"node": "predictor"}}, "predictor_status", {"equals": 200}, False),
        (LOST | {"target": {"node": "predictor"}}, "predictor_up", {"at_least": 1}, True),
        (LOST | {"target": {"node": "predictor"}}, "predictor_serves", {"at_least": 1}, True),
        (LOST | {"target": {"node": "predictor"}}, "predictor_port", {"at_least": 1}, True),
    ],
)
def test_a_service_that_is_gone_has_noticed_nothing(
    tmp_path: Path, fault: dict[str, Any], probe: str, limit: dict[str, int], said: bool
) -> None:
    clause = {"id": "n", "probe": probe, "within": "4s", **limit}
    found = [one for one in told(tmp_path, fault, noticed=[clause]) if "is 0 without an answer too" in one]
    assert bool(found) is said
