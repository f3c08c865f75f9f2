"""Work beside a measurement that keeps the machine busy: loops of this or another user or in a container, or memory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.results import CannotMeasureError

USER = "nobody"
IMAGE = "python:3-slim"
IMAGE_VARIABLE = "HARNESS_TOOLS_IMAGE"
"""Names another image with Python, as it does for the harness's own helpers."""
LEFT = 0.03
"""The share of the memory that the filler leaves."""
STARTED_S = 60.0

_LOOPS = "import os\nfor _ in range({more}):\n    if not os.fork(): break\nwhile True: pass"
# It touches every page again and again, so that only what others need can be taken away. The kernel ends it first.
_MEMORY = """\
open("/proc/self/oom_score_adj", "w").write("1000")
def available():
    lines = dict(line.split(":") for line in open("/proc/meminfo"))
    return int(lines["MemAvailable"].split()[0]), int(lines["MemTotal"].split()[0])
held = []
while True:
    free, whole = available()
    if free > {left} * whole:
        held.append(bytearray(64 << 20))
        held[-1][::4096] = bytes([1]) * len(held[-1][::4096])
    for block in held[::8]:
        block[::4096] = bytes([1]) * len(block[::4096])
"""


@contextmanager
def other_work(kind: str, loops: int) -> Iterator[None]:
    """Keep the machine busy. Raises CannotMeasureError where it cannot be done here."""
    if not loops:
        yield
        return
    end = KINDS[kind](loops)
    try:
        yield
    finally:
        end()


def _processes(program: str, user: str | None = None) -> Callable[[], None]:
    """Start a program in a session of its own, as the programs of another user are; return what ends it."""
    # In the user's own folder nothing can be read by another user.
    work = subprocess.Popen(
        [_python(user), "-c", program], stdin=subprocess.DEVNULL, start_new_session=True, user=user, cwd="/"
    )

    def end() -> None:
        os.killpg(work.pid, signal.SIGKILL)
        work.wait()

    return end


def _python(user: str | None) -> str:
    """Return a Python that a user can start: that of the system for another one."""
    return sys.executable if user is None else shutil.which("python3", path="/usr/bin:/bin") or sys.executable


def _session(loops: int) -> Callable[[], None]:
    return _processes(_LOOPS.format(more=loops - 1))


def _user(loops: int) -> Callable[[], None]:
    if os.geteuid() != 0:
        raise CannotMeasureError(f"only root can start processes of the user {USER}")
    return _processes(_LOOPS.format(more=loops - 1), USER)


def _memory(_: int) -> Callable[[], None]:
    if not Path("/proc/meminfo").exists():
        raise CannotMeasureError("this system has no /proc/meminfo")
    return _processes(_MEMORY.format(left=LEFT))


def _container(loops: int) -> Callable[[], None]:
    image = os.environ.get(IMAGE_VARIABLE, IMAGE)
    program = ["python3", "-c", _LOOPS.format(more=loops - 1)]
    started = subprocess.run(
        ["docker", "run", "--detach", "--rm", "--init", image, *program],
        capture_output=True, text=True, timeout=STARTED_S, check=False,
    )  # fmt: skip
    if started.returncode:
        raise CannotMeasureError(f"docker run {image}: {started.stderr.strip()}")
    name = started.stdout.strip()

    def end() -> None:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, timeout=STARTED_S, check=True)

    return end


KINDS: Mapping[str, Callable[[int], Callable[[], None]]] = {
    "session": _session,
    "user": _user,
    "container": _container,
    "memory": _memory,
}
"""Who keeps the machine busy; each takes the number of loops, but `memory`, which fills what is left of it."""
