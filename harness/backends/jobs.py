"""A job: one command of the stack's own tooling, run on the harness's machine, in a session of its own.

What it started ends with it, or when its time is over. Jobs and services have a lower priority than the harness, which
may be measuring another run meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.model.backend import JobResult
from harness.model.errors import BackendError

NICENESS = 5


def give_way(pid: int = 0) -> None:
    """Lower the priority of a process that leads its session, 0 for this one, where that can be done."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + NICENESS)
    give_way_as_session(pid)


def give_way_as_session(pid: int = 0) -> None:
    """The same for all of its session, where the scheduler groups by session and niceness counts within one only."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid or 'self'}/autogroup").write_text(str(NICENESS), encoding="ascii")


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
