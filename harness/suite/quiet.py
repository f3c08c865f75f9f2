"""Waiting for a machine that leaves a run the processors that it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.journal.clock import Clock
from harness.model.machine import SHORT
from harness.model.readings import MachineSeen
from harness.probes.machine import MachineWatcher
from harness.suite.pace import RUN_NEEDS

LOOK_S = 1.0
"""How long a machine is looked at before it is called quiet."""
AT_MOST = 0.25
"""The share of the processors that others may use even where that leaves a run less than it needs."""


def crowded(seen: MachineSeen) -> str | None:
    """Return how a machine leaves a run too little; None where it leaves enough, or nothing is known of it."""
    taken = None if seen.others is None else seen.others + (seen.steal or 0.0)
    if taken is not None and taken > max(seen.processors - RUN_NEEDS, AT_MOST * seen.processors):
        return f"others use {taken:.1f} of {seen.processors:g} processor{'s' if seen.processors != 1 else ''}"
    if seen.memory_free is not None and seen.memory_free < SHORT:
        return f"{seen.memory_free * 100:.0f} % of the memory is free"
    return None


async def look_once() -> MachineSeen:
    """Look at the machine for a second. What this process has started counts as its own."""
    seen: list[MachineSeen] = []
    clock = Clock()
    watcher = MachineWatcher(clock, seen.append)
    await asyncio.sleep(LOOK_S)
    await watcher.once(clock.now_s())
    return seen[0]


async def wait_for_quiet(within_s: float, notify: Callable[[str], None], stopped: Callable[[], bool]) -> None:
    """Wait until the machine has been quiet for a second, at most for so long. `notify` is told of a wait, and its end.

    Returns early once `stopped` says so.
    """
    clock = Clock()
    told = False
    while not stopped():
        why = crowded(await look_once())
        if why is None:
            if told:
                notify("the machine is quiet now")
            return
        if clock.now_s() >= within_s:
            notify(f"the machine is not quiet after {within_s:g} s: {why}; runs may end as unknown")
            return
        if not told:
            notify(f"waiting up to {within_s:g} s for a quiet machine: {why}")
            told = True
