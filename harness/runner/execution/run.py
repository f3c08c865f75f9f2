"""One run, as a straight line.

plan → open journal → start stack → steady-state gate → the script: (undo, inject, confirm, observe, revert) for each
fault, observe recovery → heal all → read the ledger → stop stack → close journal. The journal records what happens;
nothing is judged here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from harness.journal.files import NAME as JOURNAL
from harness.journal.undo_folder import heal_command
from harness.journal.writer import JournalWriter
from harness.model.backend import Backend, StackInfo, StackPlan
from harness.model.errors import BackendError, HarnessError, JournalError
from harness.model.machine import MACHINE
from harness.model.plan import Plan
from harness.model.readings import (
    Abort,
    AlertsSeen,
    Body,
    Closed,
    FaultSeen,
    Gap,
    GateSeen,
    Phase,
    PhaseName,
    StackUp,
    Stop,
)
from harness.model.stack import StackDescription
from harness.probes.event_clock import by_the_clock, read_event_clock
from harness.probes.ledger import Ledger
from harness.probes.request_file import RequestFile
from harness.probes.workload_file import Workload
from harness.runner.execution.script import TICK_S, CutShortError, RunContext, Script, TimelineScript, ended, shielded
from harness.runner.faulting.driver import HEAL_S, bounded
from harness.runner.faulting.layers import Layers
from harness.runner.messages import RunOutcome
from harness.runner.planning.workloads import places_of, workload_for
from harness.runner.progress import OnProgress, Progress, What
from harness.runner.safekeeping.latch import Watched
from harness.runner.safekeeping.running import RunNote
from harness.runner.safekeeping.safeguard import Safeguard
from harness.runner.watching.gate import wait_for_steady_state
from harness.runner.watching.live import Live
from harness.runner.watching.machine_watch import MachineWatch
from harness.runner.watching.rails import Rails
from harness.runner.watching.watchers import Watchers
from harness.seams import Seams

STOP_S = 30.0
HEAL_SLACK_S = 1.0
"""Beyond the deadlines of all faults: each is given up at its own, not at that of all."""
T = TypeVar("T")


class Run:
    """One run on one backend."""

    def __init__(
        self,
        plan: Plan,
        stack: StackDescription,
        backend: Backend,
        run_dir: Path,
        on_progress: OnProgress,
        script: Script | None = None,
    ) -> None:
        """Without a `script`, the timeline of the plan is played."""
        self.plan = plan
        self._script = script or TimelineScript()
        self._stack = stack
        self._backend = backend
        self.run_dir = run_dir
        self._on_progress = on_progress
        self._safeguard = Safeguard(plan, stack, run_dir, self._notice)
        self._live = Live(whole=self._script.whole_history)
        self._rails = Rails(plan, self._live)
        self._latches = Watched((plan.stack.name, plan.attach))
        self._run_note: RunNote | None = None
        self._journal = JournalWriter(run_dir / JOURNAL, plan, self._written)
        self._layers = Layers(stack, self._safeguard.now_in)
        self._displayed: frozenset[str] = frozenset()
        self._unwatched = False
        self._beside = MachineWatch(
            self._journal.clock, self._journal.write, lambda: self._backend.roots, by_the_clock(self._stack)
        )

    async def go(self) -> RunOutcome:
        """Run from start to end. Never raises HarnessError; cancellation heals, stops, and is raised on."""
        self._run_note = RunNote(self.plan, self.run_dir)
        try:
            return await self._go()
        finally:
            self._run_note.close()

    async def _go(self) -> RunOutcome:
        error: HarnessError | None = None
        if self.plan.unaimed is not None:
            self._notice(f"nothing is run: {self.plan.unaimed}")
            return RunOutcome(self._close(Closed(reason="completed")), plan=self.plan, run_dir=self.run_dir)
        self._beside.start()
        try:
            met = await self._on_a_stack()
            closed = Closed(reason="completed" if met else "gate")
        except CutShortError as cut:
            closed = cut.closed
        except HarnessError as failure:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # what then failed is what is left, and no reason of its own
                self._close(Closed(reason="interrupted", error=str(failure)))
                raise asyncio.CancelledError from failure
            closed, error = Closed(reason="error", error=str(failure)), failure
        except asyncio.CancelledError as cancelled:
            left = cancelled.__cause__ if isinstance(cancelled.__cause__, HarnessError) else None
            self._close(Closed(reason="interrupted", error=None if left is None else str(left)))
            raise
        except BaseException as failure:
            self._close(Closed(reason="error", error=f"{type(failure).__name__}: {failure}"))
            raise
        return RunOutcome(
            self._close(closed) or error,
            interrupted=closed.reason == "stopped",
            late_s=self._live.late_s(),
            plan=self.plan,
            run_dir=self.run_dir,
        )

    def _close(self, closed: Closed) -> JournalError | None:
        """Write the last line. Returns the error of the disk."""
        met = self._beside.stop()
        error: JournalError | None = None
        try:
            self._journal.write(closed)
        except JournalError as unwritten:
            error = unwritten
        try:
            self._journal.close()  # also where the line was not written: the file would stay open
        except OSError as failure:
            what = f"the journal cannot be written: {failure.strerror}"
            error = error or JournalError(what, file=str(self._journal.path))
        return error or met

    async def _on_a_stack(self) -> bool:
        self._phase("starting")
        try:
            self._mind_the_latch()
            await self._safeguard.begin()
            workload, info = await self._while_watched(None, self._started())
            self._safeguard.up(info)
            self._latches.add(info.project)
            if self._run_note is not None:
                self._run_note.of_project(info.project)
            self._journal.write(StackUp(ready_s=round(info.ready_s, 3), project=info.project, owned=info.owned))
            return await self._watched(workload)
        finally:
            await shielded(self._stop_stack())

    async def _started(self) -> tuple[Workload | RequestFile | None, StackInfo]:
        workload = await workload_for(self.plan, self._stack, self._backend, self.run_dir.parent, self._notice)
        return workload, await self._backend.start(self._stack_plan())

    async def _stop_stack(self) -> None:
        stopped = False
        try:
            with contextlib.suppress(JournalError):  # a full disk must keep nothing running
                self._phase("stopping")
            await bounded(STOP_S, "stopping the stack", self._backend.stop(), BackendError)
            stopped = True
        finally:
            left = await self._safeguard.end(stopped)
        if left:
            faults = ", ".join(map(repr, left))
            what = f"{'the fault' if len(left) == 1 else 'the faults'} {faults} may still be active"
            raise BackendError(what, file=str(self.run_dir), remedy=f"run `{heal_command(self.run_dir)}`")

    def _stack_plan(self) -> StackPlan:
        sabotage = self.plan.sabotage
        return StackPlan(
            description=self._stack,
            run_dir=self.run_dir,
            links=self.plan.links,
            environment={sabotage.service: sabotage.env} if sabotage is not None else {},
            start_at=self.plan.scenario.start_at,
            seed=self.plan.seed,
            run_id=self._safeguard.run_id,
            on_wait=self._notice,
        )

    async def _watched(self, workload: Workload | RequestFile | None) -> bool:
        within_s = self._stack.ready_within_s
        clock = await self._while_watched(None, read_event_clock(self._stack, self._backend, within_s))
        seams = Seams(self._backend, self._stack, clock, self._safeguard.files.kept, self.plan.seed)
        watchers = Watchers(self.plan, self._stack, self._backend, self._journal)
        try:
            watchers.start(seams, workload)
            self._phase("gate")
            gate = await self._while_watched(
                watchers,
                wait_for_steady_state(
                    self.plan,
                    self._stack,
                    self._live,
                    watchers.clock,
                    watchers.settled_s,
                    places_of(workload, self._stack),
                ),
            )
            self._journal.write(gate)
            busy = self._live.machine_busy()
            if busy is not None:
                self._tell(gate.at_s, "note", f"{busy}: what goes wrong meanwhile is not the stack's")
            if not gate.met:
                return False
            before = self._safeguard.before
            context = RunContext(self.plan, gate.at_s, self._live, self._journal, seams, watchers, before, self._layers)
            await self._while_watched(watchers, self._script.play(context))
            # An alert that began to fire since the last poll is part of what was observed.
            await self._while_watched(watchers, watchers.look())
            await watchers.stop_workload()
            truth = workload if isinstance(workload, Workload) else None
            for evidence in await Ledger(seams, truth, self._live.hits).read():
                self._journal.write(evidence)
            return True
        finally:
            await shielded(self._heal_and_close(watchers, seams))

    async def _heal_and_close(self, watchers: Watchers, seams: Seams) -> None:
        """Heal, then stop the watchers. Each part is tried even if the one before fails, and each has a limit."""
        try:
            await bounded(self._heal_within_s(), "healing", self._heal(), BackendError)
        finally:
            try:
                await bounded(STOP_S, "stopping the watchers", watchers.stop(), BackendError)
            finally:
                await seams.close()

    async def _while_watched(self, watchers: Watchers | None, work: Awaitable[T]) -> T:
        """Do some work, and end it where somebody stops the run, a guardrail is crossed, or a watcher has failed.

        Without a watcher, measurements would be missing from then on.
        """
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=TICK_S)
                self._mind_the_latch()
                self._safeguard.check()
                if watchers is not None:
                    watchers.check()
                    if not task.done():
                        self._mind_the_rails(watchers)
            return task.result()
        finally:
            await ended(task)

    def _mind_the_latch(self) -> None:
        """End the run where somebody has stopped it."""
        latch = self._latches.look()
        if latch is None:
            return
        self._tell(self._journal.now_s(), "notice", f"stopped {latch.text}")
        with contextlib.suppress(JournalError):  # a full disk must not keep a fault active
            self._journal.write(Stop(latch=str(latch.path), by=latch.by, since=latch.since, why=latch.why))
        raise CutShortError(Closed(reason="stopped"))

    def _mind_the_rails(self, watchers: Watchers) -> None:
        """End the run where a guardrail is crossed."""
        crossed = self._rails.crossed(watchers.clock.now_s(), watchers.settled_s())
        if crossed is not None:
            with contextlib.suppress(JournalError):  # a full disk must not keep a fault active
                self._journal.write(crossed)
            raise CutShortError(Closed(reason="aborted"))

    async def _heal(self) -> None:
        if self._layers.left():
            await self._safeguard.check_owner()
            with contextlib.suppress(JournalError):  # a full disk must not keep a fault active
                self._phase("healing")
        await self._layers.revert_all(HEAL_S)

    def _heal_within_s(self) -> float:
        """Return how long healing may take. Each fault that is left has its own deadline in it."""
        return self._layers.within_s(HEAL_S) + HEAL_SLACK_S

    def _phase(self, phase: PhaseName, detail: str | None = None) -> None:
        self._journal.write(Phase(phase=phase, detail=detail))

    def _written(self, n: int, at_s: float, body: Body) -> None:
        self._live.note(n, at_s, body)
        self._rails.note(n, at_s, body)
        if isinstance(body, Phase):
            self._tell(at_s, "phase", body.phase + (f" {body.detail}" if body.detail else ""))
        elif isinstance(body, FaultSeen) and body.stage != "effect":
            self._tell(at_s, "fault", f"{body.fault} {body.stage}", {"fault": body.fault, "stage": body.stage})
        elif isinstance(body, AlertsSeen):
            firing = frozenset(a.key for a in body.firing)
            for key in sorted(firing - self._displayed):
                self._tell(at_s, "alert", f"{key} fires", {"alert": key, "firing": True})
            for key in sorted(self._displayed - firing) if body.down is None else ():
                self._tell(at_s, "alert", f"{key} is quiet", {"alert": key, "firing": False})
            if body.down is None:
                self._displayed = firing
        elif isinstance(body, Gap) and body.probe == MACHINE and not self._unwatched:
            self._unwatched = True
            self._tell(at_s, "note", f"the machine is not watched: {body.why}")
        elif isinstance(body, GateSeen) and not body.met:
            self._tell(at_s, "note", f"the steady state was not met: {body.why}")
        elif isinstance(body, Abort):
            self._tell(at_s, "note", f"aborted by guardrail: {body.rule} ({body.measured})")

    def _notice(self, text: str) -> None:
        self._tell(self._journal.now_s(), "notice", text)

    def _tell(self, at_s: float, what: What, text: str, data: dict[str, object] | None = None) -> None:
        self._on_progress(Progress(self.plan.run, at_s, what, text, data or {}))
