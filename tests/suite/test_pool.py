"""Suites as whole processes: what dies or is stopped in the middle leaves nothing running and a journal that tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from signalling import send

from harness.journal.files import read
from harness.judge import judge
from harness.model.readings import FaultSeen
from harness.model.verdict import Value
from harness.suite.pool import END_S

pytestmark = pytest.mark.slow

DRIVER = Path(__file__).parent / "suite_driver.py"
MARK = "HARNESS_SUITE_TEST"


class Driven:
    """A suite that runs as a process."""

    def __init__(self, folder: Path, seconds: str, count: int, jobs: int) -> None:
        self.folder = folder / "suite"
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, str(DRIVER), str(self.folder), seconds, str(count), str(jobs)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {MARK: self.mark},
        )  # fmt: skip
        self.lines: list[dict[str, Any]] = []

    def wait_for(self, *texts: str) -> None:
        """Read until a run reports one of these texts."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1].get("text") in texts:
                return
        pytest.fail(f"never reported {texts}: {self.lines} {self.process.stderr.read() if self.process.stderr else ''}")

    def outcomes(self, within_s: float = 40.0) -> dict[str, dict[str, Any]]:
        """Wait for the end and return the outcome of each run."""
        out, err = self.process.communicate(timeout=within_s)
        assert "Traceback" not in err, err
        self.lines += [json.loads(line) for line in out.splitlines()]
        return {line["outcome"]: line for line in self.lines if "outcome" in line}

    def marked(self, word: str = "") -> list[psutil.Process]:
        """Return every process that this suite started, the suite's own included."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def nothing_left(self) -> None:
        deadline = time.monotonic() + END_S
        while left := self.marked():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)

    def closed(self, run: str) -> Any:
        return read(self.folder / run).closed


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[..., Driven]]:
    driven: list[Driven] = []

    def start(seconds: str = "30s", count: int = 1, jobs: int = 1) -> Driven:
        driven.append(Driven(tmp_path, seconds, count, jobs))
        return driven[-1]

    yield start
    for one in driven:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def test_a_worker_that_is_killed_is_an_error_and_the_next_run_goes_on(drive: Callable[..., Driven]) -> None:
    suite = drive("500ms", count=2)
    suite.wait_for("lost injected")
    (worker,) = suite.marked("harness.runner.execution.worker")
    worker.kill()
    outcomes = suite.outcomes()
    assert outcomes["run-0"]["error"] == "the run's process was killed by SIGKILL before the run was over"
    assert outcomes["run-1"] == {"outcome": "run-1", "error": None, "interrupted": False}
    journal = read(suite.folder / "run-0")
    assert journal.closed is None
    assert judge(journal).value is Value.UNKNOWN
    assert suite.closed("run-1").reason == "completed"
    suite.nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_suite_that_is_stopped_heals_and_closes(drive: Callable[..., Driven], number: int) -> None:
    suite = drive(count=2)
    suite.wait_for("lost confirmed")
    suite.process.send_signal(number)
    outcomes = suite.outcomes()
    assert all(outcome["interrupted"] and outcome["error"] is None for outcome in outcomes.values())
    assert suite.process.returncode == 0
    assert suite.closed("run-0").reason == "interrupted"
    stages = [(seen.stage, seen.evidence) for _, seen in read(suite.folder / "run-0").of(FaultSeen)]
    assert stages[-1][0] == "reverted", stages
    assert not (suite.folder / "run-1").exists()
    suite.nothing_left()


def test_a_suite_that_is_killed_takes_its_stacks_with_it(drive: Callable[..., Driven]) -> None:
    suite = drive()
    suite.wait_for("lost confirmed")
    suite.process.kill()
    suite.process.communicate()
    suite.nothing_left()
    assert suite.closed("run-0").reason == "interrupted"
    # The stack dies while its run is being healed: the fault came out first, or it is written that it went with it.
    journal = read(suite.folder / "run-0")
    failed = journal.fault_stage("lost", "failed")
    assert journal.fault_stage("lost", "reverted") or (failed and "the stack has ended" in failed[1].evidence["error"])


def test_a_worker_that_hangs_is_killed_by_a_second_signal(drive: Callable[..., Driven]) -> None:
    suite = drive()
    suite.wait_for("lost confirmed")
    (worker,) = suite.marked("harness.runner.execution.worker")
    worker.suspend()
    for _ in range(2):
        send(suite.process, signal.SIGINT)
    outcomes = suite.outcomes()
    assert outcomes["run-0"]["interrupted"]
    suite.nothing_left()


def test_every_run_is_done_however_many_go_side_by_side(drive: Callable[..., Driven]) -> None:
    suite = drive("300ms", count=3, jobs=0)
    assert set(suite.outcomes(within_s=150)) == {"run-0", "run-1", "run-2"}
    assert suite.lines[0]["message"].startswith("-j auto: ")
    assert [suite.closed(f"run-{k}").reason for k in range(3)] == ["completed"] * 3
    suite.nothing_left()


def test_a_folder_that_cannot_be_written_is_an_outcome(drive: Callable[..., Driven], tmp_path: Path) -> None:
    (tmp_path / "suite").write_text("a file in the way")
    assert "could not be started" in drive().outcomes()["run-0"]["error"]
