"""Every polled probe of a stack, ready to be read: pages that several probes share, and each other probe by itself.

Whatever comes of a reading is one, with a reason where there is no number. Texts that somebody else wrote are kept from
telling a secret.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import aiohttp

from harness.journal.clock import Clock
from harness.model.backend import Backend
from harness.model.eventtime import EventClock
from harness.model.httpprobes import JsonProbe, MetricProbe
from harness.model.probekinds import ProbeSpec
from harness.model.readings import Gap, Reading
from harness.model.stack import StackDescription
from harness.probes.gauges import Gauges
from harness.probes.http import access_headers
from harness.probes.reader import (
    NoAnswerError,
    NotAskedError,
    OldSampleError,
    ProbeContext,
    ProbeKind,
    Reader,
    Statuses,
    failing,
    not_ahead,
    short_reason,
)
from harness.probes.table import reader_for

GRACE_S = 0.1
Record = Callable[[Reading | Gap], object]


class Poller(Protocol):
    """Something that is polled on a grid of its own."""

    name: str
    every_s: float

    async def once(self, planned_s: float) -> None:
        """Read, and record what came of it."""

    async def close(self) -> None:
        """Give up connections."""


class Single:
    """One probe with its reader."""

    def __init__(self, name: str, spec: ProbeSpec, reader: Reader, clock: Clock, record: Record) -> None:
        self.name = name
        self.every_s = spec.every_s
        self._deadline_s = spec.deadline_s
        # A reader may keep the deadline of each answer itself, and then knows best what a late one means.
        self._limit_s = None if getattr(reader, "keeps_deadlines", False) else spec.deadline_s + GRACE_S
        self._reader = reader
        self._clock = clock
        self._record = record

    async def once(self, planned_s: float) -> None:
        """Record one reading."""
        asked_s = self._clock.now_s()
        try:
            value, why = await self._read()
        except (NotAskedError, OldSampleError) as error:
            self._record(Gap(probe=self.name, from_s=asked_s, to_s=self._clock.now_s(), why=short_reason(str(error))))
            return
        self._record(
            Reading(
                probe=self.name,
                planned_s=planned_s,
                asked_s=asked_s,
                answered_s=self._clock.now_s(),
                value=value,
                down=why,
            )
        )

    async def _read(self) -> tuple[float | None, str | None]:
        try:
            async with asyncio.timeout(self._limit_s):
                value = await self._reader.read()
        except TimeoutError:
            return None, f"no answer within {self._deadline_s:g} s"
        except (NotAskedError, OldSampleError):
            raise
        except NoAnswerError as error:
            return None, short_reason(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a client or somebody else's reader raises is a reading
            meant = failing(error)
            if isinstance(meant, NotAskedError):
                raise meant from None
            return None, short_reason(str(meant))
        return (value, None) if math.isfinite(value) else (None, f"the reading is {value}")

    async def close(self) -> None:
        """Give up its connections."""
        await self._reader.close()


class Page:
    """A page that several probes share."""

    def __init__(self, url: str, every_s: float, gauges: Gauges) -> None:
        self.name = url
        self.every_s = every_s
        self._gauges = gauges

    async def once(self, planned_s: float) -> None:
        """Record one reading of each."""
        await self._gauges.once(planned_s)

    async def close(self) -> None:
        """Nothing of its own is open."""


class ProbeGroup:
    """Probes that are read at the same moment, because they share one answer."""

    def __init__(self, name: str, every_s: float, singles: Sequence[Single]) -> None:
        self.name = name
        self.every_s = every_s
        self._singles = singles

    async def once(self, planned_s: float) -> None:
        """Record one reading of each."""
        await asyncio.gather(*(single.once(planned_s) for single in self._singles))

    async def close(self) -> None:
        """Give up their connections."""
        for single in self._singles:
            await single.close()


def pollers(
    stack: StackDescription,
    backend: Backend,
    session: aiohttp.ClientSession,
    clock: Clock,
    record: Record,
    events: EventClock | None = None,
    kinds: Mapping[str, ProbeKind] | None = None,
) -> list[Poller]:
    """Return what polls the probes of a stack, in its order. Raises HarnessError where one cannot be made ready."""

    def event_age(stamp: float) -> float:
        assert events is not None
        return not_ahead(events.age_s(events.event_at(time.time()), stamp), events.speed)

    age_of = event_age if events is not None else None
    found: list[Poller] = []
    pages: dict[tuple[object, ...], dict[str, ProbeSpec]] = {}
    for name, spec in stack.probes.items():
        if isinstance(spec.settings, JsonProbe | MetricProbe):
            access = tuple(sorted(access_headers(spec.settings).items()))
            pages.setdefault((spec.settings.url, access, spec.every_s, spec.deadline_s), {})[name] = spec
    for probes in pages.values():
        spec = next(iter(probes.values()))
        assert isinstance(spec.settings, JsonProbe | MetricProbe)
        around = ProbeContext(backend, stack, session, spec.deadline_s, age_of)
        url, headers = around.reachable(spec.settings.url), access_headers(spec.settings)
        gauges = Gauges(session, url, probes, clock, age_of, record, headers, spec.deadline_s)
        found.append(Page(spec.settings.url, spec.every_s, gauges))
    states: dict[float, list[Single]] = {}
    shared = Statuses(backend)
    for name, spec in stack.probes.items():
        if isinstance(spec.settings, JsonProbe | MetricProbe):
            continue
        around = ProbeContext(backend, stack, session, spec.deadline_s, age_of, shared)
        single = Single(name, spec, reader_for(spec, around, kinds), clock, record)
        if spec.kind == "container":
            states.setdefault(spec.every_s, []).append(single)
        else:
            found.append(single)
    found.extend(ProbeGroup("containers", every_s, singles) for every_s, singles in states.items())
    return found
