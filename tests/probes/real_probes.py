"""Probes read as a run reads them: from their description, through the table, from real servers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import FakeBackend

from harness.journal.clock import Clock
from harness.model.errors import HarnessError
from harness.model.eventtime import EventClock
from harness.model.probekinds import ProbeSpec
from harness.model.readings import Reading
from harness.model.stack import ServiceSpec, StackDescription
from harness.probes.polled import pollers


def stack_of(folder: Path, probes: Mapping[str, Any], *services: str) -> StackDescription:
    """Describe a stack with these probes; every service is on port 1, wherever the backend then finds it."""
    return StackDescription(
        schema=1,
        name="small",
        file=str(folder / "compose.yaml"),
        services={name: ServiceSpec(name=name, index=k, node="a", port=1) for k, name in enumerate(services)},
        probes={name: ProbeSpec.model_validate(spec) for name, spec in probes.items()},
    )


class Probing:
    """The probes of a stack, ready to be read again and again."""

    def __init__(
        self,
        folder: Path,
        probes: Mapping[str, Any],
        addresses: Mapping[str, str] | None = None,
        *,
        backend: FakeBackend | None = None,
        events: EventClock | None = None,
        kinds: Any = None,
    ) -> None:
        self.backend = backend or FakeBackend(addresses=dict(addresses or {}))
        self.stack = stack_of(folder, probes, *self.backend.addresses)
        self.told: list[Reading] = []
        self._events = events
        self._kinds = kinds

    async def __aenter__(self) -> Probing:
        self._session = aiohttp.ClientSession()
        clock = Clock()
        try:
            self.pollers = pollers(
                self.stack, self.backend, self._session, clock, self.told.append, self._events, self._kinds
            )
        except HarnessError:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for poller in self.pollers:
            await poller.close()
        await self._session.close()

    async def once(self) -> dict[str, Reading]:
        """Read every probe once."""
        self.told.clear()
        for poller in self.pollers:
            await poller.once(0.0)
        return {reading.probe: reading for reading in self.told}


async def read(
    folder: Path, addresses: Mapping[str, str] | None = None, /, events: EventClock | None = None, **probes: Any
) -> dict[str, Reading]:
    """Read probes once each."""
    async with Probing(folder, probes, addresses, events=events) as probing:
        return await probing.once()
