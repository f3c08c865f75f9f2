"""The logs of a project's containers, written down before they go."""

from __future__ import annotations

import contextlib
import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.backends.compose.containers_of import ContainerSnapshot, containers_of
from harness.model.errors import BackendError

MOST_LINES = 20000
AT_ONCE = 8


def tail(client: Any, project: str, service: str, lines: int) -> list[str]:
    """Return the last log lines of a service of a project. Blocks; none where the engine gives none."""
    import docker.errors
    import requests

    try:
        found = [one for one in containers_of(client, project) if one.service == service]
        raw: bytes = client.api.logs(found[0].id, tail=lines) if found and lines > 0 else b""
    except (docker.errors.DockerException, requests.RequestException):
        return []
    return raw.decode("utf-8", "replace").splitlines()[-lines:] if raw else []


BEGINNING = "1970-01-01T00:00:00.000000000Z"


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


def write_logs(client: Any, project: str, folder: Path) -> None:
    """Write the log of every service of a project into a folder. Blocks. What the engine does not give is left out."""
    import docker.errors
    import requests

    def write(one: ContainerSnapshot) -> None:
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException, OSError):
            (folder / f"{one.service}.log").write_bytes(client.api.logs(one.id, tail=MOST_LINES))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(write, containers_of(client, project)))
