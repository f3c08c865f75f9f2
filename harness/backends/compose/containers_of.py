"""What an engine says of a project's containers, in one question for all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harness.backends.compose.leftovers import ONE_OFF, PROJECT, SERVICE
from harness.model.containers import KEPT_SUFFIX

_EXIT = re.compile(r"\((\d+)\)")


@dataclass(frozen=True, slots=True)
class ContainerSnapshot:
    """One container, as the engine's list of containers has it."""

    id: str
    service: str
    state: str
    """`created`, `running`, `paused`, `restarting`, `exited` or `dead`."""
    health: str | None
    """`starting`, `healthy`, `unhealthy`; None where the engine checks none."""
    exit_code: int | None
    addresses: dict[str, str]
    """Its address on each network, by the network's name on the engine."""
    labels: dict[str, str]
    ports: dict[int, int]
    """Ports inside, with those on the host that they are published at."""


def containers_of(client: Any, project: str) -> list[ContainerSnapshot]:
    """Return the containers of a project, whatever their state. Blocks."""
    raw = client.api.containers(all=True, filters={"label": [f"{PROJECT}={project}"]})
    return [
        _seen(one)
        for one in raw
        if one["Labels"].get(ONE_OFF) != "True" and not str((one["Names"] or [""])[0]).endswith(KEPT_SUFFIX)
    ]


def _seen(raw: dict[str, Any]) -> ContainerSnapshot:
    status = str(raw.get("Status", ""))
    health = next((word for word in ("unhealthy", "healthy", "health: starting") if f"({word})" in status), None)
    code = _EXIT.search(status) if raw["State"] in ("exited", "restarting", "dead") else None
    networks = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    return ContainerSnapshot(
        id=raw["Id"],
        service=raw["Labels"].get(SERVICE, ""),
        state=str(raw["State"]),
        health=health.removeprefix("health: ") if health else None,
        exit_code=int(code[1]) if code else None,
        addresses={name: str(given["IPAddress"]) for name, given in networks.items() if given.get("IPAddress")},
        labels=dict(raw["Labels"]),
        ports={int(p["PrivatePort"]): int(p["PublicPort"]) for p in raw.get("Ports") or [] if p.get("PublicPort")},
    )
