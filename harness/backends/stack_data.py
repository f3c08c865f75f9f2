"""The directory with a stack's prepared data: what its `x-harness.data` command prints, and makes at first use.

Services find it as `{data}`, and the command that writes the workload reads it too, so whoever comes first prepares it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from harness.model.backend import JobResult
from harness.model.errors import BackendError
from harness.model.stack import StackDescription

PREPARE_WITHIN_S = 300.0
NOTICE_AFTER_S = 2.0
"""A command that finds its data in place ends sooner than this, and nobody needs to hear of it."""

_directories: dict[tuple[str, tuple[str, ...]], str] = {}


class RunJob(Protocol):
    """How a backend runs a command of the stack's own tooling."""

    def __call__(self, argv: list[str], timeout_s: float, /) -> Awaitable[JobResult]: ...


async def data_directory(
    stack: StackDescription, run_job: RunJob, notify: Callable[[str], None] | None = None
) -> str | None:
    """Return the data directory of a stack, prepared if it is not there yet; None for a stack without data.

    The command runs once in a process. `notify` gets one line if it takes a while. Raises BackendError with the last
    lines of the command's standard error.
    """
    if stack.data is None:
        return None
    key = (stack.file, stack.data.command)
    if key not in _directories:
        _directories[key] = await _prepare(list(stack.data.command), run_job, notify)
    return _directories[key]


async def _prepare(command: list[str], run_job: RunJob, notify: Callable[[str], None] | None) -> str:
    job = asyncio.ensure_future(run_job(command, PREPARE_WITHIN_S))
    try:
        done, _ = await asyncio.wait([job], timeout=NOTICE_AFTER_S)
        if not done and notify is not None:
            notify(f"preparing the stack's data with `{' '.join(command)}`: done once, at first use")
        result = await job
    finally:
        job.cancel()
    lines = result.stdout.splitlines()
    if result.exit_code != 0 or not lines:
        raise BackendError(
            f"the stack's data could not be prepared: `{' '.join(command)}` exited with {result.exit_code}\n"
            f"{result.stderr[-2000:]}"
        )
    return lines[-1]
