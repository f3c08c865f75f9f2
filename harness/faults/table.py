"""The table of our own faults, by kind. Other people's come in by the entry-point group `harness.faults`.

An explicit table, and no registration on import: what can be injected is what is listed here. A fault's module is
imported when its kind is looked up: a run needs one or two of them, and some need packages that are optional.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from harness.model.fault import FaultKind

MODULES: Mapping[str, str] = {
    "network.latency": "network_latency",
    "network.reset": "network_reset",
    "storage.slow": "slow_storage",
    "data.stale": "stale_data",
    "features.corrupt": "corrupt_features",
    "object.corrupt": "corrupt_objects",
    "node.loss": "node_loss",
    "container.kill": "container_kill",
    "container.stop": "container_stop",
    "container.pause": "container_pause",
    "container.restart_loop": "restart_loop",
    "container.oom": "container_oom",
    "container.cpu": "container_cpu",
    "disk.full": "disk_full",
    "volume.read_only": "volume_read_only",
    "file.corrupt": "corrupt_files",
    "network.disconnect": "network_disconnect",
    "network.partition": "network_partition",
    "container.image": "container_image",
    "container.environment": "container_environment",
    "container.file": "container_file",
    "clock.skew": "clock_skew",
    "command": "command",
}


class OwnFaults(Mapping[str, FaultKind]):
    """Every fault of our own by its kind, each imported when it is looked up."""

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)

    def __contains__(self, kind: object) -> bool:
        return kind in MODULES

    def __getitem__(self, kind: str) -> FaultKind:
        found: FaultKind = import_module(f"harness.faults.{MODULES[kind]}").KIND
        return found


FAULTS: Mapping[str, FaultKind] = OwnFaults()
