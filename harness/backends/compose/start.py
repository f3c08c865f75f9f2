"""One attempt to start a stack.

It chooses places, writes the run's compose file, then starts links first and services after.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.backends.compose import proxies
from harness.backends.compose.engine import Engine
from harness.backends.compose.layout import (
    API_PORT,
    MOST_SERVICES,
    ComposeAddresses,
    Layout,
    boxes_for,
    fixed_addresses,
    free_blocks,
    host_ports,
    project_name,
)
from harness.backends.compose.project import has_address, networks_of, own_networks
from harness.backends.compose.readiness import compose_up
from harness.backends.compose.snapshots import ContainerSnapshot, containers_of, tail
from harness.backends.start_limits import LOG_LINES
from harness.model.backend import LinkEndpoint, StackPlan
from harness.model.errors import BackendError

FILE = "compose.run.yaml"


def lay_out(engine: Engine, plan: StackPlan, document: dict[str, Any], project: str | None = None) -> Layout:
    """Choose everything's place, and a name for the project where none is given. Blocks. Raises BackendError."""
    chance = random.SystemRandom()
    description, services = plan.description, document["services"]
    if len(services) > MOST_SERVICES:
        raise BackendError(f"{len(services)} services are too many; the most is {MOST_SERVICES}")
    own, foreign = own_networks(document)
    boxes = boxes_for(description, plan.links)
    taken = [
        str(config["Subnet"])
        for network in engine.client.api.networks()
        for config in (network.get("IPAM") or {}).get("Config") or []
        if config.get("Subnet")
    ]
    subnets = dict(zip(own, free_blocks(len(own), taken, chance), strict=True))
    pinned = {name: networks_of(body) for name, body in services.items() if has_address(body)}
    addresses = fixed_addresses(description, pinned, boxes, subnets, foreign)
    published = {}
    replicated = {name: spec.replicas for name, spec in description.services.items() if spec.replicas != 1}
    by_engine: list[tuple[str, int]] = []
    if not engine.reached_directly:
        wanted = [(name, port) for name, service in description.services.items() for port in service.ports]
        by_engine = [pair for pair in wanted if pair[0] in replicated]
        wanted = [pair for pair in wanted if pair[0] not in replicated]
        for box in boxes:
            ports = sorted(port for ports in box.links.values() for port in ports)
            wanted += [(box.name, port) for port in (API_PORT, *ports)]
        published = host_ports(wanted, chance)
    return Layout(
        project or project_name(description.name, chance),
        subnets,
        addresses,
        boxes,
        published,
        tuple(by_engine),
        replicated=replicated,
    )


class Start:
    """Runs the compose command on the file of one run."""

    def __init__(
        self,
        engine: Engine,
        plan: StackPlan,
        layout: Layout,
        document: dict[str, Any],
        folder: Path,
        token: str | None = None,
    ) -> None:
        """Write the file into the run's folder; relative paths in it start at `folder`.

        `token`: what the API of the fault proxies asks for.
        """
        self._engine = engine
        self._description = plan.description
        self._layout = layout
        self._folder = str(folder)
        self._token = token
        self._within_s = plan.description.compose.ready_within_s
        self._file = (plan.run_dir / FILE).absolute()
        # JSON is YAML too, and leaves no doubt about what is a text. Settings may hold passwords.
        try:
            self._file.touch(mode=0o600)
            self._file.write_text(json.dumps(document, indent=1), encoding="utf-8")
        except OSError as error:
            what = f"the stack's compose file cannot be written: {error.strerror}"
            raise BackendError(what, file=str(self._file), remedy="choose a place with room with --reports") from error

    def forget(self) -> None:
        """Remove the file: a run's folder is published, and the file holds settings that may be secret."""
        self._file.unlink(missing_ok=True)

    async def links(self, places: ComposeAddresses) -> dict[str, LinkEndpoint]:
        """Start the proxies and make the links before consumers start. Raises BackendError or RetryableStartError."""
        boxes = {box.name: box for box in self._layout.boxes}
        if not boxes:
            return {}
        await self._compose("up", "--no-start", "--no-build", *boxes)
        api = self._engine.client.api

        def begin(one: ContainerSnapshot) -> None:
            api.put_archive(one.id, "/", proxies.archive(boxes[one.service]))
            api.start(one.id)

        containers = [one for one in await self._seen() if one.service in boxes]
        await asyncio.gather(*(asyncio.to_thread(begin, one) for one in containers))
        reached = {name: places.place(name, API_PORT) for name in boxes}
        try:
            await proxies.links_made(self._layout, reached, self._token)
        except BackendError as error:
            raise BackendError(error.message + await self._logs(list(boxes)), remedy=error.remedy) from error
        return proxies.endpoints(self._layout, reached, dict.fromkeys(boxes, self._token))

    async def services(self, tail: Callable[[str, int], list[str]]) -> None:
        """Start the rest. Raises RetryableStartError, or BackendError with the log of a service that failed."""
        try:
            # Docker Compose 1 takes the number of replicas from nowhere else.
            scales = (("--scale", f"{name}={count}") for name, count in self._layout.replicated.items())
            await self._compose("up", "-d", "--no-build", *itertools.chain(*scales))
        except BackendError as error:
            raise await self._explained(error, tail) from None

    async def _compose(self, *words: str) -> None:
        settings = {proxies.TOKEN: self._token} if self._token is not None else {}
        command = self._engine.run_compose(
            self._layout.project, str(self._file), words, self._within_s, self._folder, settings
        )
        await compose_up(command, self._within_s)

    async def _seen(self) -> list[ContainerSnapshot]:
        return await asyncio.to_thread(containers_of, self._engine.client, self._layout.project)

    async def _logs(self, boxes: list[str]) -> str:
        """Return the last log lines of the fault proxies, to be added to a message."""
        client, project = self._engine.client, self._layout.project
        lines = [line for box in boxes for line in await asyncio.to_thread(tail, client, project, box, LOG_LINES)]
        return "".join(["; its last log lines:", *(f"\n    {line}" for line in lines[-LOG_LINES:])]) if lines else ""

    async def _explained(self, error: BackendError, tail: Callable[[str, int], list[str]]) -> BackendError:
        """Add the last log lines of the first service that did not come up to compose's own words."""
        for one in await self._seen():
            bad = one.state in ("exited", "dead", "restarting") and one.exit_code not in (0, None)
            if one.service in self._description.services and (bad or one.health == "unhealthy"):
                how = f"exited with code {one.exit_code}" if bad else "is unhealthy by its own health check"
                lines = await asyncio.to_thread(tail, one.service, LOG_LINES)
                reply = "\n".join(lines) or "it wrote no log"
                return BackendError(f"the service {one.service!r} {how}; its last log lines:\n{reply}")
        return error
