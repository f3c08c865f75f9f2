"""What the runs of one pytest process share: the settings, the folder, the stacks, and one zygote a stack.

Made when the first run needs it and closed at the end of the session. Every run is judged as soon as it has ended, and
reported too unless other runs go on beside it.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.journal.files import read
from harness.journal.records import Journal
from harness.judge import judge
from harness.model.backend import Backend
from harness.model.errors import HarnessError
from harness.model.plan import Plan
from harness.model.stack import StackDescription
from harness.model.verdict import Verdict
from harness.pytest_plugin.folders import RunFolders
from harness.pytest_plugin.session_end import session_of
from harness.pytest_plugin.settings import Settings, read_settings
from harness.runner.backend_factory import Shared, backend_for
from harness.runner.progress import Progress
from harness.runner.run import Run
from harness.runner.warming import waiting_threads, warm_up

SESSION_RUNNER_KEY: pytest.StashKey[SessionRunner] = pytest.StashKey()


@dataclass
class Finished:
    """One run that has ended. `error` is a failure of the harness; then there may be no journal."""

    plan: Plan
    run_dir: Path
    journal: Journal | None = None
    verdict: Verdict | None = None
    error: HarnessError | None = None
    told: list[str] = field(default_factory=list)


class SessionRunner:
    """Runs plans in this process, one after the other."""

    def __init__(self, settings: Settings, session: str, *, alone: bool) -> None:
        """`alone` says that no other process of this session has runs."""
        self.settings = settings
        self._alone = alone
        self.folders = RunFolders(settings.reports, session)
        self._shared: dict[tuple[str, str], Shared] = {}

    def run(self, plan: Plan, stack: StackDescription) -> Finished:
        """Run a plan to its end, judge it and write its report. Ctrl-C heals, stops, and is raised on."""
        told: list[str] = []
        run_dir = self.folders.claim(plan.run)
        try:
            with calm_memory():
                outcome = asyncio.run(self._run(plan, stack, run_dir, told))
            error = outcome
        except HarnessError as failure:
            error = failure
        finished = self.finish(plan, run_dir, error)
        finished.told = told
        return finished

    async def _run(self, plan: Plan, stack: StackDescription, run_dir: Path, told: list[str]) -> HarnessError | None:
        asyncio.get_running_loop().set_default_executor(waiting_threads())
        backend = self.backend(stack, plan)
        try:
            outcome = await Run(plan, stack, backend, run_dir, lambda step: told.append(line_of(step))).go()
            return outcome.error
        finally:
            await backend.close()

    def backend(self, stack: StackDescription, plan: Plan) -> Backend:
        """Return a backend for one run. Raises HarnessError."""
        name = plan.backend
        key = (stack.file, name)
        warm_up(plan, stack)
        if key not in self._shared:
            self._shared[key] = Shared(stack, name)
        return backend_for(stack, name, self._shared[key].token)

    def finish(self, plan: Plan, run_dir: Path, error: HarnessError | None) -> Finished:
        """Judge a run that has ended and write its report.

        Drawing takes seconds of a core: beside other runs it would make those late, so it is left to the session's end.
        """
        from harness.report import write_run

        finished = Finished(plan, run_dir, error=error)
        try:
            finished.journal = read(run_dir)
            finished.verdict = judge(finished.journal)
            if self._alone:
                write_run(run_dir, finished.journal, finished.verdict)
        except HarnessError as failure:
            finished.error = error or failure
        return finished

    def close(self) -> None:
        """End what the runs shared. Idempotent."""
        for shared in self._shared.values():
            shared.close()
        self._shared.clear()


def session_runner_of(config: pytest.Config) -> SessionRunner:
    """Return the bench of this process, made if there is none."""
    if SESSION_RUNNER_KEY not in config.stash:
        config.stash[SESSION_RUNNER_KEY] = SessionRunner(
            read_settings(config), session_of(config), alone=not hasattr(config, "workerinput")
        )
        config.add_cleanup(config.stash[SESSION_RUNNER_KEY].close)
    return config.stash[SESSION_RUNNER_KEY]


def line_of(step: Progress) -> str:
    """Return one step of a run for a reader."""
    return f"{step.at_s:7.2f} s  {step.what:5}  {' '.join(step.text.split())}"


@contextmanager
def calm_memory() -> Iterator[None]:
    """Keep what was there before out of garbage collections: their pauses would make the harness late."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
