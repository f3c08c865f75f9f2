"""The script of a run that its caller drives: faults and expectations come as the caller names them.

The plan grows with each of them and is written into the journal each time. Everything else is as in any run.
"""

from __future__ import annotations

import asyncio

from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import OVER_S, Clause
from harness.model.errors import HarnessError
from harness.model.plan import Plan
from harness.model.scenario import FaultStep
from harness.runner.script import TICK_S, RunContext, observe
from harness.runner.settling import Settling

CONFIRM_WITHIN_S = 8.0
"""How long entering a fault waits for its confirmation. A later one still counts; the judge decides."""
EVERY_S = 0.03
SHORTEST_S = 0.001


class CallerScript:
    """Does what its caller says. Its methods are for the event loop of the run."""

    whole_history = True

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.ready = asyncio.Event()
        """Set once the steady state is met."""
        self._over = asyncio.Event()
        self._failure: str | None = None
        self._context: RunContext | None = None
        self._settling: Settling | None = None
        self._began_s: dict[str, float] = {}
        self._ended_s: dict[str, float] = {}
        self._active: dict[str, asyncio.Task[None]] = {}

    @property
    def _run(self) -> RunContext:
        assert self._context is not None, "the caller waits for `ready`"
        return self._context

    async def play(self, run: RunContext) -> None:
        """Wait until the caller has finished, then observe."""
        self._context = run
        settling = self._settling = Settling(run.plan, run.live)
        run.phase("baseline")
        self.ready.set()
        over = asyncio.create_task(self._over.wait())
        try:
            while not over.done():
                settling.tick(run.now_s(), run.settled_s())
                await asyncio.wait([over], timeout=TICK_S)
        finally:
            over.cancel()
        if self._failure is not None:
            raise HarnessError(self._failure)
        for fault in reversed(list(self._active)):
            await self.leave(fault, self._plan)
        await observe(run, settling, max(self._ended_s.values(), default=run.now_s()))

    def finish(self, failure: str | None = None) -> None:
        """End the run after observing; with a failure of the caller, at once."""
        self._failure = failure
        self._over.set()

    async def enter(self, step: FaultStep, plan: Plan) -> None:
        """Inject a fault and wait until it is confirmed, up to a limit."""
        run = self._run
        self._grow(plan)
        run.phase("fault", step.id)
        self._began_s[step.id] = run.now_s()
        if not run.plan.faults_on:
            self._settle.began(step.id, run.now_s())
            return
        driver = await run.driver(step)
        if driver is None:
            return  # the journal has the failure; the judge takes the fault as unconfirmed
        active = self._active[step.id] = asyncio.create_task(driver.run())
        deadline_s = run.now_s() + CONFIRM_WITHIN_S
        while not active.done() and run.now_s() < deadline_s:
            if (step.id, "confirmed") in run.live.stages:
                break
            await asyncio.sleep(EVERY_S)
        if active.done():
            active.result()

    async def leave(self, fault: str, plan: Plan) -> None:
        """Revert a fault and wait until it is measured to be absent. May be called again."""
        if fault in self._ended_s:
            return
        run = self._run
        active = self._active.pop(fault, None)
        if active is not None:
            active.cancel()
            await asyncio.wait([active])
            if not active.cancelled():
                active.result()
            await run.drivers[fault].revert()
        self._ended_s[fault] = run.now_s()
        if not run.plan.faults_on:
            self._settle.ended(fault, run.now_s())
        self._grow(plan)

    async def expect(self, plan: Plan) -> None:
        """Take in the expectations that the plan has grown by."""
        await self._settle.follow(plan, self._run.settled_s())
        self._grow(plan)

    async def wait_for(self, clause: Clause) -> None:
        """Wait until a clause is met or its time is over. The judge decides which."""
        while True:
            if self._settle.content(clause, self._run.now_s()):
                return
            await asyncio.sleep(EVERY_S)

    async def current(self, probe: str) -> float | None:
        """Return the present value of a probe; None where it has none, or does not answer."""
        live = self._run.live
        measure = ANSWER_PROBES.get(probe)
        if measure is None:
            found = live.readings.get(probe)
            return found[1].value if found is not None else None
        settled_s = self._run.settled_s()
        return measure.measure([a for _, a in live.answers_between(settled_s - OVER_S, settled_s)]).hi

    async def pause(self, seconds: float) -> None:
        """Let the run go on for a while."""
        await asyncio.sleep(seconds)

    @property
    def _settle(self) -> Settling:
        assert self._settling is not None, "the caller waits for `ready`"
        return self._settling

    def _grow(self, plan: Plan) -> None:
        self._plan = plan
        steps = tuple(self._timed(step) for step in plan.scenario.timeline)
        self._run.replan(plan.model_copy(update={"scenario": plan.scenario.model_copy(update={"timeline": steps})}))
        self._settle.replan(self._run.plan)

    def _timed(self, step: FaultStep) -> FaultStep:
        """Return a step with the times at which it really began and ended."""
        began_s = self._began_s.get(step.id)
        if began_s is None:
            return step
        at_s = round(max(0.0, began_s - self._run.gate_s), 3)
        ended_s = self._ended_s.get(step.id)
        lasted_s = step.duration if ended_s is None else max(SHORTEST_S, round(ended_s - began_s, 3))
        return step.model_copy(update={"at": at_s, "duration": lasted_s})
