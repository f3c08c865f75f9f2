"""The logs of a project's containers, written down before they go."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.backends.compose.containers_of import Seen, containers_of

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


def write_logs(client: Any, project: str, folder: Path) -> None:
    """Write the log of every service of a project into a folder. Blocks. What the engine does not give is left out."""
    import docker.errors
    import requests

    def write(one: Seen) -> None:
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException, OSError):
            (folder / f"{one.service}.log").write_bytes(client.api.logs(one.id, tail=MOST_LINES))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(write, containers_of(client, project)))
