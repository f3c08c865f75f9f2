"""One or more cases for every kind of fault on containers, and how to undo each without the fault knowing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from harness.backends.compose.containers import EngineContainers

PREVIOUS = "harness-test/previous:1"
"""The image of the previous version; the project's fixture builds it."""
Undone = Callable[[EngineContainers, dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Case:
    """A fault of one kind on the small project."""

    kind: str
    target: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    undone: Undone | None = None
    """Removes the effect without the fault knowing; None if that is impossible."""
    dies_with_the_harness: Callable[[Any], None] | None = None
    """Ends the part of the fault that runs in the harness's process."""


CASES: dict[str, Case] = {
    "crash": Case("container.kill", {"service": "worker"}),
    "crash-of-two": Case("container.kill", {"services": ["worker", "store"]}, {"restart": "none"},
                         lambda c, _: c.start("store")),
    "term": Case("container.kill", {"service": "store"}, {"signal": "SIGTERM"}),
    "frozen-by-signal": Case("container.kill", {"service": "web"}, {"signal": "STOP"}, lambda c, _: c.crash("web", 18)),
    "term-behind-an-init": Case("container.kill", {"service": "web"}, {"signal": "TERM"}),
    "stop": Case("container.stop", {"node": "b"}, {"grace": "1s"}, lambda c, _: c.start("web")),
    "pause": Case("container.pause", {"services": ["worker", "web"]}, {}, lambda c, _: c.unpause("web")),
    "restart-loop": Case("container.restart_loop", {"service": "worker"}, {"alive": "100ms"},
                         dies_with_the_harness=lambda fault: [task.cancel() for task in fault.plain._tasks.values()]),
    "oom": Case("container.oom", {"service": "worker"}),
    "oom-inside-a-limit-of-ours": Case("container.oom", {"service": "store"}, {"limit": "64MiB"}),
    "cpu": Case("container.cpu", {"service": "web"}, {"cpus": 0.05},
                lambda c, _: c.ask("web", "limit_cpu", quota_us=-1, period_us=100000)),
    "full": Case("disk.full", {"service": "store"}, {"path": "/scratch", "leave": "64KiB"},
                 lambda c, undo: c.ask("store", "remove", path="/scratch", name=undo["file"])),
    "remounted": Case("volume.read_only", {"service": "store"}, {"path": "/data"},
                      lambda c, _: c.ask("store", "remount", path="/data", read_only=False)),
    "files": Case("file.corrupt", {"service": "web"}, {"path": "/etc", "match": "iss*", "operation": "flip"},
                  lambda c, undo: c.ask("web", "restore", path="/etc", tag=undo["tag"], digests=undo["files"])),
    "recreated": Case("volume.read_only", {"service": "store"}, {"path": "/data", "how": "recreate"},
                      lambda c, undo: c.put_back(undo["replaced"])),
    "off-its-networks": Case("network.disconnect", {"service": "store"}, {},
                             lambda c, undo: c.connect("store", *_first(undo["networks"]["store"]))),
    "off-one-network": Case("network.disconnect", {"services": ["web", "worker"]}, {"networks": ["back"]},
                            lambda c, undo: c.connect("worker", *_first(undo["networks"]["worker"]))),
    "apart": Case("network.partition", {"service": "worker"}, {"apart_from": ["store", "web"]},
                  lambda c, undo: c.ask("web", "unblock", tag=undo["tag"])),
    "deaf": Case("network.partition", {"service": "worker"}, {"apart_from": ["store"], "way": "from"},
                 lambda c, undo: c.ask("worker", "unblock", tag=undo["tag"])),
    "image": Case("container.image", {"service": "web"}, {"image": PREVIOUS}, lambda c, undo: c.put_back(undo)),
    "environment": Case("container.environment", {"service": "worker"},
                        {"set": {"MODE": "slow"}, "unset": ["TOKEN"]}, lambda c, undo: c.put_back(undo)),
    "file-of-the-image": Case("container.file", {"service": "web"}, {"path": "/etc/issue", "content": "changed"},
                              lambda c, undo: c.put_back(undo)),
    "file-that-is-mounted": Case("container.file", {"service": "store"},
                                 {"path": "/etc/settings.conf", "find": "rate = 5", "put": "rate = 500"},
                                 lambda c, undo: c.put_back(undo)),
    "clock-ahead": Case("clock.skew", {"service": "web"}, {"offset": "2h"}, lambda c, undo: c.put_back(undo)),
    "clock-behind": Case("clock.skew", {"service": "worker"}, {"offset": "-30min"}, lambda c, undo: c.put_back(undo)),
}  # fmt: skip


def _first(networks: dict[str, Any]) -> tuple[str, Any]:
    return next(iter(networks.items()))
