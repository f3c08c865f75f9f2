"""A run that its caller drives, on its own thread, for a caller that is not asynchronous.

Faults and expectations come as the caller names them: the plan grows with each and is written into the journal each
time. Everything else is as in any run. The thread has the event loop, the journal and the backend; the caller's calls
are sent there, each with a deadline. Once the run has ended, every call raises the reason at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from harness.model.answers import ANSWER_PROBES
from harness.model.backend import Backend
from harness.model.clauses import OVER_S, Clause
from harness.model.errors import BackendError, HarnessError
from harness.model.faultstep import FaultStep
from harness.model.plan import Plan
from harness.runner.execution.run import Run
from harness.runner.execution.script import TICK_S, RunContext, observe
from harness.runner.execution.warming import waiting_threads
from harness.runner.messages import RunOutcome
from harness.runner.watching.settling import Settling

CONFIRM_WITHIN_S = 8.0
"""How long entering a fault waits for its confirmation. A later one still counts; the judge decides."""
EVERY_S = 0.03
SHORTEST_S = 0.001
T = TypeVar("T")
BEGIN_S = 30.0
END_S = 120.0
"""More than all the limits together that healing, stopping and reading the ledger have."""
SLACK_S = 5.0


class CallerScript:
    """A script whose steps are the caller's method calls, made in the event loop of the run."""

    whole_history = True

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.ready = asyncio.Event()
        """Set once the steady state is met."""
        self._over = asyncio.Event()
        self._failure: str | None = None
        self._run_or_none: RunContext | None = None
        self._settling_or_none: Settling | None = None
        self._began_s: dict[str, float] = {}
        self._ended_s: dict[str, float] = {}
        self._active: dict[str, asyncio.Task[None]] = {}
        self._is_cut_short = False

    @property
    def _run(self) -> RunContext:
        assert self._run_or_none is not None, "the caller waits for `ready`"
        return self._run_or_none

    @property
    def _settling(self) -> Settling:
        assert self._settling_or_none is not None, "the caller waits for `ready`"
        return self._settling_or_none

    async def play(self, run: RunContext) -> None:
        """Wait until the caller has finished, then observe."""
        self._run_or_none = run
        settling = self._settling_or_none = Settling(run.plan, run.live)
        run.phase("baseline")
        self.ready.set()
        over = asyncio.create_task(self._over.wait())
        try:
            while not over.done():
                settling.tick(run.settled_s())
                await asyncio.wait([over], timeout=TICK_S)
        except asyncio.CancelledError:
            self._is_cut_short = True
            for active in self._active.values():  # the run reverts their faults; what they measure is over
                active.cancel()
            raise
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
            self._settling.began(step.id, run.now_s())
            return
        driver = await run.driver(step)
        if driver is None:
            return  # the journal has the failure; the judge takes the fault as unconfirmed
        await self._unless_cut_short()
        active = self._active[step.id] = asyncio.create_task(driver.run())
        deadline_s = run.now_s() + CONFIRM_WITHIN_S
        while not active.done() and run.now_s() < deadline_s:
            if (step.id, "confirmed") in run.live.stages:
                break
            await asyncio.sleep(EVERY_S)
        await self._unless_cut_short()
        if active.done():
            active.result()

    async def leave(self, fault: str, plan: Plan) -> None:
        """Revert a fault and wait until it is measured to be absent. May be called again."""
        if fault in self._ended_s:
            return
        await self._unless_cut_short()
        run = self._run
        active = self._active.pop(fault, None)
        if active is not None:
            active.cancel()
            await asyncio.wait([active])
            await self._unless_cut_short()
            if not active.cancelled():
                active.result()
            await run.drivers[fault].revert()
        self._ended_s[fault] = run.now_s()
        if not run.plan.faults_on:
            self._settling.ended(fault, run.now_s())
        self._grow(plan)

    async def expect(self, plan: Plan) -> None:
        """Take in the expectations that the plan has grown by."""
        await self._settling.follow(plan, self._run.settled_s())
        self._grow(plan)

    async def wait_for(self, clause: Clause) -> None:
        """Wait until a clause is met or its time is over. The judge decides which."""
        while True:
            if self._settling.content(clause, self._run.now_s()):
                return
            await asyncio.sleep(EVERY_S)

    async def current(self, probe: str) -> float | None:
        """Return the present value of a probe; None where it has none, or nothing is known of it."""
        live = self._run.live
        measure = ANSWER_PROBES.get(probe)
        if measure is None:
            found = live.readings.get(probe)
            return found[1].value if found is not None and live.gap(probe) is None else None
        settled_s = self._run.settled_s()
        return measure.measure([a for _, a in live.answers_between(settled_s - OVER_S, settled_s)]).hi

    async def pause(self, seconds: float) -> None:
        """Let the run go on for a while."""
        await asyncio.sleep(seconds)

    async def _unless_cut_short(self) -> None:
        """Wait for the end of a run that is cut short: it takes out what is in, and nothing goes in."""
        if self._is_cut_short:
            await asyncio.Event().wait()

    def _grow(self, plan: Plan) -> None:
        self._plan = plan
        steps = tuple(self._timed(step) for step in plan.scenario.timeline)
        self._run.replan(plan.model_copy(update={"scenario": plan.scenario.model_copy(update={"timeline": steps})}))
        self._settling.replan(self._run.plan)

    def _timed(self, step: FaultStep) -> FaultStep:
        """Return a step with the times at which it really began and ended."""
        began_s = self._began_s.get(step.id)
        if began_s is None:
            return step
        at_s = round(max(0.0, began_s - self._run.gate_s), 3)
        ended_s = self._ended_s.get(step.id)
        lasted_s = step.duration if ended_s is None else max(SHORTEST_S, round(ended_s - began_s, 3))
        return step.model_copy(update={"at": at_s, "duration": lasted_s})


