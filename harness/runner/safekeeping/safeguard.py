"""What keeps a run from leaving anything behind: its ownership, its undo, its guard.

A run owns its folder by a lock and a lease, and the stack that it is attached to by a record on the engine. Where
faults could outlive it, in containers and by commands, a guard is started before anything else, and started anew should
it die. What acts on local processes dies with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.faults.command import KIND as COMMAND
from harness.guard.open_runs import must_be_healed
from harness.guard.start import has_guard, start_guard
from harness.journal.owner import RENEW_S, Ownership
from harness.journal.undo import UndoFiles
from harness.journal.undo_folder import fault_of, heal_command
from harness.model.backend import StackInfo
from harness.model.errors import BackendError, JournalError, ScenarioError
from harness.model.faultstep import FaultStep
from harness.model.plan import Plan
from harness.model.stack import StackDescription
from harness.model.undo import RunUndo, for_healing
from harness.runner.faulting.driver import OpenUndo
from harness.runner.planning.plan import attached_project
from harness.runner.safekeeping.stack_ownership import StackOwnership, engine_identity

if TYPE_CHECKING:
    from harness.runner.safekeeping.sidecar_keeper import SidecarKeeper


@dataclass(frozen=True)
class _Open:
    files: UndoFiles
    name: str
    fault: str
    now_in: dict[str, FaultStep]
    heartbeat: Callable[[], Awaitable[None]]

    async def send_heartbeat(self) -> None:
        await self.heartbeat()

    def in_flight(self, on: bool, /) -> None:
        self.files.set_in_flight(self.name, in_flight=on)

    def gone(self, evidence: Mapping[str, Any], /) -> None:
        self.files.write_gone(self.name, self.fault, "run", evidence)
        self.now_in.pop(self.name, None)
        self.in_flight(False)


class Safeguard:
    """Ownership, undo and guard of one run."""

    def __init__(
        self, plan: Plan, stack: StackDescription, run_dir: Path, notice: Callable[[str], None] = lambda _: None
    ) -> None:
        """`notice` is called with what the user must know."""
        self._notice = notice
        self._unguarded = False
        self._run_dir = run_dir
        self.files = UndoFiles(run_dir)
        project = attached_project(stack, plan.backend, plan.attach)
        attached = project if plan.backend == "compose" else None
        self._undo = RunUndo(
            id=uuid.uuid4().hex,
            run=plan.run,
            scenario=plan.scenario.scenario,
            backend=plan.backend,
            project=attached,
            owned=attached is None,
            stack=for_healing(stack),
            links=plan.links,
            seed=plan.seed,
        )
        self._outlives = plan.backend != "local"
        self._ownership: Ownership | None = None
        self._keeping: dict[str, asyncio.Task[None]] = {}
        """What goes on until the end, by what it keeps."""
        self._taking: asyncio.Task[None] | None = None
        self._ending = False
        self._stack = StackOwnership(attached, self._undo.id, run_dir) if attached is not None else None
        self._sidecar: SidecarKeeper | None = None
        self._in: dict[str, FaultStep] = {}
        """The faults that were not measured to be gone, by the names of their undo: the folder may be removed."""

    async def begin(self) -> None:
        """Own the run and, where it is attached, its stack. Raises ScenarioError, BackendError, JournalError."""
        # Before the folder is owned: the lock and the lease of a dead run tell what it may still do.
        self._refuse_what_is_left()
        try:
            self._ownership = Ownership(self.files.folder)
        except OSError as error:
            raise JournalError(
                f"the run's folder cannot be owned: {error.strerror}", file=str(self._run_dir)
            ) from error
        if self._outlives:
            self._undo = self._undo.model_copy(update={"engine": await asyncio.to_thread(engine_identity)})
        self.files.write_run(self._undo)
        self._keeping["lease"] = asyncio.create_task(self._renew())
        if self._outlives:
            await asyncio.to_thread(start_guard, self._run_dir)
        # Only now: while the first guard starts, there is none yet, and a second one would be in its way.
        self._keeping["guard"] = asyncio.create_task(self._keep_guard())
        if self._stack is not None:
            # However often the run is cancelled meanwhile, its end must know whether it owns the stack.
            self._taking = asyncio.create_task(asyncio.to_thread(self._stack.take, lambda: self._ending))
            await asyncio.shield(self._taking)
            await self._start_sidecar()

    def _refuse_what_is_left(self) -> None:
        """Raise ScenarioError where an earlier run has left something in: its undo would become that of this one."""
        why = must_be_healed(self._run_dir)
        if why is None and self.files.open():
            why = "its faults were not measured to be gone"
        if why is not None:
            message = f"an earlier run in this folder was cut off: {why}"
            remedy = f"run `{heal_command(self._run_dir)}` first"
            raise ScenarioError(message, file=str(self._run_dir), remedy=remedy)

    async def _start_sidecar(self) -> None:
        """Start a second guard, the sidecar, where the stack is on another machine. Raises BackendError."""
        from harness.backends.compose.engine import is_near
        from harness.guard.sidecar import Sidecar, name_of, wanted
        from harness.runner.safekeeping.sidecar_keeper import SidecarKeeper

        if not wanted(is_near()):
            return
        self._undo = self._undo.model_copy(update={"guard": name_of(self._undo.id)})
        self.files.write_run(self._undo)
        self._sidecar = SidecarKeeper(Sidecar(self._run_dir, self._undo))
        await self._sidecar.start()
        self._keeping["guard in a container"] = asyncio.create_task(self._sidecar.keep())

    def check(self) -> None:
        """Raise BackendError where the run is not kept any more, or its guard in a container takes its faults out."""
        for what, task in self._keeping.items():
            error = task.exception() if task.done() and not task.cancelled() else None
            if error is not None:
                why = f"{type(error).__name__}: {error}"
                raise BackendError(f"the {what} of the run is not kept any more: {why}") from error
        if self._sidecar is not None:
            self._sidecar.check()

    async def check_owner(self) -> None:
        """Raise BackendError where the stack was given back meanwhile: what is in it now is not this run's."""
        if self._sidecar is None or not self._sidecar.is_lost or self._stack is None or not self._stack.is_taken:
            return
        from harness.guard.stacks import is_owner

        if not await asyncio.to_thread(is_owner, self._undo):
            raise BackendError("the guard in a container has given it back: nothing is taken out of it any more")

    async def _renew(self) -> None:
        """Renew the lease. Where that fails, the guard takes the run for one that hangs."""
        while True:
            assert self._ownership is not None
            try:
                self._ownership.renew()
            except OSError as error:
                self._notice(f"the run's lease could not be renewed: {error.strerror}")
            await asyncio.sleep(RENEW_S)

    async def _keep_guard(self) -> None:
        """See to it that there is a guard where one is needed."""
        while True:
            await asyncio.sleep(RENEW_S)
            if self._outlives and not has_guard(self._run_dir):
                try:
                    await asyncio.to_thread(start_guard, self._run_dir)
                except BackendError as error:
                    if not self._unguarded:
                        self._unguarded = True
                        self._notice(f"the run has no guard any more: {error}")

    @property
    def run_id(self) -> str:
        """What tells the run from every other."""
        return self._undo.id

    def up(self, info: StackInfo) -> None:
        """Note where the stack is, now that it is up. Raises JournalError."""
        self._undo = self._undo.model_copy(update={"project": info.project, "owned": info.owned})
        self.files.write_run(self._undo)

    async def before(self, step: FaultStep, data: Mapping[str, Any], in_for_s: float) -> OpenUndo:
        """Write the undo of a fault that goes in next. Raises BackendError, JournalError.

        Nothing is awaited once it is written: see `Before`.
        """
        if self._ownership is None or not self._ownership.still_there(self.files.folder):
            message = "the run's folder was moved or removed while it goes on, so no fault goes in any more"
            raise JournalError(message, file=str(self._run_dir))
        if step.fault == COMMAND.kind and not self._outlives:
            await asyncio.to_thread(start_guard, self._run_dir)
            self._outlives = True
        name = self.files.write_fault(step, data, in_for_s)
        self._in[name] = step
        return _Open(self.files, name, step.id, self._in, self._send_heartbeat)

    async def _send_heartbeat(self) -> None:
        """Raises BackendError: without the guard in a container no fault goes in."""
        if self._sidecar is not None:
            await self._sidecar.beat()
            self.check()

    def now_in(self) -> list[str]:
        """Return the faults that were not measured to be gone, in the order in which they went in."""
        return [step.id for step in self._in.values()]

    async def end(self, stopped: bool) -> list[str]:
        """Give everything back of which nothing is left. Returns the faults that may still be in.

        `stopped`: the stack that the run owned is stopped, and took with it what was done to it.
        """
        self._ending = True
        try:
            if self._taking is not None:
                await asyncio.wait([self._taking])
                if not self._taking.cancelled():
                    self._taking.exception()  # it was raised where it was awaited, unless that was cancelled
            return await self._end(stopped)
        finally:
            for task in self._keeping.values():
                task.cancel()
            # What one of them has failed with was raised by `check`, unless the run was at its end.
            await asyncio.gather(*self._keeping.values(), return_exceptions=True)
            if self._sidecar is not None:
                self._sidecar.close()
            if self._ownership is not None:
                self._ownership.end()

    async def _end(self, stopped: bool) -> list[str]:
        if self._ownership is None:
            return []
        left = []
        for name, step in self._in.items():
            if stopped and self._undo.owned and step.fault != COMMAND.kind:
                self.files.write_gone(name, step.id, "run", {"stack": "it was stopped"})
            else:
                left.append(step.id)
        # What the folder says counts as well: an absence that was damaged since closes nothing.
        left += [fault_of(name) for name in reversed(self.files.open()) if name not in self._in]
        if left or (self._undo.owned and not stopped):
            return left
        if self._sidecar is not None:  # it must not take out again what is out, on a stack that is somebody else's soon
            with contextlib.suppress(BackendError):
                await self._sidecar.last_beat()
        if self._stack is not None and self._stack.is_taken:
            from harness.guard.stacks import given_back

            await asyncio.to_thread(given_back, self._undo)
        self.files.write_ended("run")
        if self._sidecar is not None:
            await self._sidecar.remove()
        return left
