"""Why a stack cannot publish a port: which stack, container or process has it, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from harness.backends.compose.labels import FOLDER, OWNER, PROJECT, RUN, kept
from harness.backends.listening import listening_process
from harness.model.errors import BackendError

PORT_TAKEN = re.compile(r"port is already allocated|address already in use|bind for .* failed", re.IGNORECASE)
_NAMED_PORT = re.compile(r":(\d{1,5})\b")


def port_taken(client: Any, output: str, services: Mapping[str, Any], near: bool) -> BackendError | None:
    """Return what to say of a start that failed because of a port that one of these services publishes itself.

    None where the failure is another one, or about a port that the harness chose: another choice mends that. `near`:
    whether the engine's ports are this machine's. Blocks.
    """
    lines = [line for line in output.splitlines() if PORT_TAKEN.search(line)]
    named = {int(port) for line in lines for port in _NAMED_PORT.findall(line)}
    for service, body in services.items():
        for port in sorted(named & set(_published(body.get("ports") or ()))):
            holder, remedy = _holder(client, port, near=near)
            return BackendError(
                f"port {port}, which the service {service!r} publishes, is taken by {holder}",
                remedy=f"{remedy}, or publish another port under `ports` of {service!r}",
            )
    return None


def _holder(client: Any, port: int, *, near: bool) -> tuple[str, str]:
    """Return who has a port, and how it is given back."""
    for one in client.api.containers():
        if port in {published.get("PublicPort") for published in one.get("Ports") or ()}:
            return _container(str(one["Names"][0]).strip("/"), one["Labels"] or {})
    process = listening_process(port) if near else None
    if process is not None:
        return process, "stop that program"
    where = "this machine" if near else "the engine's machine"
    return f"a program on {where}", f"stop it: `ss -ltnp 'sport = :{port}'` there names it to an administrator"


def _container(name: str, labels: Mapping[str, str]) -> tuple[str, str]:
    run, project = labels.get(RUN), labels.get(PROJECT)
    if run is not None:
        by = f"`harness up` started in {labels.get(FOLDER)}" if kept(labels.get(OWNER, "")) else "a run started"
        return f"the stack {run!r} that {by} (container {name!r})", f"`harness down {run}` stops it"
    if project is not None:
        return (
            f"the container {name!r} of the compose project {project!r}",
            f"`docker compose -p {project} down` stops it",
        )
    return f"the container {name!r}", f"`docker stop {name}` stops it"


def _published(ports: Collection[Any]) -> list[int]:
    """Return the ports of the host in `ports` of a service, those of ranges too."""
    found: list[int] = []
    for entry in ports:
        if isinstance(entry, Mapping):
            text = str(entry.get("published") or "")
        else:  # [[address:]host:]container[/protocol]
            outside, colon, _ = str(entry).partition("/")[0].rpartition(":")
            text = outside.rpartition(":")[2] if colon else ""
        first, _, last = text.partition("-")
        if first.isdigit() and (last or first).isdigit():
            found += range(int(first), min(int(last or first), 65535) + 1)
    return found
