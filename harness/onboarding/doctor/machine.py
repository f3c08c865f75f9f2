"""What a run needs of the machine: the engine, its compose command, disk space, and no leftovers of earlier runs."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.backends.local.startup import LEAST_FREE_BYTES
from harness.backends.local.zygote_handle import zygotes
from harness.onboarding.discovery.engine_view import compose_command
from harness.onboarding.doctor.checks import Finding

ENOUGH_FOR_IMAGES_BYTES = 2 * 1024**3


def check_machine(backend: str) -> list[Finding]:
    """Check what the backend needs. Raises BackendError where there is no engine to be had."""
    return list(_local() if backend == "local" else _engine())


def _local() -> Iterator[Finding]:
    yield _room(Path(tempfile.gettempdir()), LEAST_FREE_BYTES, "set TMPDIR to a place with room")
    running = len(list(zygotes()))
    if running:
        message = f"{running} stack{'s' if running != 1 else ''} running on this machine"
        yield Finding("machine", "other stacks", "note", message, "`harness down --all` stops them, runs included")
    else:
        yield Finding("machine", "other stacks", "ok", "none")


def _engine() -> Iterator[Finding]:
    from harness.backends.compose.engine import connect

    engine = connect()
    try:
        yield Finding("machine", "engine", "ok", f"Docker {engine.version} answers; you may use it")
        command = compose_command()
        message = command[1] if command is not None else " ".join(engine.compose)
        yield Finding("machine", "compose", "ok", message)
        reached = "by their own addresses" if engine.reached_directly else f"by published ports, at {engine.host}"
        yield Finding("machine", "containers", "ok", f"reached {reached}")
        root = Path(str(engine.client.info().get("DockerRootDir") or "/var/lib/docker"))
        if engine.loopback and root.exists():
            yield _room(root, ENOUGH_FOR_IMAGES_BYTES, "`docker system prune` frees what nothing uses")
        yield _leftovers(engine.client)
    finally:
        engine.close()


def _leftovers(client: Any) -> Finding:
    from harness.backends.compose.leftovers import OWNER, RUN, owner_lives

    runs: Counter[str] = Counter()
    for container in client.api.containers(all=True, filters={"label": RUN}):
        labels = container.get("Labels") or {}
        if not owner_lives(str(labels.get(OWNER, ""))):
            runs[str(labels.get(RUN))] += 1
    if not runs:
        return Finding("machine", "leftovers", "ok", "none")
    message = (
        f"{sum(runs.values())} containers of {len(runs)} runs whose harness is gone: {', '.join(sorted(runs)[:3])}"
    )
    return Finding("machine", "leftovers", "wrong", message, "`harness down --all` removes them")


def _room(folder: Path, least_bytes: int, remedy: str) -> Finding:
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("machine", "free space", "note", f"{folder} cannot be looked at: {error.strerror}")
    message = f"{free_bytes / 1e9:.1f} GB are free in {folder}"
    if free_bytes < least_bytes:
        return Finding("machine", "free space", "wrong", message, remedy)
    return Finding("machine", "free space", "ok", message)
