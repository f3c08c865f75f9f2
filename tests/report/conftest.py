"""One suite of every kind of run, written once for all tests that only read it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from chromium import CHROMIUM, HOW
from made_runs import ALL, control

from harness.report import JudgedRun, SuiteInfo, write_run, write_suite

# In CI a missing browser is a failure, and the tests say so themselves.
LEFT_OUT = CHROMIUM is None and os.environ.get("CI") != "true"
collect_ignore = ["test_browser.py"] if LEFT_OUT else []
ODD_LOG = 'odd "name" #1.log'


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was left out, and how to get it."""
    if LEFT_OUT:
        terminalreporter.write_line(HOW)


@pytest.fixture(scope="session")
def made_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a suite with a run of every kind, and one that left no journal."""
    folder = tmp_path_factory.mktemp("suite")
    runs = []
    for name, make in ALL.items():
        journal, verdict = make()
        (folder / name / "logs").mkdir(parents=True)
        (folder / name / "logs" / ODD_LOG).write_text("x")
        against = control()[0] if name in ("pass", "fail") else None
        document = write_run(folder / name, journal, verdict, against)
        runs.append(JudgedRun(folder / name, journal, verdict, None, document))
    runs.append(JudgedRun(folder / "no-journal", None, None, "the port is taken"))
    write_suite(folder, SuiteInfo("nightly", "local", 7, "2026-01-05T03:00:00.000+00:00", 71.25, runs))
    return folder
