"""The end of a session: one suite over all of its runs, wherever they ran, and a line at pytest's end.

Under pytest-xdist the workers run and judge; the controller, which runs nothing, judges the folders again (the judge is
a pure function of the journal, so the verdicts are the same), draws the reports of the runs and writes the suite.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.pytest_plugin.settings import read_settings, reports_of

if TYPE_CHECKING:
    from harness.report.documents import RunDocument, SuiteDocument
    from harness.suite.conclude import StoredRun

SESSION_FILE = ".session"
"""In the reports folder: the session of pytest that it belongs to, then the folders that it made, a line each."""
SESSION_KEY: pytest.StashKey[str] = pytest.StashKey()
WRITTEN_KEY: pytest.StashKey[dict[Path, RunDocument]] = pytest.StashKey()
"""The runs whose reports are written already."""
RUN_PROPERTY = "harness_run"
ERROR_PROPERTY = "harness_error"
VERDICT_PROPERTY = "harness_verdict"


def session_of(config: pytest.Config) -> str:
    """Return the name of this session, which the workers of pytest-xdist share."""
    return config.stash[SESSION_KEY]


def readable_path(path: Path) -> str:
    """Return a path relative to the working directory where it lies below that."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


class SessionEnd:
    """Notes the runs of a session, and writes the suite when all of them have ended."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        config.stash[SESSION_KEY] = self._worker["harness_session"] if self._worker else uuid.uuid4().hex
        config.stash[WRITTEN_KEY] = {}
        self._began_s = time.monotonic()
        self._began_unix = time.time()
        self._errors: dict[Path, str | None] = {}
        self._messages: list[tuple[str, bool]] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Pass the session to a worker of pytest-xdist."""
        node.workerinput["harness_session"] = session_of(self._config)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the runs of a test, and what failed in the harness; the controller hears of every worker's tests."""
        run: Path | None = None
        for name, value in report.user_properties:
            if name == RUN_PROPERTY:
                run = Path(str(value))
                self._errors[run] = None
            elif name == ERROR_PROPERTY and run is not None:
                self._errors[run] = str(value)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the suite, in the process that heard of all runs."""
        if self._worker is not None or self._config.getoption("collectonly"):
            return
        reports = reports_of(self._config)
        if not self._has_run(reports):
            return
        from harness.model.errors import HarnessError

        try:
            self._summarise(self._write(reports), reports)
        except HarnessError as error:
            self._messages.append((f"no report of the suite: {error}", True))
            session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR

    def _has_run(self, reports: Path) -> bool:
        try:
            noted = (reports / SESSION_FILE).read_text("utf-8")
            return noted.partition("\n")[0] == session_of(self._config)
        except OSError:
            return False

    def _write(self, reports: Path) -> SuiteDocument:
        from harness.report import SuiteInfo
        from harness.runner.planning.plan import DEFAULT_SEED
        from harness.suite.conclude import conclude_all
        from harness.suite.folders import run_folders
        from harness.suite.suite import first_seed, iso, write_report

        settings = read_settings(self._config)
        folders = {*run_folders(reports), *self._errors}
        stored = sorted((self._stored(run) for run in folders), key=_order)
        info = SuiteInfo(
            name=reports.name,
            backend=settings.backend,
            seed=first_seed(stored, DEFAULT_SEED if settings.seed is None else settings.seed),
            started=iso(self._began_unix),
            wall_s=time.monotonic() - self._began_s,
            runs=[],
            twin=settings.twin,
        )
        written: dict[Path, RunDocument] = self._config.stash[WRITTEN_KEY]
        return write_report(reports, info, conclude_all(stored, written))

    def _stored(self, run_dir: Path) -> StoredRun:
        from harness.model.errors import HarnessError
        from harness.suite.conclude import stored_run

        error = self._errors.get(run_dir)
        return stored_run(run_dir, None if error is None else HarnessError(error))

    def _summarise(self, document: SuiteDocument, reports: Path) -> None:
        counts = document.counts
        summary = f"{counts.passed} pass, {counts.fail} fail, {counts.unknown} unknown"
        self._messages.append((f"{summary}; report: {readable_path(reports / 'index.html')}", False))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the counts of the runs and the place of their report."""
        if not self._messages:
            return
        from harness.model.cleaned import for_terminal

        for text, bad in self._messages:
            terminalreporter.write_line(for_terminal(f"harness: {text}"), red=bad)


def _order(run: StoredRun) -> tuple[str, str]:
    return (run.journal.header.started if run.journal is not None else "", run.run_dir.name)
