"""What the machine does to a run, read from Linux's /proc ten times a second: who uses the processors, and what waits.

A source that the platform lacks, or that this user may not read, is left out; what is left counts. Time is counted by
the kernel in hundredths of a second, so a tenth of a second on two processors is known to about 5 %.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.journal.clock import Clock
from harness.model.backend import Roots
from harness.model.readings import MachineSeen

ENGINE = frozenset({"dockerd", "containerd", "containerd-shim", "runc", "docker-proxy", "docker-compose"})
"""What works for the containers of every run: neither a run's own nor another's, so it counts as its own."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PRESSURES = ("cpu", "io", "memory")


class _Counters(NamedTuple):
    """What has been counted since the machine's start, at one moment."""

    at_s: float
    busy_s: float | None
    steal_s: float | None
    own_s: float | None
    throttled_s: float | None
    pressed_s: dict[str, float | None]


class MachineWatcher:
    """Reads the machine, and records what it did from one reading to the next."""

    def __init__(
        self,
        clock: Clock,
        record: Callable[[MachineSeen], object],
        roots: Callable[[], Roots] = Roots,
        proc: Path = Path("/proc"),
        cgroups: Path = Path("/sys/fs/cgroup"),
    ) -> None:
        """`roots` returns what is the run's own besides this process and what it started."""
        self._clock = clock
        self._record = record
        self._own = OwnProcesses(proc, roots)
        self._proc = str(proc)
        self._quota = _quota_file(proc, cgroups)
        self._processors = float(_usable())
        self._last = self._read()

    async def once(self, planned_s: float) -> None:
        """Record what the machine did since the last time."""
        before, self._last = self._last, self._read()
        self._record(self._between(before, self._last, planned_s))

    def _between(self, before: _Counters, now: _Counters, planned_s: float) -> MachineSeen:
        took_s = max(now.at_s - before.at_s, 1e-3)

        def share(then_s: float | None, now_s: float | None) -> float | None:
            if then_s is None or now_s is None or now_s < then_s:
                return None
            return round((now_s - then_s) / took_s, 3)

        pressed = {name: share(before.pressed_s[name], now.pressed_s[name]) for name in _PRESSURES}
        return MachineSeen(
            from_s=before.at_s,
            to_s=now.at_s,
            late_s=round(max(0.0, now.at_s - planned_s), 6),
            processors=self._processors,
            busy=share(before.busy_s, now.busy_s),
            own=share(before.own_s, now.own_s),
            steal=share(before.steal_s, now.steal_s),
            throttled=share(before.throttled_s, now.throttled_s),
            waiting=self._waiting,
            cpu_pressure=pressed["cpu"],
            io_pressure=pressed["io"],
            memory_pressure=pressed["memory"],
            memory_free=_memory_free(_text(f"{self._proc}/meminfo")),
        )

    def _read(self) -> _Counters:
        busy_s = steal_s = self._waiting = None
        for line in _text(f"{self._proc}/stat").splitlines():
            if line.startswith("cpu "):
                user, nice, system, _idle, _iowait, irq, softirq, stolen = (int(t) for t in line.split()[1:9])
                busy_s, steal_s = (user + nice + system + irq + softirq) / _TICKS, stolen / _TICKS
            elif line.startswith("procs_running "):
                self._waiting = int(line.split()[1])
        own_s = self._own.used_s()
        pressed = {name: _pressed_s(_text(f"{self._proc}/pressure/{name}")) for name in _PRESSURES}
        throttled_s = None if self._quota is None else _throttled_s(_text(self._quota))
        return _Counters(self._clock.now_s(), busy_s, steal_s, own_s, throttled_s, pressed)


