"""The stack's event clock: what its page says, read once at the start of a run and by `doctor`."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp

from harness.model.backend import Backend
from harness.model.errors import ProbeError
from harness.model.eventtime import EventClock
from harness.model.stack import StackDescription
from harness.probes.http import get
from harness.probes.reader import NoAnswerError

EVERY_S = 0.03


async def read_event_clock(stack: StackDescription, backend: Backend, within_s: float) -> EventClock | None:
    """Return the event clock, None for a stack without one. Raises ProbeError if it cannot be read in time."""
    if stack.event_clock is None:
        return None
    url = backend.resolve(stack.event_clock.url)
    deadline_s = time.monotonic() + within_s
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                return EventClock.from_json(json.loads(await get(session, url)))
            except NoAnswerError as error:
                why = str(error)
            except (ValueError, KeyError, TypeError) as error:
                why = f"not in the documented format: {type(error).__name__}: {error}"
            if time.monotonic() > deadline_s:
                raise ProbeError(f"the stack's event clock cannot be read: {why}")
            await asyncio.sleep(EVERY_S)
