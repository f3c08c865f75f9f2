"""A process that runs plans for a suite, one at a time: reads tasks as JSON lines, writes progress and outcomes.

Runs side by side are in processes of their own, so that none waits for the interpreter of another. When its input ends,
its owner is gone or stops it: it heals and stops the current run, then ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any, NoReturn, TextIO

from harness.description.stackfile import resolve_stack
from harness.model.errors import BackendError, HarnessError
from harness.model.plan import Plan
from harness.model.stack import StackDescription
from harness.runner.backend_factory import backend_for
from harness.runner.progress import Progress
from harness.runner.run import Run, RunOutcome
from harness.runner.warming import waiting_threads, warm_up

LINE_LIMIT = 16 * 2**20
INTERRUPTED: dict[str, Any] = {"interrupted": True, "error": None}


class Worker:
    """Runs tasks until there are no more."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._stacks: dict[str, StackDescription] = {}

    async def serve(self, lines: asyncio.StreamReader) -> None:
        """Run each task; the end of the input cancels the current one."""
        # Long-lived objects of the imports are left out of collections: pauses would make the harness late.
        gc.collect()
        gc.freeze()
        line = await lines.readline()
        while line:
            following = asyncio.create_task(lines.readline())
            task = asyncio.create_task(self._one(json.loads(line)))
            await asyncio.wait([following, task], return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not following.result():
                task.cancel()
            await asyncio.wait([task])
            self._send("outcome", INTERRUPTED if task.cancelled() else task.result())
            gc.collect()
            line = await following

    async def _one(self, task: dict[str, Any]) -> dict[str, Any]:
        error: HarnessError | None = None
        try:
            plan = Plan.model_validate(task["plan"])
            stack = self._stack(task["stack"])
            outcome = await self._run(plan, stack, Path(task["run_dir"]), task["token"])
            error = outcome.error
        except HarnessError as failure:
            error = failure
        except asyncio.CancelledError:
            return INTERRUPTED
        except Exception as failure:  # a bug in the harness: one line for the user, the traceback in the log
            logging.getLogger(__name__).exception("the run failed")
            error = BackendError(
                f"the harness itself failed: {type(failure).__name__}: {failure}",
                remedy="the traceback is in the worker's log beside the runs",
            )
        return {"interrupted": False, "error": _plain(error)}

    def _send(self, kind: str, data: dict[str, Any]) -> None:
        # The suite may be gone; the run must be healed and stopped all the same.
        with contextlib.suppress(OSError, ValueError):
            self._out.write(json.dumps({kind: data}) + "\n")
            self._out.flush()

    def _send_progress(self, progress: Progress) -> None:
        fields = ("run", "at_s", "what", "text", "data")
        self._send("progress", {f: getattr(progress, f) for f in fields})

    async def _run(self, plan: Plan, stack: StackDescription, run_dir: Path, token: str) -> RunOutcome:
        await asyncio.to_thread(warm_up, plan, stack)
        backend = backend_for(stack, plan.backend, token, plan.attach)
        try:
            return await Run(plan, stack, backend, run_dir, self._send_progress).go()
        finally:
            await backend.close()

    def _stack(self, name: str) -> StackDescription:
        if name not in self._stacks:
            self._stacks[name] = resolve_stack(name)
        return self._stacks[name]


def _plain(error: HarnessError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    fields = ("message", "file", "line", "field", "remedy")
    return {"kind": type(error).__name__} | {f: getattr(error, f) for f in fields}


async def main(out: TextIO) -> None:
    """Serve tasks from standard input."""
    loop = asyncio.get_running_loop()
    threads = waiting_threads()
    loop.set_default_executor(threads)
    lines = asyncio.StreamReader(limit=LINE_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await Worker(out).serve(lines)
    threads.shutdown(wait=False, cancel_futures=True)


def _own_stdout() -> TextIO:
    """Keep standard output for messages to the suite; other prints go to the log."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _leave() -> NoReturn:
    """Exit at once: a thread that hangs in a call must not keep the process alive."""
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(_own_stdout()))
    _leave()