class RunEndedError(HarnessError):
    """The run has ended without a failure of the harness: its steady state was not met."""


class Session:
    """One run for one caller."""

    def __init__(self, script: CallerScript, make: Callable[[], tuple[Run, Backend]]) -> None:
        """`make` is called on the session's own thread, for the run of that script."""
        self._script = script
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        self._going: asyncio.Task[RunOutcome] | None = None
        self._release: asyncio.Event | None = None
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self._outcome: RunOutcome | None = None
        self._thread = threading.Thread(target=self._serve, name="harness-run", daemon=True)

    def start(self, limit_s: float) -> None:
        """Start the stack and wait until its steady state is met. Raises HarnessError."""
        self._thread.start()
        if not self._begun.wait(BEGIN_S):
            raise BackendError(f"the run did not start within {BEGIN_S:g} s")
        self.call(_ready, limit_s)

    def call(self, work: Callable[[CallerScript], Coroutine[Any, Any, T]], limit_s: float) -> T:
        """Call the script and return the result. Raises HarnessError, at the latest after the limit."""
        if self._loop is None or not self._thread.is_alive():
            raise self._ended()
        future = asyncio.run_coroutine_threadsafe(self._while_it_runs(work, limit_s), self._loop)
        try:
            return future.result(limit_s + SLACK_S)
        except TimeoutError:
            future.cancel()
            raise BackendError(f"the call did not return within {limit_s:g} s") from None

    def finish(self, failure: str | None = None, limit_s: float = END_S) -> RunOutcome:
        """End the run and return its outcome. Raises unexpected errors of the run."""
        if self._loop is None or not self._thread.is_alive():
            return self._closed()
        going = self._going
        assert going is not None

        def end() -> None:
            if failure is not None and not self._script.ready.is_set():
                going.cancel()
            self._script.finish(failure)

        self._loop.call_soon_threadsafe(end)
        return self.close(limit_s)

    def interrupt(self) -> RunOutcome:
        """Break the run off: it heals and stops its stack. Idempotent."""
        if self._loop is not None and self._going is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._going.cancel)
        return self.close(END_S)

    def close(self, limit_s: float) -> RunOutcome:
        """Wait for the end of the run, and of its thread."""
        if self._thread.is_alive() and self._loop is not None and self._release is not None:
            self._loop.call_soon_threadsafe(self._release.set)
        if self._thread.ident is not None:
            self._thread.join(limit_s)
        return self._closed()

    def _closed(self) -> RunOutcome:
        if self._thread.is_alive():
            raise BackendError("the run did not end in time")
        if self._failure is not None:
            raise self._failure
        assert self._outcome is not None
        return self._outcome

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - raised on in the caller's thread
            self._failure = error
        finally:
            self._begun.set()

    async def _main(self) -> None:
        asyncio.get_running_loop().set_default_executor(waiting_threads())
        run, backend = self._make()
        self._release = asyncio.Event()
        self._going = asyncio.create_task(self._go(run))
        self._loop = asyncio.get_running_loop()
        self._begun.set()
        try:
            await asyncio.wait([self._going])
            await self._release.wait()
        finally:
            await backend.close()
        self._outcome = self._going.result()

    async def _go(self, run: Run) -> RunOutcome:
        try:
            return await run.go()
        except asyncio.CancelledError:
            return RunOutcome(interrupted=True, plan=run.plan, run_dir=run.run_dir)

    async def _while_it_runs(self, work: Callable[[CallerScript], Coroutine[Any, Any, T]], limit_s: float) -> T:
        assert self._going is not None
        task = asyncio.create_task(work(self._script))
        await asyncio.wait([task, self._going], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait([task])
        if self._going.done():
            raise self._ended()
        raise BackendError(f"the run was not ready within {limit_s:g} s")

    def _ended(self) -> BaseException:
        if self._failure is not None:
            return self._failure
        outcome = self._outcome
        if outcome is None and self._going is not None and self._going.done() and not self._going.cancelled():
            if (failure := self._going.exception()) is not None:
                return failure
            outcome = self._going.result()
        if outcome is not None and outcome.error is not None:
            return outcome.error
        return RunEndedError("the run is over")


async def _ready(script: CallerScript) -> None:
    await script.ready.wait()
