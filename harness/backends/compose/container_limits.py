"""Tasks of `container_agent` about processor and memory: limits, counters, and processes that run into them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import signal
import time
from pathlib import Path
from typing import Any

from harness.backends.compose.container_common import Answer, TaskError, group, numbers

V1_UNLIMITED = 1 << 62


def cpu(pid: int) -> Answer:
    """Return the container's processor quota (-1: none) and how often it ran into it."""
    folder, version = group(pid, "cpu")
    stat = numbers(folder / "cpu.stat")
    if version == 1:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    else:
        first, second = (folder / "cpu.max").read_text().split()
        quota, period = (-1 if first == "max" else int(first)), int(second)
    return {"quota_us": quota, "period_us": period, "throttled": stat.get("nr_throttled", 0)}


def limit_cpu(pid: int, quota_us: int, period_us: int) -> Answer:
    """Set the quota; -1 for none."""
    folder, version = group(pid, "cpu")
    if version == 1:
        # A quota above what the period allows is refused on the way from one pair to the other.
        (folder / "cpu.cfs_quota_us").write_text("-1")
        (folder / "cpu.cfs_period_us").write_text(str(period_us))
        (folder / "cpu.cfs_quota_us").write_text(str(quota_us))
    else:
        (folder / "cpu.max").write_text(f"{'max' if quota_us < 0 else quota_us} {period_us}")
    return {}


def use_cpu(pid: int, within_s: float) -> Answer:
    """Run a process inside the container's quota until the kernel has throttled it once, or the time is over."""
    folder, _ = group(pid, "cpu")
    before = numbers(folder / "cpu.stat").get("nr_throttled", 0)
    child = _joined(folder, _spin)
    try:
        _until(lambda: numbers(folder / "cpu.stat").get("nr_throttled", 0) > before, within_s)
    finally:
        _ended(child)
    return {"throttled": numbers(folder / "cpu.stat").get("nr_throttled", 0) - before}


def memory(pid: int) -> Answer:
    """Return the container's memory limit (-1: none), what is used, and how many processes the kernel killed for it."""
    folder, version = group(pid, "memory")
    if version == 1:
        limit = int((folder / "memory.limit_in_bytes").read_text())
        return {
            "limit": -1 if limit >= V1_UNLIMITED else limit,
            "used": int((folder / "memory.usage_in_bytes").read_text()),
            "kills": numbers(folder / "memory.oom_control").get("oom_kill", 0),
        }
    text = (folder / "memory.max").read_text().strip()
    return {
        "limit": -1 if text == "max" else int(text),
        "used": int((folder / "memory.current").read_text()),
        "kills": numbers(folder / "memory.events").get("oom_kill", 0),
    }


def limit_memory(pid: int, limit: int) -> Answer:
    """Set the limit in bytes; -1 for none. Version 1 refuses one below what is used."""
    folder, version = group(pid, "memory")
    names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] if version == 1 else ["memory.max"]
    names = [name for name in names if (folder / name).exists()]
    try:
        # Memory and swap may never be below memory: the order depends on the way.
        for name in reversed(names) if limit < 0 else names:
            (folder / name).write_text("max" if limit < 0 and version == 2 else str(limit))
    except OSError as error:
        return {"refused": errno.errorcode.get(error.errno or 0, "?")}
    return {}


def fill_memory(pid: int, within_s: float) -> Answer:
    """Fill the container's memory until the kernel kills one of its processes.

    The kernel takes the one that it finds worst. The filler would be that, and to exempt it takes a capability that
    root may lack; so the others are made worse meanwhile, all alike.
    """
    folder, version = group(pid, "memory")
    now, spare = memory(pid), _available()
    if now["limit"] < 0 or now["limit"] - now["used"] > 0.8 * spare:
        raise TaskError(f"filling memory up to {now['limit']} bytes would hurt the engine's machine, which has "
                        f"{spare} left", "give a lower limit")  # fmt: skip
    before = now["kills"]
    counter = folder / ("memory.oom_control" if version == 1 else "memory.events")

    def killed() -> bool:
        try:
            return numbers(counter).get("oom_kill", 0) > before or not belongs_here(pid, folder)
        except OSError:
            return True

    scores = {one: score for one in _members(folder) if (score := _worse(one)) is not None}
    child = _joined(folder, _allocate)
    try:
        _until(killed, within_s)
    finally:
        _ended(child)
        for one, score in scores.items():
            with contextlib.suppress(OSError):
                Path(f"/proc/{one}/oom_score_adj").write_text(str(score))
    return {"ended": killed()}


def _members(folder: Path) -> list[int]:
    return [int(one) for one in (folder / "cgroup.procs").read_text().split()]


def _worse(pid: int) -> int | None:
    """Let the kernel prefer a process when memory runs out; return its score before, None where it has ended."""
    place = Path(f"/proc/{pid}/oom_score_adj")
    try:
        before = int(place.read_text())
        place.write_text(str(min(1000, before + 1000)))
    except OSError:
        return None
    return before


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def belongs_here(pid: int, folder: Path) -> bool:
    """Whether a process is in a control group now."""
    return pid in _members(folder)


def _joined(folder: Path, work: Any) -> int:
    child = os.fork()
    if child:
        return child
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it must not outlive this program
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        work()
    finally:
        os._exit(1)


def _spin() -> None:
    while True:
        pass


def _allocate() -> None:
    taken = []
    while True:
        chunk = mmap.mmap(-1, 1 << 22, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, 1 << 22, mmap.PAGESIZE):
            chunk[offset] = 1
        taken.append(chunk)


def _until(condition: Any, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)


def _ended(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
