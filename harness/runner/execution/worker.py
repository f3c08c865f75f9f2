"""A process that runs plans for a suite, one at a time: reads tasks as JSON lines, writes progress and outcomes.

Runs side by side are in processes of their own, so that none waits for the interpreter of another. When its input ends,
its owner is gone or stops it: it heals and stops the current run, then ends. As a program it runs without garbage
collection from its first import until `serve`, hence the block between the imports.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # what is imported stays: to look for garbage in it takes a tenth of the start

import asyncio
import contextlib
import logging
import os
import sys
from typing import NoReturn, TextIO

from harness.backends.priority import come_first
from harness.description.stackfile import resolve_stack
from harness.model.errors import BackendError, HarnessError
from harness.model.stack import StackDescription
from harness.runner.execution.backend_factory import backend_for
from harness.runner.execution.run import Run
from harness.runner.execution.warming import waiting_threads, warm_up
from harness.runner.messages import LINE_LIMIT, Ended, RunOutcome, Task, write_message
from harness.runner.progress import Progress

INTERRUPTED = Ended(interrupted=True)


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
        gc.enable()
        line = await lines.readline()
        while line:
            following = asyncio.create_task(lines.readline())
            task = asyncio.create_task(self._one(line))
            await asyncio.wait([following, task], return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and not following.result():
                task.cancel()
            await asyncio.wait([task])
            self._send(INTERRUPTED if task.cancelled() else task.result())
            gc.collect()
            line = await following

    async def _one(self, line: bytes) -> Ended:
        try:
            return await self._run(Task.read(line))
        except HarnessError as error:
            return Ended(error)
        except asyncio.CancelledError:
            return INTERRUPTED
        except Exception as failure:  # a bug in the harness: one line for the user, the traceback in the log
            logging.getLogger(__name__).exception("the run failed")
            message = f"the harness itself failed: {type(failure).__name__}: {failure}"
            return Ended(BackendError(message, remedy="the traceback is in the worker's log beside the runs"))

    def _send(self, message: Progress | Ended) -> None:
        # The suite may be gone; the run must be healed and stopped all the same.
        with contextlib.suppress(OSError, ValueError):
            self._out.write(write_message(message))
            self._out.flush()

    async def _run(self, task: Task) -> RunOutcome:
        plan, stack = task.plan, self._stack(task.stack)
        await asyncio.to_thread(warm_up, plan, stack)
        backend = backend_for(stack, plan.backend, task.token, plan.attach)
        try:
            return await Run(plan, stack, backend, task.run_dir, self._send).go()
        finally:
            await backend.close()

    def _stack(self, name: str) -> StackDescription:
        if name not in self._stacks:
            self._stacks[name] = resolve_stack(name)
        return self._stacks[name]


async def main(out: TextIO) -> None:
    """Serve tasks from standard input."""
    come_first()
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
