"""The table of our own faults. Other people's come in by the entry-point group `harness.faults`.

An explicit table, and no registration on import: what can be injected is what is listed here. The modules of the faults
are imported only when the table is asked for, because some need packages that a small installation does not have.
"""

from __future__ import annotations

from importlib import import_module

from harness.model.fault import FaultKind

MODULES = (
    "network_latency",
    "slow_storage",
    "stale_data",
    "corrupt_features",
    "node_loss",
    "container_kill",
    "container_stop",
    "container_pause",
    "restart_loop",
    "container_oom",
    "container_cpu",
    "disk_full",
    "volume_read_only",
    "network_disconnect",
    "network_partition",
    "container_image",
    "container_environment",
    "container_file",
    "clock_skew",
    "command",
)


def own_faults() -> dict[str, FaultKind]:
    """Return every fault of our own by its kind."""
    kinds = [import_module(f"harness.faults.{module}").KIND for module in MODULES]
    return {kind.kind: kind for kind in kinds}


FAULTS: dict[str, FaultKind] = own_faults()
