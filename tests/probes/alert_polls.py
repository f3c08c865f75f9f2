"""An alert source of a stack, polled as a run polls it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1] / "seams"))

from real_servers import FakeBackend

from harness.journal.clock import Clock
from harness.model.alertsources import AlertSource
from harness.model.readings import AlertsSeen
from harness.model.stack import ServiceSpec, StackDescription
from harness.probes.alert_sources import source_pollers


class Polls:
    """One source; every poll is kept."""

    def __init__(self, source: dict[str, Any], addresses: dict[str, str] | None = None) -> None:
        self.seen: list[AlertsSeen] = []
        self.clock = Clock()
        self._backend = FakeBackend(addresses=addresses or {})
        services = {n: ServiceSpec(name=n, index=k, node="a", port=1) for k, n in enumerate(self._backend.addresses)}
        sources = (AlertSource.model_validate(source),)
        self._stack = StackDescription(schema=1, name="s", file="f", services=services, alert_sources=sources)

    async def __aenter__(self) -> Polls:
        self._session = aiohttp.ClientSession()
        (self.poller,) = source_pollers(self._stack, self._backend, self._session, self.clock, self.seen.append)
        await self.poller.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.poller.close()
        await self._session.close()

    async def once(self) -> AlertsSeen:
        """Poll once."""
        await self.poller.once(self.clock.now_s())
        return self.seen[-1]

    async def until(self, condition: Callable[[AlertsSeen], object], within_s: float = 30.0) -> AlertsSeen:
        """Poll until one poll is as wanted."""
        import asyncio

        deadline_s = self.clock.now_s() + within_s
        while not condition(seen := await self.once()):
            assert self.clock.now_s() < deadline_s, seen
            await asyncio.sleep(0.05)
        return seen
