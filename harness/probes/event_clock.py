"""The clocks that ages are read from: the stack's event clock, and steps of the wall clock that it goes by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import aiohttp

from harness.journal.clock import Clock
from harness.model.backend import Backend
from harness.model.errors import ProbeError
from harness.model.eventtime import EventClock
from harness.model.readings import Gap
from harness.model.stack import StackDescription
from harness.model.units import Unit
from harness.probes.http import get
from harness.probes.open_loop import FOREVER_S
from harness.probes.reader import NoAnswerError
from harness.probes.strict_json import read_json

EVERY_S = 0.03
STEP_S = 0.25
"""By how much the wall clock may leave the monotonic one between two looks; setting it right by slewing takes less."""
WORKLOAD = "workload"


async def read_event_clock(stack: StackDescription, backend: Backend, within_s: float) -> EventClock | None:
    """Return the event clock, None for a stack without one. Raises ProbeError if it cannot be read in time."""
    if stack.event_clock is None:
        return None
    url = backend.resolve(stack.event_clock.url)
    deadline_s = time.monotonic() + within_s
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                return EventClock.from_json(read_json(await get(session, url)))
            except NoAnswerError as error:
                why = str(error)
            except (ValueError, KeyError, TypeError) as error:
                why = f"not in the documented format: {type(error).__name__}: {error}"
            if time.monotonic() > deadline_s:
                raise ProbeError(f"the stack's event clock cannot be read: {why}")
            await asyncio.sleep(EVERY_S)


def by_the_clock(stack: StackDescription) -> tuple[str, ...]:
    """Return what is read from the wall clock: the answers of a workload by event time, ages by probes, and the starts
    of alerts that are known by their stamps alone.
    """
    ages = [
        name
        for name, probe in stack.probes.items()
        if probe.unit is Unit.EVENT or getattr(probe.settings, "as_", None) == "age"
    ]
    hooks = [source.name for source in stack.alert_sources if source.kind == "webhook"]
    return (*((WORKLOAD,) if stack.event_clock is not None else ()), *ages, *hooks)


def machine_slept_s() -> float:
    """Return for how long the machine has been suspended since its start; 0 where the platform does not tell.

    The monotonic clock stands meanwhile, and this one does not.
    """
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if boottime is None else time.clock_gettime(boottime) - time.monotonic()


class ClockSteps:
    """Notices that the wall clock was set, or stood while the machine slept: ages are not right from then on."""

    def __init__(
        self,
        clock: Clock,
        record: Callable[[Gap], object],
        probes: Iterable[str],
        slept_s: Callable[[], float] | None = None,
    ) -> None:
        """`slept_s` says for how long the machine has been suspended since its start."""
        self._clock = clock
        self._record = record
        self._probes = tuple(probes)
        self._slept_s = slept_s or machine_slept_s
        self._slept_before_s = self._slept_s()
        self._unix_at_zero_s = clock.unix_at_zero_s()
        self._looked_s = clock.now_s()

    def look(self) -> None:
        """Record a gap for everything that is read from the wall clock, if that was set since the last look."""
        now_s, unix_at_zero_s = self._clock.now_s(), self._clock.unix_at_zero_s()
        by_s = unix_at_zero_s - self._unix_at_zero_s
        slept_s = self._slept_s()
        asleep_s, self._slept_before_s = slept_s - self._slept_before_s, slept_s
        if abs(by_s) > STEP_S:
            how = f"the wall clock was set by {by_s:+.1f} s, and this is read from it"
            if abs(by_s - asleep_s) <= STEP_S:
                how = f"the machine was suspended for {asleep_s:.1f} s, and this is read from its wall clock"
            for probe in self._probes:
                self._record(Gap(probe=probe, from_s=self._looked_s, to_s=FOREVER_S, why=how))
        self._unix_at_zero_s, self._looked_s = unix_at_zero_s, now_s
