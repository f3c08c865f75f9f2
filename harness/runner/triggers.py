"""When a fault of the timeline begins: at a time after the gate, or after something that was seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.journal.writer import JournalWriter
from harness.model.scenario import After, FaultStep
from harness.runner.live import Live

EVERY_S = 0.02


async def wait_for_start(
    step: FaultStep, gate_s: float, live: Live, journal: JournalWriter, settled_s: Callable[[], float]
) -> str | None:
    """Wait until the step is due. Returns why it never will be, None when it is."""
    if step.at is not None:
        await asyncio.sleep(max(0.0, gate_s + step.at - journal.now_s()))
        return None
    assert step.after is not None
    deadline_s = journal.now_s() + step.after.timeout
    while not _happened(step.after, live, settled_s):
        if journal.now_s() > deadline_s:
            return f"what it waits for did not happen within {step.after.timeout:g} s"
        await asyncio.sleep(EVERY_S)
    return None


def _happened(after: After, live: Live, settled_s: Callable[[], float]) -> bool:
    if after.alert is not None:
        return bool(live.firing(after.alert, {}))
    if after.probe is not None:
        return live.point(after.probe, settled_s()).good is True
    fault, _, stage = str(after.event).rpartition(".")
    return any(key == (fault, stage) for key in live.stages)
