"""What the runs of one pytest process share: the settings, the reports folder, and one zygote a stack.

It is made when the first run needs it and closed at the end of the session. Every run is concluded as soon as it has
ended, and reported too unless other processes have runs of their own meanwhile. The processes of pytest-xdist share the
reports folder: the first that needs it clears it, once, and each run gets a subfolder.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.journal.records import Journal
from harness.liveness import locked
from harness.model.backend import Backend
from harness.model.cleaned import for_terminal
from harness.model.errors import HarnessError
from harness.model.plan import Plan
from harness.model.stack import StackDescription
from harness.model.verdict import Verdict
from harness.pytest_plugin.session_end import SESSION_FILE, WRITTEN_KEY, session_of
from harness.pytest_plugin.settings import Settings, read_settings
from harness.runner.execution.backend_factory import Shared, backend_for
from harness.runner.execution.run import Run
from harness.runner.execution.warming import waiting_threads, warm_up
from harness.runner.progress import OnProgress, Progress
from harness.runner.safekeeping.latch import refuse_if_stopped
from harness.suite.conclude import ConcludedRun, StoredRun, conclude, stored_run
from harness.suite.folders import clear

if TYPE_CHECKING:
    from harness.report.documents import RunDocument


class RunFolders:
    """Makes folders under `root`, which belongs to one session of pytest at a time."""

    def __init__(self, root: Path, session: str) -> None:
        """`session` is the same in all processes of a session, and never again."""
        self.root = root
        self._session = session
        self._ready = False

    def claim(self, run: str) -> Path:
        """Make and return the folder of a run; a run that comes a second time gets a number."""
        try:
            if not self._ready:
                self._take_over()
                self._ready = True
            attempt = 1
            while True:
                folder = self.root / (run if attempt == 1 else f"{run}.{attempt}")
                try:
                    folder.mkdir()
                except FileExistsError:
                    attempt += 1
                else:
                    with _locked(self.root / SESSION_FILE) as (_, note):
                        note(f"{folder.name}\n")
                    return folder
        except OSError as error:
            raise HarnessError(
                f"the report cannot be written here: {error.strerror}",
                file=str(error.filename or self.root),
                remedy="choose another place with --harness-reports",
            ) from error

    def _take_over(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        with _locked(self.root / SESSION_FILE) as (before, note):
            session, *made = before.splitlines() or [""]
            if session != self._session:
                clear(self.root, "choose another place with --harness-reports")
                for name in (one for one in made if "/" not in one):
                    # A run that was broken off before its journal leaves nothing in its folder.
                    with suppress(OSError):
                        (self.root / name).rmdir()
                (self.root / SESSION_FILE).write_text("", "utf-8")
                note(f"{self._session}\n")


@contextmanager
def _locked(path: Path) -> Iterator[tuple[str, Callable[[str], None]]]:
    with locked(path, mode=0o666, wait=True), path.open("a+", encoding="utf-8") as file:
        file.seek(0)

        def note(text: str) -> None:
            file.write(text)
            file.flush()

        yield file.read(), note


SESSION_RUNNER_KEY: pytest.StashKey[SessionRunner] = pytest.StashKey()


@dataclass(frozen=True)
class EndedRun:
    """A run that has ended and is not judged yet, with its progress in lines of text."""

    plan: Plan
    stored: StoredRun
    progress: Sequence[str] = ()


@dataclass(frozen=True)
class Finished:
    """A run with its verdict. With an `error` of the harness, journal and verdict may be missing."""

    plan: Plan
    concluded: ConcludedRun
    progress: Sequence[str] = ()

    @property
    def run_dir(self) -> Path:
        """The folder of the run."""
        return self.concluded.run_dir

    @property
    def journal(self) -> Journal | None:
        """The journal of the run."""
        return self.concluded.journal

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the run."""
        return self.concluded.verdict

    @property
    def error(self) -> HarnessError | None:
        """What failed in the harness."""
        return self.concluded.error


