"""When probes and alert sources are polled: on a fixed grid of moments of the run's clock.

A poll knows when it was planned, began and ended. Each has a deadline, and one that takes longer makes the next wait
for the next free moment of the grid, so polls do not pile up.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from harness.journal.clock import Clock

EVERY_S = 0.1
DEADLINE_S = 1.0


async def poll(
    clock: Clock, once: Callable[[float], Awaitable[None]], every_s: float = EVERY_S, offset_s: float = 0.0
) -> None:
    """Call `once(planned_s)` on a grid until cancelled. `offset_s` keeps several pollers apart."""
    start_s = clock.now_s() + offset_s
    k = 0
    while True:
        planned_s = start_s + k * every_s
        wait_s = planned_s - clock.now_s()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        await once(planned_s)
        # The next moment of the grid that is still ahead; one that was missed while waiting is not made up for.
        k = max(k + 1, math.ceil((clock.now_s() - start_s) / every_s - 1e-9))