class OwnProcesses:
    """The processor time of this process, of what descends from it, and from the roots of a stack."""

    def __init__(self, proc: Path, roots: Callable[[], Roots]) -> None:
        self._proc = str(proc)
        self._roots = roots
        self._known = Roots()
        self._own = {os.getpid()}
        self._engine: set[int] = set()
        self._others: set[int] = set()
        self._foreign_s = 0.0
        """What own processes had used before they were known to be own."""

    def used_s(self) -> float | None:
        """Return a counter of the seconds used. It falls where a process ends and nobody of the run waits for it."""
        try:
            with os.scandir(self._proc) as entries:
                listed = {int(entry.name) for entry in entries if entry.name.isdigit()}
        except OSError:
            return None
        for known in (self._own, self._engine, self._others):
            known &= listed
        roots = self._roots()
        if roots != self._known:
            self._known = roots
            self._sort(sorted(listed - self._own - self._engine))
        else:
            self._sort(sorted(listed - self._own - self._engine - self._others))
        stats = (self._stat(pid) for pid in (*self._own, *self._engine))
        return sum(_used_s(stat) for stat in stats if stat) - self._foreign_s

    def _sort(self, left: list[int]) -> None:
        """Tell the run's own processes, and the engine's, from others."""
        stats = {pid: stat for pid in left if (stat := self._stat(pid))}
        count = -1
        # A child may have a lower number than its parent: what is own is looked for until there is no more.
        while count != len(stats):
            count = len(stats)
            for pid, stat in list(stats.items()):
                found = self._engine if _name(stat) in ENGINE else self._own if self._is_own(pid, stat) else None
                if found is None:
                    continue
                found.add(pid)
                if pid in self._others:
                    self._foreign_s += _used_s(stat)
                    self._others.discard(pid)
                del stats[pid]
        self._others.update(stats)

    def _is_own(self, pid: int, stat: str) -> bool:
        if pid in self._known.processes or int(_fields(stat)[1]) in self._own:
            return True
        containers = self._known.containers
        return bool(containers) and any(one in _text(f"{self._proc}/{pid}/cgroup") for one in containers)

    def _stat(self, pid: int) -> str:
        return _text(f"{self._proc}/{pid}/stat")


def _name(stat: str) -> str:
    return stat[stat.index("(") + 1 : stat.rindex(")")]


def _fields(stat: str) -> list[str]:
    """Return the fields of a /proc/PID/stat from the third on, after the name, which may hold anything."""
    return stat[stat.rindex(")") + 2 :].split()


def _used_s(stat: str) -> float:
    """Return the processor time of a process, and of those of its children that have ended."""
    return sum(map(int, _fields(stat)[11:15])) / _TICKS


def _pressed_s(text: str) -> float | None:
    """Return for how long something waited, out of a file of /proc/pressure."""
    for line in text.splitlines():
        if line.startswith("some "):
            return int(line.rpartition("total=")[2]) / 1e6
    return None


def _memory_free(text: str) -> float | None:
    found = dict(line.split(":", 1) for line in text.splitlines() if line.startswith(("MemTotal:", "MemAvailable:")))
    if len(found) < 2:
        return None
    total, free = (int(found[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return round(free / total, 3)


def _quota_file(proc: Path, cgroups: Path) -> str | None:
    """Return the file that counts for how long this process's control group was held back; None without a quota."""
    for line in _text(f"{proc}/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        second = not controllers
        if not second and "cpu" not in controllers.split(","):
            continue
        folder = cgroups / ("" if second else "cpu") / path.lstrip("/")
        if (folder / "cpu.stat").exists() and "throttled" in _text(str(folder / "cpu.stat")):
            return str(folder / "cpu.stat")
    return None


def _throttled_s(text: str) -> float | None:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "throttled_usec":
            return int(value) / 1e6
        if name == "throttled_time":  # the first version of control groups counts in nanoseconds
            return int(value) / 1e9
    return None


def _usable() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _text(path: str) -> str:
    """Return a small file; nothing where it is gone or may not be read."""
    # By the system's own calls: some thirty of these are read ten times a second.
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            return os.read(file, 65536).decode("utf-8", "replace")
        finally:
            os.close(file)
    except OSError:
        return ""
