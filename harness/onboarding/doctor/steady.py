"""Waits until a stack that was just started is as a run wants it, so that what is still coming up is not found wrong.

The gate of a run decides: the stack's steady state, its detectors, and the answers to its workload. Then every probe
may take a while to have a value, as one on data has that are only being written.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from harness.journal.files import NAME as JOURNAL
from harness.journal.writer import JournalWriter
from harness.model.backend import Backend
from harness.model.errors import HarnessError, ProbeError
from harness.model.plan import Plan
from harness.model.readings import GateSeen
from harness.model.stack import StackDescription
from harness.onboarding.doctor.checks import Finding
from harness.onboarding.doctor.observing import plan_of
from harness.probes.event_clock import read_event_clock
from harness.probes.request_file import RequestFile
from harness.runner.planning.workloads import places_of, requests_of
from harness.runner.watching.gate import wait_for_steady_state
from harness.runner.watching.live import Live
from harness.runner.watching.watchers import Watchers
from harness.seams import Seams

EVERY_S = 0.1
VALUES_WITHIN_S = 30.0
"""How long after its start a stack is given to have a value for each probe that no steady state rests on."""
T = TypeVar("T")


async def wait_until_steady(stack: StackDescription, backend: Backend, within_s: float, remedy: str) -> Finding:
    """Wait until a stack that was just started holds its steady state; return how long that took, or what did not hold.

    `remedy` says how more time is given to it.
    """
    try:
        gate, waited_s, lacking = await _waited(_to_wait_for(stack), backend, within_s)
    except HarnessError as error:
        return Finding("stack", "steady state", "note", f"could not be waited for: {error}")
    if not gate.met:
        says = f"did not hold within {within_s:g} s: {gate.why}"
        return Finding("stack", "steady state", "wrong", says, f"correct what does not hold, or {remedy}")
    says = f"holds, {waited_s:.1f} s after the start"
    if lacking:
        says = (
            f"holds, {gate.at_s:.1f} s after the start; {waited_s:.0f} s after it, no value yet of {', '.join(lacking)}"
        )
    return Finding("stack", "steady state", "ok", says)


def _to_wait_for(stack: StackDescription) -> StackDescription:
    """Return a stack with as much of its workload as can be sent: a file of requests, again and again."""
    spec = stack.workload
    if spec is None or spec.requests is None:  # what the stack's own command makes is made for a run
        return stack.model_copy(update={"workload": None})
    again = stack.model_copy(update={"workload": spec.model_copy(update={"repeat": True})})
    try:
        requests_of(again)
    except ProbeError:  # all of its requests are due at one moment
        return stack
    return again


async def _waited(stack: StackDescription, backend: Backend, within_s: float) -> tuple[GateSeen, float, list[str]]:
    """Return whether the steady state held, how long was waited, and the probes that have no value yet."""
    workload = await asyncio.to_thread(requests_of, stack) if stack.workload is not None else None
    live = Live()
    with tempfile.TemporaryDirectory(prefix="harness-doctor-") as folder:
        plan = plan_of(stack, within_s)
        journal = JournalWriter(Path(folder) / JOURNAL, plan, live.note)
        try:
            events = await read_event_clock(stack, backend, within_s)
            seams, watchers = Seams(backend, stack, events), Watchers(plan, stack, backend, journal)
            try:
                watchers.start(seams, workload)
                gate = await _while_watched(watchers, _gate(plan, stack, live, watchers, workload))
                if gate.met:
                    await _while_watched(watchers, _values(stack, live, watchers, min(within_s, VALUES_WITHIN_S)))
                return gate, watchers.clock.now_s(), _lacking(stack, live)
            finally:
                await watchers.stop()
                await seams.close()
        finally:
            journal.close()


async def _gate(
    plan: Plan, stack: StackDescription, live: Live, watchers: Watchers, workload: RequestFile | None
) -> GateSeen:
    place_of = places_of(workload, stack)
    return await wait_for_steady_state(plan, stack, live, watchers.clock, watchers.settled_s, place_of)


async def _values(stack: StackDescription, live: Live, watchers: Watchers, within_s: float) -> None:
    while True:
        if not _lacking(stack, live) or watchers.clock.now_s() >= within_s:
            return
        await asyncio.sleep(EVERY_S)


def _lacking(stack: StackDescription, live: Live) -> list[str]:
    """Return the probes whose last reading has no value."""
    read = {name: live.readings.get(name) for name in stack.probes}
    return [name for name, seen in read.items() if seen is None or seen[1].value is None]


async def _while_watched(watchers: Watchers, work: Coroutine[Any, Any, T]) -> T:
    """Do some work, and raise the failure of a watcher at once: without it, nothing would be waited for."""
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=EVERY_S)
            watchers.check()
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])
