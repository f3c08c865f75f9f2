"""The pool of worker processes that runs the plans of a suite side by side, with one zygote a stack.

Ctrl-C closes the workers' inputs: each heals its run, stops its stack and closes its journal; a second Ctrl-C kills
them and their stacks, and no further one does more, so that the report is written. A terminal that is closed (SIGHUP)
stops them as one Ctrl-C does, however often it says so: the shell and the kernel each may. A worker that died leaves a
journal that was never closed: the verdict is `unknown`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.description.stackfile import resolve_stack
from harness.journal.files import NAME as JOURNAL
from harness.judge.run_checks import LATE_S
from harness.model.errors import BackendError, HarnessError
from harness.model.plan import Plan
from harness.probes.machine import usable
from harness.runner.execution.backend_factory import Shared
from harness.runner.messages import LINE_LIMIT, Ended, RunOutcome, Task, read_message
from harness.runner.progress import OnProgress, Progress
from harness.suite.pace import first_pace, load, next_pace
from harness.suite.quiet import wait_for_quiet

END_S = 45.0
"""How long a worker may take to heal and stop; then it is killed, and its stack dies with it."""


@dataclass(frozen=True)
class SuiteRequest:
    """What to run, in which folder, and how many side by side."""

    name: str
    plans: tuple[Plan, ...]
    out_dir: Path
    jobs: int | None = None
    """How many side by side; None finds out how many the machine carries."""
    wait_for_quiet_s: float = 0.0
    """For how long each run waits at most for a machine that leaves it enough."""
    retry_busy: bool = False
    """Whether a run that the machine was too busy for is repeated once."""
    stacks: dict[str, str] = field(default_factory=dict)
    """Stack name to the file that describes it, where it is not to be found by its name."""


def run_plans(
    request: SuiteRequest,
    on_progress: OnProgress,
    on_message: Callable[[str], None],
    on_ended: Callable[[RunOutcome], None] = lambda _: None,
) -> list[RunOutcome]:
    """Run all plans and return their outcomes in the order of the plans. Blocks; Ctrl-C heals and stops.

    `on_ended` is called of each run, on a thread, before the next one starts in its place.
    """
    return asyncio.run(_Pool(request, on_progress, on_message, on_ended).go())


class _Pool:
    def __init__(
        self,
        request: SuiteRequest,
        on_progress: OnProgress,
        on_message: Callable[[str], None],
        on_ended: Callable[[RunOutcome], None],
    ) -> None:
        self._request = request
        self._on_progress = on_progress
        self._on_ended = on_ended
        self._on_message = on_message
        self._waiting = deque(enumerate(request.plans))
        self._outcomes: dict[int, RunOutcome] = {}
        self._workers: set[asyncio.subprocess.Process] = set()
        self._stopping = False
        self._killed = False
        self._signals: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
        self._on_hang_up: Any = None
        """What was done about a closed terminal before."""
        self._shared: dict[str, asyncio.Task[Shared]] = {}
        self._pace = first_pace(request.plans, request.jobs, len(usable()), load())
        self._changed = asyncio.Event()
        self._looking = asyncio.Lock()
        self._at_s: dict[str, float] = {}
        """When each run that is going on last reported, on its own clock."""
        self._beside: dict[int, int] = {}
        """For each run that is going on, how many went side by side with it at most, itself included."""

    async def go(self) -> list[RunOutcome]:
        if self._request.jobs is None and len(self._request.plans) > 1:
            self._on_message(
                f"-j auto: {side_by_side(self._pace.jobs)}, on {len(usable())} cores with a load of {load():.1f}"
            )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        self._on_hang_up = signal.getsignal(signal.SIGHUP)
        if self._on_hang_up is not signal.SIG_IGN:  # which is what nohup does: the suite goes on
            self._signals = (*self._signals, signal.SIGHUP)
            loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        try:
            async with asyncio.TaskGroup() as slots:
                for k in range(self._pace.most):
                    slots.create_task(self._slot(k))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            for task in self._shared.values():
                await asyncio.wait([task])
                if not task.cancelled() and task.exception() is None:
                    await asyncio.to_thread(task.result().close)
            self._release_signals(loop)
        return [self._outcomes[i] for i in sorted(self._outcomes)]

    def _release_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the signals back; of an interrupted suite, what comes from now on must not stop the report."""
        numbers = self._signals
        # Between the two steps the signals would have their usual effect.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        for number in numbers:
            loop.remove_signal_handler(number)
            if self._stopping:
                signal.signal(number, signal.SIG_IGN)
            elif number == signal.SIGHUP:
                signal.signal(number, self._on_hang_up)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _hang_up(self) -> None:
        if not self._stopping:
            self._stop()

    def _stop(self) -> None:
        again, self._stopping = self._stopping, True
        self._wake()
        if again:
            self._kill_all()
            return
        for worker in self._workers:
            if worker.stdin is not None:
                worker.stdin.close()
        asyncio.get_running_loop().call_later(END_S, self._kill_all)

    def _kill_all(self) -> None:
        self._killed = True
        for worker in self._workers:
            if worker.returncode is None:
                worker.kill()

    async def _slot(self, number: int) -> None:
        """Give one worker one plan after the other; a worker that died is replaced for the next plan."""
        worker: asyncio.subprocess.Process | None = None
        try:
            while self._waiting and not self._stopping:
                if number >= self._pace.jobs:
                    if worker is not None:
                        await self._end_worker(worker)
                        worker = None
                    await self._changed.wait()
                    continue
                await self._quiet()
                if not self._waiting or self._stopping:
                    continue  # another slot took the last one meanwhile
                index, plan = self._waiting.popleft()
                self._begin(index)
                try:
                    if worker is None or worker.returncode is not None:
                        worker = await self._start_worker(number)
                    self._outcomes[index] = await self._one(worker, plan)
                except HarnessError as error:
                    self._outcomes[index] = RunOutcome(error, plan=plan, run_dir=self._run_dir(plan))
                await self._over(index, self._outcomes[index])
        finally:
            self._wake()
            if worker is not None:
                await self._end_worker(worker)
            while self._stopping and self._waiting:
                index, plan = self._waiting.popleft()
                outcome = self._outcomes[index] = RunOutcome(interrupted=True, plan=plan, run_dir=self._run_dir(plan))
                self._on_progress(Progress(plan.run, 0.0, "done", _summary(outcome)))

    async def _quiet(self) -> None:
        """Wait for a quiet machine, unless runs of this suite are what keeps it busy."""
        async with self._looking:
            if self._request.wait_for_quiet_s > 0 and not self._beside:
                await wait_for_quiet(self._request.wait_for_quiet_s, self._on_message, lambda: self._stopping)

    def _begin(self, index: int) -> None:
        self._beside[index] = 0
        together = len(self._beside)
        self._beside = {run: max(most, together) for run, most in self._beside.items()}

    def _end(self, index: int, outcome: RunOutcome) -> None:
        """Adapt the number of runs side by side to how late this one was."""
        beside = self._beside.pop(index)
        if self._stopping or not self._waiting or outcome.late_s is None:
            return
        pace = next_pace(self._pace, outcome.late_s, LATE_S, beside)
        if pace.jobs != self._pace.jobs:
            late = f"{outcome.plan.run} was {outcome.late_s * 1e3:.0f} ms late"
            why = late if pace.jobs < self._pace.jobs else "runs are on time"
            self._on_message(f"-j auto: {side_by_side(pace.jobs)} from now on ({why})")
        self._pace = pace
        self._wake()

    def _wake(self) -> None:
        """Let waiting slots look again at what there is to do."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _one(self, worker: asyncio.subprocess.Process, plan: Plan) -> RunOutcome:
        run_dir = self._run_dir(plan)
        stack = self._stack_of(plan)
        try:
            shared = await self._share(stack, plan)
        except HarnessError as error:
            return RunOutcome(error, plan=plan, run_dir=run_dir)
        if self._stopping:
            return RunOutcome(interrupted=True, plan=plan, run_dir=run_dir)
        assert worker.stdin is not None
        try:
            worker.stdin.write(Task(plan, run_dir, stack, shared.token).line())
            await worker.stdin.drain()
            ended = await self._listen(worker)
        except (OSError, ValueError, KeyError, TypeError) as error:
            worker.kill()  # it does not follow the protocol any more
            await worker.wait()
            failed = BackendError(f"the run's process: {error}")
            ended = Ended(interrupted=True) if self._killed else Ended(failed)
        return RunOutcome(plan=plan, run_dir=run_dir, **vars(ended))

    async def _over(self, index: int, outcome: RunOutcome) -> None:
        """Say that a run is over, let it be concluded, and adapt the number of runs side by side."""
        at_s = self._at_s.pop(outcome.plan.run, 0.0)
        told = {"run_dir": str(outcome.run_dir)}
        self._on_progress(Progress(outcome.plan.run, at_s, "done", _summary(outcome), told))
        await asyncio.to_thread(self._on_ended, outcome)
        self._end(index, outcome)

    async def _listen(self, worker: asyncio.subprocess.Process) -> Ended:
        assert worker.stdout is not None
        while line := await worker.stdout.readline():
            message = read_message(line)
            if isinstance(message, Ended):
                return message
            self._at_s[message.run] = message.at_s
            self._on_progress(message)
        code = await worker.wait()
        if self._killed:
            return Ended(interrupted=True)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        error = BackendError(f"the run's process {how} before the run was over")
        return Ended(error, interrupted=self._stopping)

    def _stack_of(self, plan: Plan) -> str:
        return self._request.stacks.get(plan.scenario.stack, plan.scenario.stack)

    async def _share(self, stack: str, plan: Plan) -> Shared:
        """Start what the runs of a stack share, at the first call."""
        if stack not in self._shared:
            description = await asyncio.to_thread(resolve_stack, stack)
            if stack not in self._shared:
                links = any(one.links for one in self._request.plans if self._stack_of(one) == stack)
                self._shared[stack] = asyncio.create_task(
                    asyncio.to_thread(Shared, description, plan.backend, plan.attach, links=links)
                )
        return await asyncio.shield(self._shared[stack])

    async def _start_worker(self, number: int) -> asyncio.subprocess.Process:
        path = self._request.out_dir / f"worker-{number + 1}.log"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as log:
                worker = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-m",
                    "harness.runner.execution.worker",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    limit=LINE_LIMIT,
                    # Ctrl-C in the terminal is for the suite, which then stops its workers in good order.
                    start_new_session=True,
                )
        except OSError as error:
            message = f"the process of a run could not be started: {error.strerror}"
            raise BackendError(message, file=str(path)) from error
        self._workers.add(worker)
        return worker

    async def _end_worker(self, worker: asyncio.subprocess.Process) -> None:
        if worker.stdin is not None:
            worker.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await worker.wait()
        except TimeoutError:
            worker.kill()
            await worker.wait()
        self._workers.discard(worker)

    def _run_dir(self, plan: Plan) -> Path:
        return self._request.out_dir / plan.run


def side_by_side(jobs: int) -> str:
    """Return a number of runs in words."""
    return f"{jobs} runs side by side" if jobs > 1 else "one run at a time"


def _summary(outcome: RunOutcome) -> str:
    if outcome.interrupted:
        return "interrupted" if (outcome.run_dir / JOURNAL).exists() else "not run"
    return f"ended: {outcome.error}" if outcome.error is not None else "ended"
