"""The stacks of runs that are healed: found on the engine by what the undo says of them, without a compose file."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.model.backend import StackPlan
from harness.model.errors import BackendError, HarnessError
from harness.model.undo import RunUndo
from harness.seams import Seams

if TYPE_CHECKING:
    from harness.backends.compose.attached import AttachedBackend

REMOVED = "it was removed with all its containers"
ENDED = "its processes ended with their run"
NOBODY_OWNS = (
    "this is a copy, and nobody owns its stack: it was given back since, or the record of its owner was removed from "
    "the engine. Heal from the folder of the run itself; where that is lost, see whether the fault is in"
)


class Reached:
    """The stack of some runs: gone, or there with the handles that reverts need, or out of reach."""

    def __init__(self, gone: str | None = None) -> None:
        self.gone = gone
        """Why nothing of it is left, where that is so."""
        self._seams: dict[int, Seams] = {}
        self._problems: dict[int, str] = {}

    def add(self, run: RunUndo, seams: Seams | HarnessError) -> None:
        """Add a run with its handles, or with why there are none."""
        if isinstance(seams, Seams):
            self._seams[id(run)] = seams
        else:
            self._problems[id(run)] = str(seams)

    def seams_of(self, run: RunUndo) -> Seams | None:
        """Return the handles for a run; None where the stack cannot be reached."""
        return self._seams.get(id(run))

    def problem_of(self, run: RunUndo) -> str | None:
        """Return why there are no handles for a run."""
        return self._problems.get(id(run))


@contextlib.asynccontextmanager
async def reached(runs: Sequence[RunUndo], *, removes: bool) -> AsyncIterator[Reached]:
    """Reach the stack of some runs, all of which have the same one.

    `removes` takes a stack that its run owned off the engine, for the run is dead.
    """
    first = runs[0]
    if first.backend == "local":
        yield Reached(ENDED)
    elif first.owned and removes:
        yield await _removed(runs)
    elif first.project is None:
        yield Reached("it was never reached")
    else:
        if removes:
            with contextlib.suppress(HarnessError):  # an engine that does not answer is named with each fault
                await asyncio.to_thread(_end_helpers, first)
        stack = Reached()
        async with contextlib.AsyncExitStack() as closing:
            for run in runs:
                await _attach(run, stack, closing)
            yield stack


async def _attach(run: RunUndo, stack: Reached, closing: contextlib.AsyncExitStack) -> None:
    from harness.backends.compose.attached import AttachedBackend

    folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="harness-heal-")))
    backend: AttachedBackend = await closing.enter_async_context(AttachedBackend(run.stack, run.project))
    try:
        await asyncio.to_thread(_check_engine, run)
        # The stack may be unhealthy because of the fault; it must be found all the same.
        await backend.find(StackPlan(run.stack, folder, run.links, seed=run.seed), as_far_as_there=True)
    except HarnessError as error:
        stack.add(run, error)
        return
    seams = Seams(backend, run.stack, seed=run.seed)
    closing.push_async_callback(seams.close)
    stack.add(run, seams)


async def _removed(runs: Sequence[RunUndo]) -> Reached:
    try:
        for run in runs:
            await asyncio.to_thread(_remove, run)
    except HarnessError as error:
        stack = Reached()
        for run in runs:
            stack.add(run, error)
        return stack
    return Reached(REMOVED)


def identity_of(client: Any) -> str:
    """Return what tells an engine from every other. Blocks. Raises BackendError."""
    from harness.backends.compose.engine import engine_errors

    with engine_errors("the engine does not say which it is"):
        return str(client.info().get("ID") or "")


@contextlib.contextmanager
def engine_of(run: RunUndo) -> Iterator[Any]:
    """Connect to the engine of a run. Blocks. Raises BackendError, also where another one answers.

    What is not on another engine is not gone, and a stack of the same name there is not the run's.
    """
    from harness.backends.compose.engine import lent_client

    with lent_client() as engine:
        here = identity_of(engine)
        if run.engine != here:
            remedy = f"set DOCKER_HOST or the docker context to the engine {run.engine}, as when the run went on"
            raise BackendError(f"the engine that answers here, {here}, is not that of the run", remedy=remedy)
        yield engine


def _check_engine(run: RunUndo) -> None:
    with engine_of(run):
        return


def _end_helpers(run: RunUndo) -> None:
    """End what a dead run has had done in helper containers, which outlive it. Blocks. Raises BackendError."""
    from harness.backends.compose.labels import attached_run
    from harness.backends.compose.leftovers import remove_helpers

    if run.project is not None:
        with engine_of(run) as engine:
            remove_helpers(engine, attached_run(run.project))


def _remove(run: RunUndo) -> None:
    """Take off the engine what a dead run started there. Blocks. Raises BackendError."""
    from harness.backends.compose.leftovers import projects_of, remove_run

    with engine_of(run) as engine:
        for project in projects_of(engine, run.id):
            remove_run(engine, project)


def not_to_be_healed(run: RunUndo, *, copied: bool) -> str | None:
    """Return why the faults of a run are not taken out of the stack that it is attached to; None where they are.

    `copied`: the undo is a copy, which does not change when somebody heals from the original: what it has open may be
    out for long, and what looks like it somebody else's work. Blocks. Raises BackendError.
    """
    from harness.guard.stack_owner import owner_of_stack

    if run.backend == "local" or run.owned or run.project is None:
        return None
    with engine_of(run) as engine:
        owner = owner_of_stack(engine, run.project)
    if owner is None:
        return NOBODY_OWNS if copied else None
    return None if owner.id == run.id else f"its stack is owned by another run by now, {owner.run}"


def is_owner(run: RunUndo) -> bool:
    """Return whether a run still owns the stack that it is attached to. Blocks. Raises BackendError."""
    from harness.guard.stack_owner import owner_of_stack

    with engine_of(run) as engine:
        owner = owner_of_stack(engine, str(run.project))
    return owner is not None and owner.id == run.id


def given_back(run: RunUndo) -> None:
    """Give back the stack that a run was attached to, or take off the engine what it started. Blocks."""
    from harness.guard.stack_owner import give_back_stack

    if run.owned:
        _remove(run)
    elif run.project is not None:
        with engine_of(run) as engine:
            give_back_stack(engine, run.project, run.id)
