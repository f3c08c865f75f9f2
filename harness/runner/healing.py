"""Heals what runs that were cut off left behind, from their journals alone.

A local stack dies with its run and takes every fault with it. A stack of containers that the run owned is removed from
the engine. In an attached stack the faults are reverted one by one, each from its undo, and each is tried even if
others fail.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.description.stackfile import resolve_stack
from harness.faults.command import KIND as COMMAND
from harness.faults.command import is_gone, take_out
from harness.faults.installed import Faults
from harness.journal.files import read
from harness.journal.records import Journal
from harness.model.backend import StackPlan
from harness.model.errors import HarnessError
from harness.model.faultstep import FaultStep
from harness.model.readings import FaultSeen, StackUp, Undo
from harness.seams import Seams

REVERT_S = 60.0


def heal(runs: Sequence[Path]) -> list[str]:
    """Heal what these runs left behind. Returns what could not be healed."""
    left = []
    for run in runs:
        try:
            journal = read(run, damaged=True)
            if journal.closed is None:
                left += [f"{run}: {text}" for text in _heal(journal)]
        except HarnessError as error:
            left.append(f"{run}: {error}")
    return left


def _heal(journal: Journal) -> list[str]:
    # The effects of commands may lie outside of the stack, and do not die with it.
    return asyncio.run(_revert_commands(journal)) + _heal_stack(journal)


def _heal_stack(journal: Journal) -> list[str]:
    if journal.plan.backend == "local":
        return []
    up = _stack_up(journal)
    if up is None or up.project is None:  # it was cut off before its stack was up; the labels name what there may be
        from harness.runner.up_down import down_abandoned

        down_abandoned()
        return []
    if up.owned:
        from harness.backends.compose.engine import client
        from harness.backends.compose.leftovers import remove_run

        engine = client()
        try:
            remove_run(engine, up.project)
        finally:
            engine.close()
        return []
    return asyncio.run(_revert_all(journal, up.project))


def _stack_up(journal: Journal) -> StackUp | None:
    """Return the record of the stack; None where the run was killed before the stack was up."""
    found = [up for _, up in journal.of(StackUp)]
    return found[-1] if found else None


def _still_active(journal: Journal) -> list[Undo]:
    reverted = {seen.fault for _, seen in journal.of(FaultSeen) if seen.stage == "reverted"}
    return [undo for _, undo in journal.of(Undo) if undo.fault not in reverted]


async def _revert_commands(journal: Journal) -> list[str]:
    """Revert every fault by commands that may be active. Returns what could not be reverted."""
    left = []
    for undo in reversed(_still_active(journal)):
        if undo.fault_kind != COMMAND.kind:
            continue
        try:
            await take_out(undo.data)
            confirmation = await is_gone(undo.data)
        except HarnessError as error:
            left.append(f"the fault {undo.fault!r}: {error}")
        else:
            if confirmation.landed is not False:
                left.append(f"the fault {undo.fault!r} is still active: {confirmation.evidence}")
    return left


async def _revert_all(journal: Journal, project: str) -> list[str]:
    """Revert every fault that may be active in an attached stack. Returns what could not be reverted."""
    from harness.backends.compose.attached import AttachedBackend

    undos = [undo for undo in _still_active(journal) if undo.fault_kind != COMMAND.kind]
    if not undos:
        return []
    stack = resolve_stack(journal.plan.scenario.stack)
    left = []
    with tempfile.TemporaryDirectory() as folder:
        async with AttachedBackend(stack, project) as backend:
            # The stack may be unhealthy because of the fault; it must be found all the same.
            await backend.find(StackPlan(stack, Path(folder), journal.plan.links, seed=journal.plan.seed))
            seams = Seams(backend, stack)
            try:
                for undo in reversed(undos):
                    problem = await _revert(undo, journal, seams)
                    if problem is not None:
                        left.append(problem)
            finally:
                await seams.close()
    return left


async def _revert(undo: Undo, journal: Journal, seams: Seams) -> str | None:
    step = next((s for s in journal.plan.scenario.timeline if s.id == undo.fault), None)
    if step is None:
        return f"the fault {undo.fault!r} is not in the plan of its journal"
    try:
        fault = Faults()[undo.fault_kind].make(FaultStep.model_validate(step), seams, journal.plan.seed)
        async with asyncio.timeout(REVERT_S):
            await fault.revert(undo.data)
            confirmation = await fault.absent()
    except TimeoutError:
        return f"the fault {undo.fault!r} could not be reverted within {REVERT_S:g} s"
    except HarnessError as error:
        return f"the fault {undo.fault!r}: {error}"
    return (
        None if confirmation.landed is False else f"the fault {undo.fault!r} is still active: {confirmation.evidence}"
    )
