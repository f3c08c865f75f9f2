"""One or more scenarios for every kind of fault, on the stack in `stack/`, and the moments at which runs are killed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.faults.table import FAULTS

STACK = Path(__file__).with_name("stack") / "compose.yaml"
FAULT_S = 3.0
WHOM = ("command", "worker", "guard", "command+worker", "all")
STAGES = ("undo", "injecting", "injected", "confirmed", "reverting", "reverted")
"""Records of the journal right after which a run is killed; further trials are killed at random instants."""
WITHIN = ("injecting+", "reverting+")
"""Random instants within the second after a record: a call to the engine may be going on."""
_SCENARIO = """\
schema: 1
scenario: {name}
summary: A run that is killed.
stack: {stack}
steady_state:
  - {{id: up, probe: asked, at_least: 1, over: 200ms}}
timeline:
  - {step}
expect:
  stays:
    - {{id: up-all-along, probe: asked, at_least: 1, over: 1s}}
"""
FLAG = "fault-flag"
"""The file that the fault by commands makes in the folder of the campaign."""


@dataclass(frozen=True)
class Case:
    """One fault on the stack."""

    kind: str
    target: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    for_s: float = FAULT_S

    @property
    def everywhere(self) -> bool:
        """Whether it can be put in on local processes too."""
        return not FAULTS[self.kind].in_containers

    def scenario(self, name: str, folder: Path) -> str:
        """Return the text of its scenario file. `folder` is where commands leave their traces."""
        step = {"id": "it", "at": "0s", "fault": self.kind, "target": self.target, "for": f"{self.for_s:g}s"}
        parameters = json.loads(json.dumps(self.parameters).replace("{folder}", str(folder)))
        return _SCENARIO.format(name=name, stack=STACK, step=json.dumps(step | {"with": parameters}))


CASES: dict[str, Case] = {
    "latency": Case("network.latency", {"link": "relay -> web"}, {"latency": "200ms"}),
    "reset": Case("network.reset", {"link": "relay -> web"}, {"after": "50ms"}),
    "slow": Case("storage.slow", {"service": "objects"}, {"latency": "200ms"}),
    "stale": Case("data.stale", {"service": "relay"}, {"keyspace": "rows", "older_than": "1s event"}),
    "replayed": Case("data.stale", {"keyspace": "rows"}, {"mode": "replay"}),
    "rows": Case("features.corrupt", {"keyspace": "rows"}, {"operation": "scale", "factor": 60}),
    "objects": Case("features.corrupt", {"dataset": "tables"}, {"operation": "scale", "factor": 60}),
    "blobs": Case("object.corrupt", {"dataset": "tables"}, {"operation": "truncate"}),
    "node": Case("node.loss", {"node": "w"}),
    "command": Case("command", {"service": "box"}, {
        "inject": ["sh", "-c", f"echo on > {{folder}}/{FLAG}"], "confirm": ["test", "-e", f"{{folder}}/{FLAG}"],
        "revert": ["rm", "-f", f"{{folder}}/{FLAG}"]}),
    "crash": Case("container.kill", {"service": "store"}, {"restart": "none"}),
    "frozen": Case("container.kill", {"service": "box"}, {"signal": "STOP"}),
    "stop": Case("container.stop", {"service": "box"}, {"grace": "1s"}, for_s=5),
    "stop-slowly": Case("container.stop", {"service": "web"}, {"grace": "3s"}, for_s=6),
    "pause": Case("container.pause", {"services": ["worker", "box"]}),
    "restart-loop": Case("container.restart_loop", {"service": "worker"}, {"alive": "100ms"}, for_s=5),
    "oom": Case("container.oom", {"service": "worker"}, for_s=5),
    "oom-limit": Case("container.oom", {"service": "store"}, {"limit": "64MiB"}, for_s=5),
    "cpu": Case("container.cpu", {"service": "box"}, {"cpus": 0.05}),
    "full": Case("disk.full", {"service": "store"}, {"path": "/scratch", "leave": "64KiB"}),
    "remounted": Case("volume.read_only", {"service": "store"}, {"path": "/data"}),
    "recreated": Case("volume.read_only", {"service": "store"}, {"path": "/data", "how": "recreate"}, for_s=8),
    "disconnected": Case("network.disconnect", {"service": "store"}),
    "apart": Case("network.partition", {"service": "worker"}, {"apart_from": ["store"]}),
    "image": Case("container.image", {"service": "box"}, {"image": "harness-test/kill-previous:1"}, for_s=8),
    "environment": Case("container.environment", {"service": "worker"},
                        {"set": {"MODE": "slow"}, "unset": ["TOKEN"]}, for_s=8),
    "environment-slowly": Case("container.environment", {"service": "web"}, {"set": {"MODE": "slow"}}, for_s=9),
    "file": Case("container.file", {"service": "box"}, {"path": "/etc/issue", "content": "changed"}, for_s=8),
    "damaged": Case("file.corrupt", {"service": "store"}, {"path": "/data", "operation": "flip"}),
    "one-of-two": Case("container.pause", {"service": "pool", "replica": 2}),
    "both": Case("container.stop", {"service": "pool"}, {"grace": "1s"}, for_s=5),
    "both-changed": Case("container.environment", {"service": "pool"}, {"set": {"MODE": "slow"}}, for_s=8),
    "clock": Case("clock.skew", {"service": "box"}, {"offset": "2h"}, for_s=8),
}  # fmt: skip


def every_kind_has_a_case() -> set[str]:
    """Return the kinds of the table that no case is for."""
    return set(FAULTS) - {case.kind for case in CASES.values()}
