"""What a session leaves behind: one suite over all of its runs, wherever they ran, and a line at pytest's end.

Under pytest-xdist the workers run and judge; the controller, which runs nothing, judges the folders again (the judge is
a pure function of the journal, so this gives the same), draws the reports of the runs and writes the suite.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_plugin.settings import read_settings, reports_of

if TYPE_CHECKING:
    from harness.report import JudgedRun
    from harness.report.documents import SuiteDocument

SESSION_FILE = ".session"
"""In the folder of reports: to which session of pytest it belongs."""
SESSION_KEY: pytest.StashKey[str] = pytest.StashKey()
RUN_PROPERTY = "harness_run"
ERROR_PROPERTY = "harness_error"
VERDICT_PROPERTY = "harness_verdict"


def session_of(config: pytest.Config) -> str:
    """Return the name of this session, which the workers of pytest-xdist share."""
    return config.stash[SESSION_KEY]


class SessionEnd:
    """Notes which runs there were, and writes the suite when all of them have ended."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        config.stash[SESSION_KEY] = self._worker["harness_session"] if self._worker else uuid.uuid4().hex
        self._began_s = time.monotonic()
        self._started = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        self._errors: dict[Path, str | None] = {}
        self._said: list[tuple[str, bool]] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist which session it belongs to."""
        node.workerinput["harness_session"] = session_of(self._config)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a run, and what failed in the harness; on the controller this hears of every worker's tests."""
        properties = dict(report.user_properties)
        if RUN_PROPERTY in properties:
            error = properties.get(ERROR_PROPERTY)
            self._errors[Path(str(properties[RUN_PROPERTY]))] = None if error is None else str(error)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the suite, on the process that heard of all runs."""
        if self._worker is not None or self._config.getoption("collectonly"):
            return
        reports = reports_of(self._config)
        if not self._has_run(reports):
            return
        from harness.model.errors import HarnessError

        try:
            self._tell(self._write(reports), reports)
        except HarnessError as error:
            self._said.append((f"no report of the suite: {error}", True))
            session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR

    def _has_run(self, reports: Path) -> bool:
        try:
            return (reports / SESSION_FILE).read_text("utf-8") == session_of(self._config)
        except OSError:
            return False

    def _write(self, reports: Path) -> SuiteDocument:
        from harness.report import SuiteInfo, write_suite
        from harness.runner.plan import DEFAULT_SEED

        settings = read_settings(self._config)
        folders = {entry for entry in reports.iterdir() if (entry / "journal.jsonl").is_file()}
        suite = SuiteInfo(
            name=reports.name,
            backend=settings.backend,
            seed=DEFAULT_SEED if settings.seed is None else settings.seed,
            started=self._started,
            wall_s=time.monotonic() - self._began_s,
            runs=sorted((self._judged(run) for run in folders | set(self._errors)), key=_order),
            twin=settings.twin,
        )
        return write_suite(reports, suite)

    def _judged(self, run_dir: Path) -> JudgedRun:
        from harness.journal.files import read
        from harness.judge import judge
        from harness.model.errors import JournalError
        from harness.report import JudgedRun, write_run

        error = self._errors.get(run_dir)
        try:
            journal = read(run_dir)
        except JournalError as unreadable:
            return JudgedRun(run_dir, None, None, error or str(unreadable))
        verdict = judge(journal)
        written = (run_dir / "report.html").exists()
        return JudgedRun(run_dir, journal, verdict, error, None if written else write_run(run_dir, journal, verdict))

    def _tell(self, document: SuiteDocument, reports: Path) -> None:
        from harness.pytest_plugin.failure_text import shown_path

        counts = document.counts
        said = f"{counts.passed} pass, {counts.fail} fail, {counts.unknown} unknown"
        self._said.append((f"{said}; report: {shown_path(reports / 'index.html')}", False))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what came of the runs and where their report is."""
        for text, bad in self._said:
            terminalreporter.write_line(f"harness: {text}", red=bad)


def _order(run: JudgedRun) -> tuple[str, str]:
    return (run.journal.header.started if run.journal is not None else "", run.run_dir.name)
