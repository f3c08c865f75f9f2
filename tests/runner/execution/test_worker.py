"""A worker as a process of its own: what it is asked, what it says, and how it ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_runs import plan_of

from harness.model.errors import BackendError, StackError
from harness.runner.execution import worker as worker_module
from harness.runner.execution.worker import Worker
from harness.runner.messages import Ended, Task, read_message, write_message
from harness.runner.progress import Progress

ARGV = [sys.executable, "-P", "-m", "harness.runner.execution.worker"]


def task(**changes: Any) -> bytes:
    line = Task(plan_of("0s", "1s"), Path("run"), "no-such-stack", "/nowhere").line()
    return json.dumps(json.loads(line) | changes).encode()


@pytest.mark.slow
def test_tasks_that_cannot_be_done_are_outcomes_and_the_end_of_input_is_the_end() -> None:
    done = subprocess.run(ARGV, input=task() + b"\n" + task(plan={}) + b"\n", capture_output=True, timeout=30)
    first, second = map(read_message, done.stdout.splitlines())
    assert isinstance(first, Ended)
    assert isinstance(first.error, StackError)
    assert "no-such-stack" in first.error.message
    assert isinstance(second, Ended)
    assert isinstance(second.error, BackendError)
    assert "the harness itself failed" in second.error.message
    assert b"Traceback" in done.stderr, "what led there is in the log"
    assert done.returncode == 0


async def test_what_a_run_prints_does_not_reach_the_suite_and_a_gone_suite_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    progress = Progress("run", 1.5, "note", "x", {"y": 1})
    for out in (Gone(), io.StringIO()):
        worker = Worker(out)
        worker._send(progress)
    assert read_message(out.getvalue().encode()) == progress

    async def failing(*_: Any) -> Any:
        raise BackendError("no", file="f", line=3, remedy="r")

    monkeypatch.setattr(worker_module.Worker, "_run", failing)
    monkeypatch.setattr(worker_module.Worker, "_stack", lambda *_: None)
    ended = await Worker(io.StringIO())._one(task())
    error = ended.error
    assert isinstance(error, BackendError)
    assert (error.message, error.file, error.line, error.field, error.remedy) == ("no", "f", 3, None, "r")


def test_an_end_is_read_as_it_was_written() -> None:
    for end in (Ended(), Ended(interrupted=True), Ended(late_s=0.012)):
        assert read_message(write_message(end).encode()) == end
    read = read_message(write_message(Ended(StackError("no", file="f", line=3, remedy="r"))).encode())
    assert isinstance(read, Ended)
    assert isinstance(read.error, StackError)
    assert str(read.error) == "f:3: no — r"
    with pytest.raises(KeyError):
        read_message(b"{}")


def test_a_thread_that_hangs_does_not_keep_the_worker() -> None:
    code = (
        "import sys, threading, asyncio, io, runpy, time\n"
        "threading.Thread(target=lambda: time.sleep(60)).start()\n"
        "sys.argv = ['worker']\n"
        "runpy.run_module('harness.runner.execution.worker', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, timeout=30)
    assert done.returncode == 0
