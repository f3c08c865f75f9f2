"""The command line called in this process, with or without a runner."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from calling import DATA, Called, Harness, Runner

import harness.suite.pool
from harness.cli import main

LEFT_OUT = shutil.which("prometheus") is None and os.environ.get("CI") != "true"
collect_ignore = ["test_doctor_rules.py"] if LEFT_OUT else []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was left out, and how to get it."""
    if LEFT_OUT:
        how = "no Prometheus found: get it with `apt-get install prometheus`"
        terminalreporter.write_line(f"{how}, to run tests/cli/test_doctor_rules.py")


@pytest.fixture
def harness_(capfd: pytest.CaptureFixture[str]) -> Harness:
    """Call the command line."""

    def call(*arguments: str | Path) -> Called:
        before = signal.getsignal(signal.SIGINT)
        try:
            code = main([str(argument) for argument in arguments])
        finally:
            signal.signal(signal.SIGINT, before)
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Called(code, out, err)

    return call


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Put the pretended runner in the place of the real one."""
    pretended = Runner()
    monkeypatch.setattr(harness.suite.pool, "run_plans", pretended)
    return pretended


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with one good scenario and its stack, which is made the working directory."""
    stack = (DATA / "stack.compose.yaml").read_text("utf-8")
    (tmp_path / "stack.compose.yaml").write_text(stack, "utf-8")
    scenario = (DATA / "good.scenario.yaml").read_text("utf-8")
    (tmp_path / "scenarios").mkdir()
    text = scenario.replace("stack: small", "stack: ../stack.compose.yaml")
    (tmp_path / "scenarios" / "good.scenario.yaml").write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path
