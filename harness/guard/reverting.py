"""Takes one fault out by its undo, and measures that it is gone.

What acts in the stack needs its handles; commands need nothing, for their undo has all that they need.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from harness.faults.command import KIND as COMMAND
from harness.faults.command import is_gone, take_out
from harness.faults.installed import Faults
from harness.model.errors import FaultError, HarnessError
from harness.model.faultstep import FaultStep
from harness.model.undo import FaultUndo
from harness.seams import Seams

REVERT_S = 60.0
"""How long one revert may take, unless its kind has a longer limit."""
ABSENT_S = 10.0
"""How long after its revert a fault may still be measured."""
EVERY_S = 0.1


async def taken_out(undo: FaultUndo, seams: Seams | None, seed: int) -> dict[str, Any]:
    """Take a fault out and return the evidence that it is gone. Raises FaultError, BackendError.

    `seams` may be missing for commands only.
    """
    step = undo.step
    if step.fault == COMMAND.kind:
        return await _bounded(step, _command_out(undo))
    if seams is None:
        raise FaultError("its stack cannot be reached")
    return await _bounded(step, _fault_out(undo, seams, seed))


async def command_gone(undo: FaultUndo) -> dict[str, Any]:
    """Return the evidence that a fault by commands is still gone. Raises FaultError.

    There is none for a fault in the stack: some kinds measure against the state that they found, which an older fault
    had made and which is gone with that one.
    """
    return await _bounded(undo.step, _measured_gone(undo, "it is active again"))


def is_command(undo: FaultUndo) -> bool:
    """Whether the fault acts by commands, perhaps outside of the stack."""
    return undo.step.fault == COMMAND.kind


def in_flight_of(undo: FaultUndo) -> float:
    """Return how many seconds a call of a dead owner on a fault may still be in flight."""
    try:
        return Faults()[undo.step.fault].may_be_in_flight_s(undo.step)
    except Exception:  # noqa: BLE001 - of a package that is not here, or of another release: its revert will say so
        return 0.0


async def _bounded(step: FaultStep, work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    limit_s = REVERT_S + ABSENT_S
    try:
        limit_s = max(limit_s, 2 * (Faults()[step.fault].call_limit_s or 0.0))
        async with asyncio.timeout(limit_s):
            return await work
    except TimeoutError:
        raise FaultError(f"it could not be taken out within {limit_s:g} s") from None
    except HarnessError:
        raise
    except Exception as error:  # a bug in a fault, perhaps of a third party, must not keep the others in
        raise FaultError(f"its revert failed: {type(error).__name__}: {error}") from error


async def _command_out(undo: FaultUndo) -> dict[str, Any]:
    await take_out(undo.data)
    return await _measured_gone(undo, "it is still active after its revert")


async def _measured_gone(undo: FaultUndo, otherwise: str) -> dict[str, Any]:
    confirmation = await is_gone(undo.data)
    if confirmation.landed is not False:
        raise FaultError(f"{otherwise}: {confirmation.evidence}")
    return confirmation.evidence


async def _fault_out(undo: FaultUndo, seams: Seams, seed: int) -> dict[str, Any]:
    fault = Faults()[undo.step.fault].make(undo.step, seams, seed)
    await fault.revert(undo.data)
    until_s = time.monotonic() + ABSENT_S
    while True:
        confirmation = await fault.absent()
        if confirmation.landed is False:
            return confirmation.evidence
        if time.monotonic() > until_s:
            raise FaultError(f"it is still active after its revert: {confirmation.evidence}")
        await asyncio.sleep(EVERY_S)
