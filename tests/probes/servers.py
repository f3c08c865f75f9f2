"""A small HTTP server that answers as the test tells it to, and a workload to send to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from harness.model.eventtime import EventClock
from harness.probes.workload_file import FeatureSpec, Request, Truth, Workload

START = 1_371_000_000
LEAD_S = 0.25
BODY = {"e": "JFK", "distance": 800}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve every path by one handler; gives the URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


def event_clock() -> EventClock:
    """A clock that stands at START now and goes with the wall."""
    return EventClock(START, time.time(), 1000.0)


def workload(count: int, every_s: float = 0.02) -> Workload:
    """Requests on a grid, beginning a little after now, on a busy machine too."""
    truth = Truth()
    truth.add("JFK", "delay", START - 7200, {"delay": 1.0})
    truth.add("JFK", "delay", START - 3600, {"delay": 2.0})
    requests = tuple(
        Request(
            f"r{k}", START + int((LEAD_S + k * every_s) * 1000), {"id": f"r{k}", "e": "JFK", "distance": 800}, 1, None
        )
        for k in range(count)
    )
    return Workload(START, START + 10**6, "e", {"delay": FeatureSpec("delay")}, truth, requests)


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