class SessionRunner:
    """Runs plans in this process, one after the other."""

    def __init__(
        self,
        settings: Settings,
        session: str,
        written: dict[Path, RunDocument],
        announce: Callable[[str], None],
        *,
        alone: bool,
    ) -> None:
        """`alone`: no other process of this session has runs. `written` collects the reports of runs.

        `announce` displays a line at once, although pytest captures output.
        """
        self.settings = settings
        self._announce = announce
        self._alone = alone
        self._written = written
        self._folders = RunFolders(settings.reports, session)
        self._shared: dict[tuple[str, str, bool], Shared] = {}

    def claim(self, run: str) -> Path:
        """Make and return the folder of a run. Its name is the name of the run from then on."""
        return self._folders.claim(run)

    def run(self, plan: Plan, stack: StackDescription) -> EndedRun:
        """Run a plan to its end. Ctrl-C heals, stops, and is raised on."""
        progress: list[str] = []
        run_dir = self.claim(plan.run)
        paired = self.settings.paired and plan.twin is None
        plan = plan.model_copy(update={"run": run_dir.name, "paired": paired})
        try:
            refuse_if_stopped((plan.stack.name, plan.attach))
            with calm_memory():
                error = asyncio.run(self._run(plan, stack, run_dir, progress))
        except HarnessError as failure:
            error = failure
        return EndedRun(plan, stored_run(run_dir, error), progress)

    def wants_control(self, run: EndedRun) -> bool:
        """Whether a run is to be followed by its control: in a paired session, unless the harness failed."""
        return self.settings.paired and run.stored.error is None

    async def _run(self, plan: Plan, stack: StackDescription, run_dir: Path, lines: list[str]) -> HarnessError | None:
        asyncio.get_running_loop().set_default_executor(waiting_threads())
        backend = self.backend(stack, plan)
        try:
            outcome = await Run(plan, stack, backend, run_dir, self.recorder(lines)).go()
            return outcome.error
        finally:
            await backend.close()

    def recorder(self, lines: list[str]) -> OnProgress:
        """Return what keeps a run's progress as lines of text, and displays its notices at once."""

        def record(step: Progress) -> None:
            lines.append(line_of(step))
            if step.what == "notice":
                self._announce(step.text)

        return record

    def backend(self, stack: StackDescription, plan: Plan) -> Backend:
        """Return a backend for one run. Raises HarnessError."""
        links = plan.backend == "compose" and bool(plan.links)  # they need an image more
        key = (stack.file, plan.backend, links)
        warm_up(plan, stack)
        if key not in self._shared:
            self._shared[key] = Shared(stack, plan.backend, plan.attach, links=links)
        return backend_for(stack, plan.backend, self._shared[key].token, plan.attach)

    def conclude(self, run: EndedRun, control: EndedRun | None = None) -> list[Finished]:
        """Judge a run, and its control where there is one, and write their reports.

        Drawing a report beside other runs would make those late: then it is left to the end of the session.
        """
        pair = [(run, control.stored.journal if control is not None else None)]
        pair += [(control, None)] if control is not None else []
        return [self._concluded(ended, beside) for ended, beside in pair]

    def _concluded(self, ended: EndedRun, control: Journal | None) -> Finished:
        try:
            concluded = conclude(ended.stored, control, report=self._alone)
        except HarnessError as failure:  # the report could not be written
            concluded = conclude(ended.stored, control, report=False, error=failure)
        if concluded.document is not None:
            self._written[concluded.run_dir] = concluded.document
        return Finished(ended.plan, concluded, ended.progress)

    def close(self) -> None:
        """End what the runs shared. Idempotent."""
        for shared in self._shared.values():
            shared.close()
        self._shared.clear()


def session_runner_of(config: pytest.Config) -> SessionRunner:
    """Return the runner of this process, made at the first call."""
    if SESSION_RUNNER_KEY not in config.stash:
        config.stash[SESSION_RUNNER_KEY] = SessionRunner(
            read_settings(config),
            session_of(config),
            config.stash[WRITTEN_KEY],
            lambda text: _announce(config, text),
            alone=not hasattr(config, "workerinput"),
        )
        config.add_cleanup(config.stash[SESSION_RUNNER_KEY].close)
    return config.stash[SESSION_RUNNER_KEY]


def _announce(config: pytest.Config, text: str) -> None:
    """Display a line on pytest's terminal; a worker of pytest-xdist has none."""
    terminal, capture = (config.pluginmanager.get_plugin(name) for name in ("terminalreporter", "capturemanager"))
    if terminal is None:
        return
    with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
        terminal.ensure_newline()
        terminal.write_line(for_terminal(f"harness: {text}"))


def line_of(step: Progress) -> str:
    """Return one step of a run as a line of text."""
    return f"{step.at_s:7.2f} s  {step.what:5}  {' '.join(step.text.split())}"


@contextmanager
def calm_memory() -> Iterator[None]:
    """Keep objects that exist already out of garbage collections: the pauses would make the harness late."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
