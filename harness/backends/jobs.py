"""A job: one command of the stack's own tooling, run where the harness runs, in a session of its own.

What it started goes with it when it ends or when its time is over. It gives way to the harness, which may be measuring
another run meanwhile, as a stack does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.backends.priority import give_way
from harness.model.backend import JobResult
from harness.model.errors import BackendError


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
