"""Every kind of fault, written into a scenario file with all of its parameters, is taken as it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from scenario_files import GOOD, check_problems

from harness.faults.table import FAULTS

LINK, SERVICE, SERVICES = {"link": "trainer -> object-store"}, {"service": "trainer"}, {"services": ["trainer"]}
WRITTEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "clock.skew": (SERVICE, {"offset": "-30min", "library": "libfaketime.so"}),
    "command": (
        SERVICE,
        {
            "inject": ["true"],
            "confirm": ["sh", "-c", "exit 0"],
            "revert": ["true"],
            "prepare": ["true"],
            "absent": ["true"],
            "timeout": "2s",
            "changes_data": False,
        },
    ),
    "container.cpu": (SERVICES, {"cpus": 0.1}),
    "container.environment": (SERVICE, {"set": {"A": "1"}, "unset": ["B"]}),
    "container.file": (SERVICE, {"path": "/etc/app.yaml", "find": "a", "put": "b"}),
    "container.image": (SERVICE, {"image": "shop/model:1.4"}),
    "container.kill": (SERVICES, {"signal": "TERM", "restart": "none"}),
    "container.oom": (SERVICE, {"limit": "64MiB"}),
    "container.pause": (SERVICES, {}),
    "container.restart_loop": (SERVICES, {"alive": "200ms"}),
    "container.stop": (SERVICES, {"grace": "1s"}),
    "data.stale": (SERVICE, {"mode": "stop", "keyspace": "live-features", "older_than": "30min event"}),
    "disk.full": (SERVICE, {"path": "/data", "leave": "1MiB", "at_most": "1GB"}),
    "features.corrupt": (
        {"keyspace": "live-features"},
        {"operation": "scale", "share": 0.5, "fields": ["delay"], "factor": 2},
    ),
    "file.corrupt": (
        SERVICE,
        {
            "path": "/models",
            "match": "*.onnx",
            "operation": "content",
            "content": "{}",
            "share": 0.5,
            "at_most": "1MiB",
        },
    ),
    "network.disconnect": (SERVICES, {"networks": ["default"]}),
    "network.latency": (LINK, {"latency": "1s", "jitter": "100ms"}),
    "network.partition": (SERVICE, {"apart_from": ["object-store"], "way": "to"}),
    "node.loss": ({"node": "a"}, {"volumes": "kept"}),
    "object.corrupt": (
        {"dataset": "training"},
        {"operation": "content", "content": "{}", "share": 0.5, "match": "*.json"},
    ),
    "storage.slow": ({"links": [LINK["link"]]}, {"latency": "1s", "bandwidth_kb_s": 100}),
    "volume.read_only": (SERVICE, {"path": "/data", "how": "recreate"}),
}


SCENARIOS = Path(__file__).parents[3] / "scenarios"


def test_every_kind_of_fault_is_in_a_scenario_file() -> None:
    files = [yaml.safe_load(path.read_text("utf-8")) for path in SCENARIOS.rglob("*.scenario.yaml")]
    assert set(FAULTS) == set(WRITTEN) | {step["fault"] for file in files for step in file["timeline"]}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_file_with_every_parameter_of_a_fault_is_valid(kind: str, tmp_path: Path) -> None:
    target, parameters = WRITTEN[kind]
    document = yaml.safe_load(GOOD)
    document["timeline"][0] |= {"fault": kind, "target": target, "with": parameters}
    document["vars"] = {}
    document["schema"] = 1
    assert check_problems(tmp_path, yaml.safe_dump(document)) == ()
