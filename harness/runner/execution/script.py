"""What a run does between its steady-state gate and its end: a script.

A scenario file's script plays the timeline of the plan; `session` has the one that its caller drives. Both inject
faults with the same drivers and stop observing by the same rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from harness.faults.installed import Faults
from harness.journal.writer import JournalWriter
from harness.model.errors import HarnessError
from harness.model.fault import Fault
from harness.model.faultstep import After, FaultStep
from harness.model.plan import Plan
from harness.model.readings import Closed, Phase, PhaseName, Planned
from harness.runner.faulting.driver import Before, Driver, failed_stage
from harness.runner.faulting.layers import Layers
from harness.runner.planning.timeline import waits_for
from harness.runner.watching.live import Live
from harness.runner.watching.settling import Settling
from harness.runner.watching.watchers import Watchers
from harness.seams import Seams

TICK_S = 0.1
TRIGGER_EVERY_S = 0.02
Moments = Mapping[tuple[str, str], float]
"""When each fault reached each stage."""


class CutShortError(Exception):
    """Ends a run before its script is over, without an error: a guardrail was crossed, or somebody stopped it.

    What it has to say is in the journal already, but for its last line.
    """

    def __init__(self, closed: Closed) -> None:
        super().__init__(closed.reason)
        self.closed = closed


@dataclass
class RunContext:
    """What a script has of its run, from the gate on."""

    plan: Plan
    gate_s: float
    """When the steady state was met."""
    live: Live
    journal: JournalWriter
    seams: Seams
    watchers: Watchers
    before: Before
    """Writes down how a fault is taken out, before it goes in."""
    layers: Layers
    """The faults that went in; the run heals what they have left active."""

    @property
    def drivers(self) -> dict[str, Driver]:
        """The drivers of the faults, by fault."""
        return self.layers.drivers

    def now_s(self) -> float:
        """Return the time on the run's clock."""
        return self.journal.now_s()

    def settled_s(self) -> float:
        """Return until when every request that was due has its answer."""
        return self.watchers.settled_s()

    def phase(self, phase: PhaseName, detail: str | None = None) -> None:
        """Begin a phase of the run."""
        self.journal.write(Phase(phase=phase, detail=detail))

    def replan(self, plan: Plan) -> None:
        """Go on with a plan that has grown."""
        self.plan = plan
        self.journal.write(Planned(plan=plan))

    async def driver(self, step: FaultStep) -> Driver | None:
        """Prepare a fault for its injection; None where that fails, which is written into the journal."""
        try:
            kind = Faults()[step.fault]
            fault: Fault = kind.make(step, self.seams, self.plan.seed)
        except HarnessError as error:
            self.failed(step, "prepare", str(error))
            return None
        driver = Driver(
            step,
            fault,
            self.journal,
            lambda: int(self.seams.now_event()) if self.seams.clock is not None else None,
            self.live.hits.add,
            self.watchers.look,
            self.before,
            kind.call_limit_s,
            kind.untold(step),
            lambda: self.layers.covered_by(step.id),
        )
        self.drivers[step.id] = driver
        return driver if await driver.prepare() else None

    def failed(self, step: FaultStep, doing: str, why: str) -> None:
        """Write into the journal that a fault has failed."""
        self.journal.write(failed_stage(step, doing, why, self.now_s()))


class Script(Protocol):
    """Injects the faults of a run and observes until nothing that is expected needs more."""

    @property
    def whole_history(self) -> bool:
        """Whether the script asks for more than the last half minute of the run."""

    async def play(self, run: RunContext) -> None:
        """Go from the phase `baseline` to the phase `observed`."""


