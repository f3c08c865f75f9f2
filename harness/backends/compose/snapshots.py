"""The containers of a project as the engine lists them, in one question for all, and their logs."""

from __future__ import annotations

import contextlib
import datetime as dt
import glob
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.backends.compose.labels import NUMBER, ONE_OFF, PROJECT, SERVICE
from harness.model.containers import KEPT_SUFFIX
from harness.model.errors import BackendError
from harness.model.replicas import replica_name, replica_of

MOST_LINES = 20000
AT_ONCE = 8
BEGINNING = "1970-01-01T00:00:00.000000000Z"
_EXIT = re.compile(r"\((\d+)\)")
STEADY_S = 10
"""The engine's own measure: the waits between restarts begin anew once a container has run for this long."""
_JUST_UP = re.compile(r"Up (?:Less than a second|\d seconds?)\b")
"""How the list of containers says that one has run for less than `STEADY_S`."""


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
    just_up: bool = False
    """Whether it has run for less than `STEADY_S`."""
    number: int = 1
    """By which compose tells the containers of one service apart."""


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
        just_up=_JUST_UP.match(status) is not None,
        number=number_of(raw["Labels"]),
    )


def number_of(labels: Mapping[str, str]) -> int:
    """Return the number that compose gave a container among those of its service."""
    given = labels.get(NUMBER, "")
    return int(given) if given.isdigit() else 1


def by_service(found: Iterable[ContainerSnapshot]) -> dict[str, list[ContainerSnapshot]]:
    """Return the containers of each service, in the order of their numbers."""
    services: dict[str, list[ContainerSnapshot]] = {}
    for one in sorted(found, key=lambda one: one.number):
        services.setdefault(one.service, []).append(one)
    return services


def named(found: Iterable[ContainerSnapshot]) -> dict[str, ContainerSnapshot]:
    """Return the containers by the name of their service, or of the replica where a service has several."""
    return {
        replica_name(service, one.number if len(replicas) > 1 else None): one
        for service, replicas in by_service(found).items()
        for one in replicas
    }


def tail(client: Any, project: str, service: str, lines: int) -> list[str]:
    """Return the last log lines of a service of a project, or of one replica. Blocks; none where the engine gives none.

    Of a service with several replicas each line has the replica's name before it.
    """
    import docker.errors
    import requests

    told: list[str] = []
    try:
        for name, one in named(containers_of(client, project)).items() if lines > 0 else ():
            if service in (name, one.service):
                raw: bytes = client.api.logs(one.id, tail=lines)
                before = f"{name}: " if name != service else ""
                told += [before + line for line in raw.decode("utf-8", "replace").splitlines()[-lines:]]
    except (docker.errors.DockerException, requests.RequestException):
        return []
    return told


def lines_since(client: Any, container: str, position: str, most: int | None = None) -> tuple[list[str], str]:
    """Return the lines after a position, which is the engine's own stamp of a line, and the last one's. Blocks.

    `most` cuts it to the last few. Raises BackendError where the engine gives none.
    """
    import docker.errors
    import requests

    # The engine takes a fraction of a second as a number, which holds microseconds: what came before is left out below.
    since = {"since": dt.datetime.fromisoformat(f"{position[:26]}+00:00").timestamp() - 2e-6} if position else {}
    try:
        raw: bytes = client.api.logs(container, timestamps=True, tail=most or "all", **since)
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise BackendError(f"the engine gives no log: {error}") from error
    stamped = [line.partition(" ") for line in raw.decode("utf-8", "replace").splitlines()]
    later = [(stamp, text) for stamp, _, text in stamped if stamp > position]
    return [text for _, text in later], max(stamp for stamp, _ in later) if later else position


def is_of_several(position: str) -> bool:
    """Whether a position in the log of a service is that in the logs of several containers."""
    return position.startswith("{")


def lines_of_several(client: Any, found: Sequence[ContainerSnapshot], position: str) -> tuple[list[str], str]:
    """Return the lines of several containers after a position, and the position after them. Blocks.

    Such a position is one for each container. Raises BackendError where the engine gives no log.
    """
    before: dict[str, str] = json.loads(position) if is_of_several(position) else {}
    lines: list[str] = []
    after = dict(before)
    for one in found:
        since = before.get(one.id, "") if is_of_several(position) else position
        told, after[one.id] = lines_since(client, one.id, since)
        lines += told
    return lines, json.dumps(after)


def write_logs(client: Any, project: str, folder: Path) -> None:
    """Write the log of every service of a project into a folder. Blocks. What the engine does not give is left out."""
    import docker.errors
    import requests

    def write(pair: tuple[str, ContainerSnapshot]) -> None:
        name, one = pair
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException, OSError):
            log_file(folder, name).write_bytes(client.api.logs(one.id, tail=MOST_LINES))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(write, named(containers_of(client, project)).items()))


def log_file(folder: Path, name: str) -> Path:
    """Return the file of the log of a service, or of one of its replicas."""
    service, number = replica_of(name)
    return folder / (f"{service}.log" if number is None else f"{service}.replica-{number}.log")


def log_files(folder: Path, name: str) -> list[Path]:
    """Return the files of the logs of a service that are there: those of all its replicas, or of the one named."""
    service, number = replica_of(name)
    more = sorted(folder.glob(f"{glob.escape(service)}.replica-*.log")) if number is None else []
    return [path for path in (log_file(folder, name), *more) if path.exists()]
