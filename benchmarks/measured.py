"""What a command costs with everything that it starts: wall time, CPU of the whole tree, peak of memory.

A separate launcher becomes the reaper of whatever is orphaned below it, so the CPU of processes that outlive their
parents is counted as well. Memory is the sum of proportional shares (PSS), so pages that forked processes share count
once; reading it costs time, so it is read in runs whose time is not counted.

`python -m benchmarks.measured [--memory] COMMAND …` prints one JSON line as its last.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import ROOT, CannotMeasureError

SET_CHILD_SUBREAPER = 36
SAMPLE_EVERY_S = 0.1
WITHIN_S = 1200.0


@dataclass(frozen=True)
class Cost:
    """What a command cost. `peak_mib` is None where memory was not measured; `stdout` is its standard output."""

    wall_s: float
    cpu_s: float
    peak_mib: float | None
    exit_code: int
    stdout: str


def cost(
    command: Sequence[str],
    *,
    memory: bool = False,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    accept: Iterable[int] = (0,),
) -> Cost:
    """Run a command under the launcher. Raises CannotMeasureError where its exit code is not one of those accepted."""
    launcher = [sys.executable, "-m", "benchmarks.measured", *(["--memory"] if memory else []), *command]
    environment = {**os.environ, **(env or {}), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        launcher, cwd=cwd, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        raise CannotMeasureError(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    found = Cost(**json.loads(lines[-1]), stdout="\n".join(lines[:-1]))
    if found.exit_code not in accept:
        stdout = "\n".join((found.stdout, done.stderr)).strip()[-2000:]
        raise CannotMeasureError(f"{' '.join(command)} exited with {found.exit_code}: {stdout}")
    return found


def _launch(command: list[str], memory: bool) -> Cost:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    peak = _Peak()
    if memory:
        threading.Thread(target=peak.watch, daemon=True).start()
    began_s = time.monotonic()
    pid = os.posix_spawnp(command[0], command, _without_launcher(os.environ))
    _, status = os.waitpid(pid, 0)
    wall_s = time.monotonic() - began_s
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    exit_code = os.waitstatus_to_exitcode(status)
    return Cost(wall_s, used.ru_utime + used.ru_stime, peak.mib if memory else None, exit_code, "")


def _without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    # Without bytecode files each start would compile everything that it imports, which no user's start does.
    return {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}


class _Peak:
    """The largest sum of memory of all processes below this one."""

    def __init__(self) -> None:
        self.mib = 0.0

    def watch(self) -> None:
        while True:
            below = sum(_pss_kib(pid) for pid in _descendants(os.getpid()))
            self.mib = max(self.mib, below / 1024)
            time.sleep(SAMPLE_EVERY_S)


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, open_ = [], [root]
    while open_:
        below = children.get(open_.pop(), [])
        found += below
        open_ += below
    return found


def _pss_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    with_memory = sys.argv[1:2] == ["--memory"]
    measured = _launch(sys.argv[2:] if with_memory else sys.argv[1:], with_memory)
    print(json.dumps({k: v for k, v in vars(measured).items() if k != "stdout"}), flush=True)
