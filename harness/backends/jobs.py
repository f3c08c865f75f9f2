"""A job: one command of the stack's own tooling, run on this machine; and the one that prepares the stack's data.

What a job started ends with it, or when its time is over. A stack's `x-harness.data` command prints the directory of
its data, and makes it at first use. Services find it as `{data}`. The command that writes the workload reads it too, so
whoever comes first prepares it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from harness.backends.priority import give_way
from harness.model.backend import JobResult
from harness.model.errors import BackendError
from harness.model.stack import StackDescription

PREPARE_WITHIN_S = 300.0
NOTICE_AFTER_S = 2.0
"""A command that finds its data in place ends sooner than this, and nobody needs to hear of it."""
_directories: dict[tuple[str, tuple[str, ...]], str] = {}


async def run_job(argv: Sequence[str], env: Mapping[str, str], home: Path, timeout_s: float) -> JobResult:
    """Run a command to its end; a relative program is looked up in `home`. Raises BackendError after `timeout_s`."""
    program = str(home / argv[0]) if os.sep in argv[0] else argv[0]
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    # The stack's own modules lie beside its file.
    search = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *argv[1:],
            env={**os.environ, "PATH": path, "PYTHONPATH": search, **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return JobResult(127, "", f"{argv[0]}: {error.strerror}")
    give_way(process.pid)
    try:
        async with asyncio.timeout(timeout_s):
            out, errors = await process.communicate()
    except TimeoutError:
        raise BackendError(f"the job {' '.join(argv)} did not end within {timeout_s:g} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.returncode is None:
            await process.wait()
    code = process.returncode
    return JobResult(127 if code is None else code, out.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))


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
