"""A run whose timeline is not written beforehand: faults go in and out, and expectations come, as its caller says.

It is the same straight line as any run, but for the middle: where a file's timeline would be played, it waits for its
caller, and writes the plan anew each time it has grown.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from harness.model.answers import ANSWER_PROBES
from harness.model.backend import Backend
from harness.model.errors import HarnessError
from harness.model.expectations import OVER_S, Bound, Cleared, Detected, Recovered
from harness.model.plan import Plan
from harness.model.readings import Answer, Body, GateSeen, Planned, Reading
from harness.model.scenario import FaultStep
from harness.model.series import answer_series, reading_series
from harness.model.stack import StackDescription
from harness.runner.progress import OnProgress
from harness.runner.run import TICK_S, Run
from harness.runner.settling import LEAST_S, MARGIN_S, RecoveryTracker
from harness.runner.watching import Watchers
from harness.seams import Seams

CONFIRM_WITHIN_S = 8.0
"""How long entering a fault waits for its confirmation. One that comes later counts; the judge decides."""
EVERY_S = 0.03
CONTROL_S = 3.0
SHORTEST_S = 0.001


class OpenRun(Run):
    """One run, driven from outside. Its methods are for its own event loop."""

    def __init__(
        self, plan: Plan, stack: StackDescription, backend: Backend, run_dir: Path, on_progress: OnProgress
    ) -> None:
        self._answers: list[tuple[int, Answer]] = []
        self._readings: dict[str, list[tuple[int, Reading]]] = {}
        super().__init__(plan, stack, backend, run_dir, on_progress)
        self.ready = asyncio.Event()
        self._over = asyncio.Event()
        self._failure: str | None = None
        self._gate_s = 0.0
        self._seams: Seams | None = None
        self._watchers: Watchers | None = None
        self._began_s: dict[str, float] = {}
        self._ended_s: dict[str, float] = {}
        self._held: dict[str, asyncio.Task[None]] = {}
        self._recoveries: list[RecoveryTracker] = []

    @property
    def run_dir(self) -> Path:
        """The folder of the run."""
        return self._run_dir

    def finish(self, failure: str | None = None) -> None:
        """Let the run come to its end; with a failure of its caller, at once."""
        self._failure = failure
        self._over.set()

    async def enter(self, step: FaultStep, plan: Plan) -> None:
        """Put a fault in and wait until it is confirmed, as long as that may take."""
        self._replan(plan)
        self._phase("fault", step.id)
        self._began_s[step.id] = self._journal.now_s()
        if not self.plan.faults_on:
            return
        seams, watchers = self._on_a_stack_now()
        driver = await self._driver(step, seams, watchers)
        if driver is None:
            return  # written down: the judge knows that nothing can rest on this fault
        held = self._held[step.id] = asyncio.create_task(driver.run())
        deadline_s = self._journal.now_s() + CONFIRM_WITHIN_S
        while not held.done() and self._journal.now_s() < deadline_s:
            if self._stage_s(step.id, "confirmed") is not None:
                break
            await asyncio.sleep(EVERY_S)
        if held.done():
            held.result()

    async def leave(self, fault: str, plan: Plan) -> None:
        """Take a fault out and wait until it is measured to be gone. May be called again."""
        if fault in self._ended_s:
            return
        held = self._held.pop(fault, None)
        if held is not None:
            held.cancel()
            await asyncio.wait([held])
            if not held.cancelled():
                held.result()
            await self._drivers[fault].revert()
        self._ended_s[fault] = self._journal.now_s()
        self._replan(plan)

    async def expect(self, clause: Bound | Detected | Cleared | None, plan: Plan) -> None:
        """Take in a clause, or what else the plan has grown by."""
        if isinstance(clause, Recovered):
            self._recoveries.append(await self._caught_up(clause))
        self._replan(plan)

    async def wait_for(self, clause: Bound | Detected | Cleared) -> None:
        """Wait until a clause is content, or its time is over. Judges nothing."""
        while True:
            if self._content(clause):
                return
            await asyncio.sleep(EVERY_S)

    async def current(self, probe: str) -> float | None:
        """Return what a probe gives now; None where it gives nothing, or does not answer."""
        measure = ANSWER_PROBES.get(probe)
        if measure is None:
            found = self._live.readings.get(probe)
            return found[1].value if found is not None else None
        settled_s = self._settled_s()
        window = [a for _, a in self._answers if settled_s - OVER_S < a.due_s <= settled_s]
        return measure.measure(window).hi

    async def pause(self, seconds: float) -> None:
        """Let the run go on for a while."""
        await asyncio.sleep(seconds)

    async def _faults_and_recovery(self, gate: GateSeen, seams: Seams, watchers: Watchers) -> None:
        self._gate_s, self._seams, self._watchers = gate.at_s, seams, watchers
        self._phase("baseline")
        self.ready.set()
        over = asyncio.create_task(self._over.wait())
        try:
            while not over.done():
                self._tick()
                await asyncio.wait([over], timeout=TICK_S)
        finally:
            over.cancel()
        if self._failure is not None:
            raise HarnessError(self._failure)
        for fault in reversed(self._held):
            await self.leave(fault, self.plan)
        await self._settle()
        self._phase("observed")

    async def _settle(self) -> None:
        """Look on until nothing that is expected needs it."""
        self._phase("observing")
        least_s = max(self.plan.scenario.observe, LEAST_S if self.plan.faults_on else CONTROL_S)
        until_s = max(self._ended_s.values(), default=self._journal.now_s()) + least_s
        expect = self.plan.scenario.expect
        clauses: list[Bound | Detected | Cleared] = [*expect.detected, *expect.cleared, *expect.recovered]
        while self._journal.now_s() < until_s or not all(self._content(clause) for clause in clauses):
            self._tick()
            await asyncio.sleep(TICK_S)

    def _tick(self) -> None:
        for recovery in self._recoveries:
            recovery.tick(self._live, self._settled_s())

    def _content(self, clause: Bound | Detected | Cleared) -> bool:
        now_s = self._journal.now_s()
        if isinstance(clause, Recovered):
            start_s = self._start_s(clause.fault, clause.since == "injection")
            tracked = [r for r in self._recoveries if r.clause.id == clause.id]
            if not self.plan.faults_on:  # nothing is to break, so there is nothing to come back
                return start_s is None or now_s >= start_s + clause.hold
            return start_s is None or all(r.content(now_s, start_s) for r in tracked)
        if isinstance(clause, Bound):
            return True
        start_s = self._start_s(clause.fault, isinstance(clause, Detected))
        if start_s is None or now_s >= start_s + clause.within + MARGIN_S:
            return True
        firing = bool(self._live.firing(clause.alert, clause.labels))
        return firing if isinstance(clause, Detected) else not firing

    def _start_s(self, fault: str | None, injection: bool) -> float | None:
        """Return from when a clause counts; None where that has not come, and there is nothing to wait for."""
        name = fault or ""
        if not self.plan.faults_on:
            return (self._began_s if injection else self._ended_s).get(name)
        return self._stage_s(name, "injected" if injection else "reverted")

    def _stage_s(self, fault: str, stage: str) -> float | None:
        return next((at_s for key, at_s in self._live.stages.items() if key == (fault, stage)), None)

    async def _caught_up(self, clause: Recovered) -> RecoveryTracker:
        """Return a recovery that knows what has happened since its fault went in."""
        every_s = self.plan.stack.probe_every_s.get(clause.probe, 0.0)
        recovery = RecoveryTracker(clause, every_s=every_s)
        since_s = self._stage_s(clause.fault or "", "injected")
        now_s = self._settled_s()
        if since_s is not None:
            if clause.probe in ANSWER_PROBES:
                answers = sorted(self._answers, key=lambda pair: pair[1].due_s)
                points = await asyncio.to_thread(answer_series, clause, answers, since_s, now_s)
            else:
                points = reading_series(clause, self._readings.get(clause.probe, []), since_s, now_s, (), every_s)
            for point in points:
                recovery.take(point)
        return recovery

    def _replan(self, plan: Plan) -> None:
        steps = tuple(self._timed(step) for step in plan.scenario.timeline)
        self.plan = plan.model_copy(update={"scenario": plan.scenario.model_copy(update={"timeline": steps})})
        self._journal.write(Planned(plan=self.plan))

    def _timed(self, step: FaultStep) -> FaultStep:
        """Return a step with the times at which it really began and ended."""
        began_s = self._began_s.get(step.id)
        if began_s is None:
            return step
        at_s = round(max(0.0, began_s - self._gate_s), 3)
        ended_s = self._ended_s.get(step.id)
        lasted_s = step.duration if ended_s is None else max(SHORTEST_S, round(ended_s - began_s, 3))
        return step.model_copy(update={"at": at_s, "duration": lasted_s})

    def _on_a_stack_now(self) -> tuple[Seams, Watchers]:
        assert self._seams is not None
        assert self._watchers is not None
        return self._seams, self._watchers

    def _settled_s(self) -> float:
        return self._watchers.settled_s() if self._watchers is not None else self._journal.now_s()

    def _written(self, n: int, at_s: float, body: Body) -> None:
        super()._written(n, at_s, body)
        if isinstance(body, Answer):
            self._answers.append((n, body))
        elif isinstance(body, Reading):
            self._readings.setdefault(body.probe, []).append((n, body))