class TimelineScript:
    """Plays the timeline of the plan."""

    whole_history = False

    async def play(self, run: RunContext) -> None:
        """Inject each fault when it is due, then observe."""
        run.phase("baseline")
        settling = Settling(run.plan, run.live)
        faults = asyncio.create_task(self._faults(run, settling))
        try:
            while not faults.done():
                settling.tick(run.settled_s())
                await asyncio.wait([faults], timeout=TICK_S)
            faults.result()
        finally:
            await ended(faults)
        reverted = [d.reverted_at_s for d in run.drivers.values() if d.reverted_at_s is not None]
        await observe(run, settling, max(reverted, default=run.now_s()))

    async def _faults(self, run: RunContext, settling: Settling) -> None:
        steps = run.plan.scenario.timeline
        try:
            # All are prepared before the first is injected: what it breaks is not the state to restore.
            drivers: list[Driver | None] = [None] * len(steps)
            if run.plan.faults_on:
                drivers = await asyncio.gather(*(run.driver(step) for step in steps))
            async with asyncio.TaskGroup() as group:
                for step, driver in zip(steps, drivers, strict=True):
                    if driver is not None or not run.plan.faults_on:
                        group.create_task(self._fault(run, step, driver, settling))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _fault(self, run: RunContext, step: FaultStep, driver: Driver | None, settling: Settling) -> None:
        why = await wait_for_start(run, step, settling.moments)
        if why is not None:
            run.failed(step, "waiting to start", why)
            return
        run.phase("fault", step.id)
        if driver is None:
            settling.began(step.id, run.now_s())
            await asyncio.sleep(step.duration)
            settling.ended(step.id, run.now_s())
        else:
            await driver.run()


async def observe(run: RunContext, settling: Settling, last_revert_s: float) -> None:
    """Observe until nothing that is expected needs more."""
    run.phase("observing")
    while True:
        settling.tick(run.settled_s())
        if settling.settled(run.now_s(), last_revert_s):
            break
        await asyncio.sleep(TICK_S)
    run.phase("observed")


async def wait_for_start(run: RunContext, step: FaultStep, moments: Moments | None = None) -> str | None:
    """Wait until a fault is due. Returns why it never will be, None when it is.

    `moments` are those of the faults, which a control has too. What fires or breaks there does so without the fault, so
    a control waits for no alert and no probe: it goes on as late as a run can.
    """
    if step.at is not None:
        await asyncio.sleep(max(0.0, run.gate_s + step.at - run.now_s()))
        return None
    assert step.after is not None
    moments = run.live.stages if moments is None else moments
    waited, limit_s = waits_for(step), step.after.timeout
    if waited is None and not run.plan.faults_on:
        await asyncio.sleep(max(0.0, run.gate_s + limit_s - run.now_s()))
        return None
    since_s: float | None = run.now_s()
    while not (_happened(step.after, run) if waited is None else _reached(waited, moments, run.plan)):
        if waited is not None:
            if _never_began(waited[0], moments):
                return f"its trigger did not happen: {waited[0]} failed"
            since_s = _possible_s(waited, moments, run)
        if since_s is not None and run.now_s() > since_s + limit_s:
            return f"its trigger did not happen within {limit_s:g} s"
        await asyncio.sleep(TRIGGER_EVERY_S)
    return None


def _happened(after: After, run: RunContext) -> bool:
    if after.alert is not None:
        return bool(run.live.firing(after.alert, {}))
    assert after.probe is not None
    return run.live.point(after.probe, run.settled_s()).good is True


def _reached(waited: tuple[str, str], moments: Moments, plan: Plan) -> bool:
    """Whether a fault has reached a stage. In a control none is ever confirmed: there it is with its injection."""
    fault, stage = waited
    if stage == "confirmed" and not plan.faults_on:
        stage = "injected"
    return (fault, stage) in moments


def _never_began(fault: str, moments: Moments) -> bool:
    return (fault, "failed") in moments and (fault, "injecting") not in moments


def _possible_s(waited: tuple[str, str], moments: Moments, run: RunContext) -> float | None:
    """Return from when on a fault can have reached a stage; None while it waits for a moment itself."""
    fault, stage = waited
    step = next(step for step in run.plan.scenario.timeline if step.id == fault)
    planned_s = None if step.at is None else run.gate_s + step.at
    began_s = moments.get((fault, "injecting"), moments.get((fault, "injected"), planned_s))
    return None if began_s is None else began_s + (step.duration if stage == "reverted" else 0.0)


async def ended(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait until it has ended, however often this is cancelled itself."""
    task.cancel()
    try:
        await shielded(asyncio.wait([task]))
    finally:
        if task.done() and not task.cancelled():
            task.exception()  # retrieved; whoever waited for it has raised it already


async def shielded(work: Any) -> None:
    """Finish some work, which must have limits of its own, even if the run is being cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError from (None if task.cancelled() else task.exception())
    task.result()
