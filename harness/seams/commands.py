"""Commands on the harness's own machine: what a probe or a fault of kind `command` runs.

In a command's words, `service:port` stands for where that service can be reached, and `${secret:NAME}` for a secret. A
command runs in the compose file's folder and in a process group of its own, which is killed when its time is over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.model.errors import FaultError
from harness.model.secrets import hide, reveal

if TYPE_CHECKING:
    import asyncio

    from harness.model.backend import Backend

MOST_BYTES = 2**20
GRACE_S = 0.2
MARK = "HARNESS_MARK"
"""The variable that tells the commands of one fault of one run from all others."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. Its output is without secrets; a negative exit code is the signal that ended it."""

    exit_code: int
    lines: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def last_line(self) -> str:
        """The last line of its output that is not empty."""
        return next((line for line in reversed(self.lines) if line.strip()), "").strip()

    @property
    def complaint(self) -> str:
        """The last line of its errors, or else of its output."""
        reply = next((line for line in reversed(self.errors) if line.strip()), "") or self.last_line
        return reply.strip()[:300] or "it printed nothing"


def addressed(argv: Sequence[str], backend: Backend, services: Mapping[str, object]) -> list[str]:
    """Return a command with every `service:port` replaced by where that is. Raises BackendError."""
    from harness.model.stack import reference_pattern  # slow to import, and not needed to list faults

    if not services:
        return list(argv)
    pattern = reference_pattern(services)
    return [pattern.sub(lambda match: backend.resolve(match[0]), word) for word in argv]


async def run(
    argv: Sequence[str], timeout_s: float, folder: Path, environment: Mapping[str, str] | None = None
) -> Done:
    """Run a command to its end. Raises FaultError where it cannot be started or takes too long."""
    import asyncio  # here and not above: to list or check faults needs no event loop

    words = [reveal(word) for word in argv]
    program = str(folder / words[0]) if os.sep in words[0] else words[0]
    own = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{own}{os.pathsep}{os.environ.get('PATH', '')}", **(environment or {})}
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *words[1:],
            cwd=folder,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FaultError(f"the command {argv[0]!r} cannot be started: {reason}") from None
    try:
        async with asyncio.timeout(timeout_s):
            out, errors = await asyncio.gather(_read(process.stdout), _read(process.stderr))
            code = await process.wait()
    except TimeoutError:
        raise FaultError(f"the command {argv[0]!r} took longer than {timeout_s:g} s") from None
    finally:
        await _ended(process)
    return Done(code, _lines(out), _lines(errors))


def end_marked(mark: str) -> int:
    """Kill every process that has `MARK=mark` in its environment; return how many. Blocks.

    What a command has started outlives the process that ran it, if that is killed.
    """
    wanted = f"{MARK}={mark}".encode(errors="replace")
    found = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
                found += 1
    return found


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    """Return the end of a stream, of a bounded length."""
    assert stream is not None
    kept = b""
    while part := await stream.read(65536):
        kept = (kept + part)[-MOST_BYTES:]
    return kept


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of a command and all that it started."""
    import asyncio

    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            # To their end, so that no pipe is left open here. What has left the group may hold them for longer.
            await asyncio.gather(_read(process.stdout), _read(process.stderr), process.wait())


def _lines(data: bytes) -> tuple[str, ...]:
    return tuple(hide(line) for line in data.decode("utf-8", "replace").splitlines())
