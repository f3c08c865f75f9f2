"""Waiting for what a fault does, without sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from harness.model.fault import Confirmation, Fault

NOW_EVENT = 1_371_000_000
SEED = 41


async def until(condition: Callable[[], Awaitable[bool]], what: str, within_s: float = 5.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.005)


async def lands(fault: Fault, within_s: float = 8.0) -> Confirmation:
    """Return the first landing that is one."""
    deadline = time.monotonic() + within_s
    while not (landing := await fault.confirm()).landed:
        assert time.monotonic() < deadline, landing
        await asyncio.sleep(0.01)
    return landing
