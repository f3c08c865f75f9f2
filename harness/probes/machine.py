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
    periods: tuple[int, int] | None
    """Of the group with a quota: periods so far, and those of them in which it was held back."""
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
        continued: Callable[[], bool] = lambda: False,
    ) -> None:
        """`roots` returns what is the run's own besides this process and what it started.

        `continued` says whether this process was continued (SIGCONT) since it was last asked.
        """
        self._clock = clock
        self._record = record
        self._own = OwnProcesses(proc, roots)
        self._proc = str(proc)
        self._quota = _quota_file(proc, cgroups)
        numbers = usable()
        self._processors = float(len(numbers))
        self._names = {f"cpu{number}" for number in numbers}
        self._continued = continued
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
            continued=True if self._continued() else None,
            processors=self._processors,
            busy=share(before.busy_s, now.busy_s),
            own=share(before.own_s, now.own_s),
            steal=share(before.steal_s, now.steal_s),
            throttled=_held_back(before.periods, now.periods),
            waiting=self._waiting,
            cpu_pressure=pressed["cpu"],
            io_pressure=pressed["io"],
            memory_pressure=pressed["memory"],
            memory_free=_memory_free(_text(f"{self._proc}/meminfo")),
        )

    def _read(self) -> _Counters:
        busy_s, steal_s, self._waiting = self._counted(_text(f"{self._proc}/stat"))
        own_s = self._own.used_s()
        pressed = {name: _pressed_s(_text(f"{self._proc}/pressure/{name}")) for name in _PRESSURES}
        periods = None if self._quota is None else _periods(_text(self._quota))
        return _Counters(self._clock.now_s(), busy_s, steal_s, own_s, periods, pressed)

    def _counted(self, stat: str) -> tuple[float | None, float | None, int | None]:
        """Return seconds in use and stolen, of the processors that the run may use, and how many processes run."""
        busy = stolen = waiting = None
        for line in stat.splitlines():
            name, _, rest = line.partition(" ")
            if name in self._names:
                user, nice, system, _idle, _iowait, irq, softirq, steal = (int(t) for t in rest.split()[:8])
                busy = (busy or 0) + user + nice + system + irq + softirq
                stolen = (stolen or 0) + steal
            elif name == "procs_running":
                waiting = int(rest)
        return (None if busy is None else busy / _TICKS), (None if stolen is None else stolen / _TICKS), waiting


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
        if not self._known.containers:
            return False
        group = _text(f"{self._proc}/{pid}/cgroup")
        return any(one in group for one in self._known.containers)

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
    """Return the file that counts how often a group was held back by its quota: this process's, or one above it.

    None where no group above this process has a quota.
    """
    for line in _text(f"{proc}/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        second = not controllers
        if not second and "cpu" not in controllers.split(","):
            continue
        root = cgroups if second else cgroups / "cpu"
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if _periods(_text(str(folder / "cpu.stat"))) not in (None, (0, 0)):
                return str(folder / "cpu.stat")
            if folder == root:
                break
    return None


def _periods(text: str) -> tuple[int, int] | None:
    """Return in how many periods a quota counted, and in how many of them it held its group back."""
    found = dict(line.split(" ", 1) for line in text.splitlines() if line.startswith(("nr_periods ", "nr_throttled ")))
    return (int(found["nr_periods"]), int(found["nr_throttled"])) if len(found) == 2 else None


def _held_back(before: tuple[int, int] | None, now: tuple[int, int] | None) -> float | None:
    if before is None or now is None or now[0] < before[0]:
        return None
    return round((now[1] - before[1]) / (now[0] - before[0]), 3) if now[0] > before[0] else 0.0


def usable() -> set[int]:
    """Return the numbers of the processors that this process may use."""
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


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
