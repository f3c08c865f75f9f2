"""A worker as a process of its own: what it is asked, what it says, and how it ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pytest
from fake_runs import plan_of

from harness.model.errors import BackendError
from harness.runner import worker as worker_module
from harness.runner.worker import Worker

ARGV = [sys.executable, "-P", "-m", "harness.runner.worker"]


def task(**changes: Any) -> bytes:
    plan = plan_of("0s", "1s").model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps(
        {"plan": plan, "run_dir": "run", "stack": "no-such-stack", "token": "/nowhere"} | changes
    ).encode()


def test_tasks_that_cannot_be_done_are_outcomes_and_the_end_of_input_is_the_end() -> None:
    done = subprocess.run(ARGV, input=task() + b"\n" + task(plan={}) + b"\n", capture_output=True, timeout=30)
    first, second = (json.loads(line)["outcome"] for line in done.stdout.splitlines())
    assert first["error"]["kind"] == "StackError"
    assert "no-such-stack" in first["error"]["message"]
    assert second["error"]["kind"] == "BackendError"
    assert "the harness itself failed" in second["error"]["message"]
    assert b"Traceback" in done.stderr, "what led there is in the log"
    assert done.returncode == 0


async def test_what_a_run_prints_does_not_reach_the_suite_and_a_gone_suite_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    for out in (Gone(), io.StringIO()):
        worker = Worker(out)
        worker._send("progress", {"text": "x"})
    assert json.loads(out.getvalue()) == {"progress": {"text": "x"}}

    async def failing(*_: Any) -> Any:
        raise BackendError("no", file="f", line=3, remedy="r")

    monkeypatch.setattr(worker_module.Worker, "_run", failing)
    monkeypatch.setattr(worker_module.Worker, "_stack", lambda *_: None)
    said = await Worker(io.StringIO())._one(json.loads(task()))
    assert said["error"] == {
        "kind": "BackendError",
        "message": "no",
        "file": "f",
        "line": 3,
        "field": None,
        "remedy": "r",
    }


def test_a_thread_that_hangs_does_not_keep_the_worker() -> None:
    code = (
        "import sys, threading, asyncio, io, runpy, time\n"
        "threading.Thread(target=lambda: time.sleep(60)).start()\n"
        "sys.argv = ['worker']\n"
        "runpy.run_module('harness.runner.worker', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"", capture_output=True, timeout=30)
    assert done.returncode == 0
