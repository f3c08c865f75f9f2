"""Taking runs off the engine: everything with a run's label, and nothing without it.

A run that was killed leaves its containers, networks and volumes behind; their labels are enough to find them all.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness.backends.compose.engine import engine_errors
from harness.backends.compose.labels import RUN, RUN_ID, STANDS_FOR
from harness.model.errors import BackendError

GRACE_S = 1
WITHIN_S = 25.0
AT_ONCE = 16
PAUSE_S = 0.1
GONE, BUSY = 404, 409


def stand_ins(client: Any, run: str) -> list[str]:
    """Return the names of a run's containers that stand for one of the stack's. Blocks. Raises BackendError."""
    with engine_errors(f"the engine does not tell what {run} has on it"):
        found = client.api.containers(all=True, filters={"label": f"{RUN}={run}"})
    return sorted(str(one["Names"][0]).strip("/") for one in found if STANDS_FOR in one["Labels"])


def labels_of_runs(client: Any) -> dict[str, Mapping[str, str]]:
    """Return every run that has anything on the engine, with its labels. Blocks."""
    labels = [one["Labels"] for one in client.api.containers(all=True, filters={"label": RUN})]
    labels += [one["Labels"] for one in client.api.networks(filters={"label": RUN})]
    labels += [one["Labels"] for one in (client.api.volumes(filters={"label": RUN}).get("Volumes") or [])]
    return {one[RUN]: one for one in labels}


def remove_helpers(client: Any, run: str) -> None:
    """Remove the helper containers of a run, whatever they do. Stand-ins for the stack's containers stay. Blocks.

    Raises BackendError.
    """
    with engine_errors(f"helper containers of {run} could not be removed"):
        found = client.api.containers(all=True, filters={"label": f"{RUN}={run}"})
        helpers = [one["Id"] for one in found if STANDS_FOR not in one["Labels"]]
        _each(helpers, lambda one: _tolerant(client.api.remove_container, one, force=True, v=True))


def projects_of(client: Any, run_id: str) -> set[str]:
    """Return the run labels of what one run has made: at most one, unless its start was repeated. Blocks."""
    mine = {"label": f"{RUN_ID}={run_id}"}
    labels = [one["Labels"] for one in client.api.containers(all=True, filters=mine)]
    labels += [one["Labels"] for one in client.api.networks(filters=mine)]
    labels += [one["Labels"] for one in (client.api.volumes(filters=mine).get("Volumes") or [])]
    return {one[RUN] for one in labels if one.get(RUN)}


def remove_run(client: Any, run: str, before_removal: Callable[[], None] = lambda: None) -> None:
    """Stop and remove all of a run, whatever state it is in. Blocks. Raises BackendError for what could not be removed.

    `before_removal` is called when everything has stopped, and is the last chance to read its logs.
    """
    import docker.errors
    import requests

    deadline_s = time.monotonic() + WITHIN_S
    problem: Exception | None = None
    while True:
        try:
            mine = {"label": f"{RUN}={run}"}
            ids = [one["Id"] for one in client.api.containers(all=True, filters=mine)]
            paused = client.api.containers(filters={**mine, "status": "paused"})
            _each([one["Id"] for one in paused], lambda one: _tolerant(client.api.unpause, one))
            _each(ids, lambda one: _tolerant(client.api.stop, one, timeout=GRACE_S))
            before_removal()
            before_removal = _nothing
            _each(ids, lambda one: _tolerant(client.api.remove_container, one, force=True, v=True))
            _each([n["Id"] for n in client.api.networks(filters=mine)], lambda one: _remove_network(client, one))
            volumes = client.api.volumes(filters=mine).get("Volumes") or []
            _each([v["Name"] for v in volumes], lambda one: _tolerant(client.api.remove_volume, one, force=True))
            if not _left(client, mine):
                return
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            problem = error
        if time.monotonic() > deadline_s:
            what = f"the run {run} could not be taken off the engine" + (f": {problem}" if problem else "")
            raise BackendError(what, remedy=f"`harness down {run}` tries again")
        time.sleep(PAUSE_S)


def _nothing() -> None:
    """The logs have been read."""


def _left(client: Any, mine: dict[str, str]) -> bool:
    return bool(
        client.api.containers(all=True, filters=mine)
        or client.api.networks(filters=mine)
        or client.api.volumes(filters=mine).get("Volumes")
    )


def _each(ids: Iterable[str], act: Callable[[str], None]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(act, ids))


def _tolerant(call: Callable[..., Any], one: str, **options: Any) -> None:
    """Do something to what may be gone, or on its way out, by now."""
    import docker.errors

    try:
        call(one, **options)
    except docker.errors.APIError as error:
        if error.status_code not in (GONE, BUSY):
            raise


def _remove_network(client: Any, one: str) -> None:
    import docker.errors

    with contextlib.suppress(docker.errors.NotFound):
        for container in client.api.inspect_network(one).get("Containers") or {}:
            client.api.disconnect_container_from_network(container, one, force=True)
        _tolerant(client.api.remove_network, one)
