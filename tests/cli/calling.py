"""What a call of the command line gives, and a runner that only pretends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.journal.writer import JournalWriter
from harness.model.errors import HarnessError
from harness.model.readings import Closed
from harness.runner.messages import RunOutcome
from harness.runner.progress import OnProgress, Progress
from harness.suite.pool import SuiteRequest

DATA = Path(__file__).parents[1] / "runner" / "data"


@dataclass(frozen=True)
class Called:
    """What a call of the command line gave."""

    code: int
    out: str
    err: str


Harness = Callable[..., Called]


@dataclass
class Runner:
    """Stands in for the runner: keeps what it was asked, and leaves a journal a run."""

    requests: list[SuiteRequest] = field(default_factory=list)
    error: HarnessError | None = None
    interrupt_after: int | None = None
    crash: BaseException | None = None

    def __call__(
        self,
        request: SuiteRequest,
        on_progress: OnProgress,
        on_message: Callable[[str], None],
        on_ended: Callable[[RunOutcome], None],
    ) -> list[RunOutcome]:
        self.requests.append(request)
        if self.crash is not None:
            raise self.crash
        outcomes = [self._one(number, request, on_progress) for number in range(len(request.plans))]
        for outcome in outcomes:
            on_ended(outcome)
        return outcomes

    def _one(self, number: int, request: SuiteRequest, on_progress: OnProgress) -> RunOutcome:
        plan = request.plans[number]
        run_dir = request.out_dir / plan.run
        if self.interrupt_after is not None and number >= self.interrupt_after:
            return RunOutcome(interrupted=True, plan=plan, run_dir=run_dir)
        on_progress(Progress(plan.run, 0.5, "phase", "gate"))
        on_progress(Progress(plan.run, 1.0, "fault", "slow injected", {"fault": "slow"}))
        on_progress(Progress(plan.run, 2.0, "alert", "ObjectStoreSlow[x]\nfiring"))
        journal = JournalWriter(run_dir / "journal.jsonl", plan)
        journal.write(Closed(reason="completed"))
        journal.close()
        on_progress(Progress(plan.run, 3.0, "done", "ended"))
        return RunOutcome(self.error, plan=plan, run_dir=run_dir)
