"""What the machine did, read from a /proc of the test's own, and once from the real one."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from harness.journal.clock import Clock
from harness.model.backend import Roots
from harness.model.readings import MachineSeen
from harness.probes import machine
from harness.probes.machine import MachineWatcher

ME = os.getpid()
HZ = os.sysconf("SC_CLK_TCK")


class FakeClock(Clock):
    """A clock that the test moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0

    def now_s(self) -> float:
        return self.at


class Machine:
    """A folder that looks like /proc, and another like /sys/fs/cgroup."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.cgroups = folder / "proc", folder / "cgroup"
        self.clock, self.seen = FakeClock(), list[MachineSeen]()
        self.roots = Roots()
        self.write("stat", "cpu  0 0 0 0 0 0 0 0 0 0\nprocs_running 1\n")
        self.process(ME, 1, 0.0)

    def write(self, name: str, text: str) -> None:
        path = self.proc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def processors(self, busy_s: float, steal_s: float = 0.0, running: int = 1) -> None:
        counted = [int(busy_s * HZ), 0, 0, 998, 8, 0, 0, int(steal_s * HZ), 0, 0]
        half = " ".join(str(number / 2) if number % 2 else str(number // 2) for number in counted)
        assert "." not in half
        others = "cpu1 99 99 99 99 99 99 99 99 99 99"
        self.write("stat", f"cpu  9 9\ncpu0 {half}\n{others}\ncpu2 {half}\nprocs_running {running}\n")

    def process(self, pid: int, parent: int, used_s: float, name: str = "a (b) c", cgroup: str = "/") -> None:
        fields = ["S", parent, *[0] * 9, int(used_s * HZ), 0, 0, 0, *[0] * 30]
        self.write(f"{pid}/stat", f"{pid} ({name}) {' '.join(map(str, fields))}\n")
        self.write(f"{pid}/cgroup", f"3:cpu,cpuacct:{cgroup}\n")

    def gone(self, pid: int) -> None:
        for file in (self.proc / str(pid)).iterdir():
            file.unlink()
        (self.proc / str(pid)).rmdir()

    def watcher(self) -> MachineWatcher:
        return MachineWatcher(self.clock, self.seen.append, lambda: self.roots, self.proc, self.cgroups)

    async def next(self, watcher: MachineWatcher, late_s: float = 0.0) -> MachineSeen:
        self.clock.at += 1.0
        await watcher.once(self.clock.at - late_s)
        return self.seen[-1]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(machine, "usable", lambda: {0, 2})
    return Machine(tmp_path)


async def test_what_others_took_is_what_is_busy_and_not_the_run_s_own(made: Machine) -> None:
    made.process(70, ME, 5.0)
    made.process(71, 70, 1.0)
    made.process(90, 1, 50.0)
    made.processors(100.0)
    watcher = made.watcher()
    made.processors(101.9, steal_s=0.26, running=7)
    made.process(70, ME, 5.3)
    made.process(71, 70, 1.2)
    made.process(90, 1, 51.4)
    seen = await made.next(watcher, late_s=0.2)
    assert (seen.busy, seen.own, seen.steal, seen.waiting, seen.late_s) == (1.9, 0.5, 0.26, 7, 0.2)
    assert seen.others == pytest.approx(1.4)
    assert (seen.from_s, seen.to_s, seen.processors) == (0.0, 1.0, 2.0)


async def test_what_the_run_starts_later_is_its_own_from_its_first_moment(made: Machine) -> None:
    watcher = made.watcher()
    made.process(69, 70, 0.4)  # a child may have a lower number than its parent
    made.process(70, ME, 0.3)
    assert (await made.next(watcher)).own == 0.7
    made.process(70, ME, 1.1)
    made.gone(69)  # its parent waited for it, and has its time now
    assert (await made.next(watcher)).own == 0.4


async def test_an_end_that_nobody_waits_for_hides_what_was_used(made: Machine) -> None:
    made.process(70, ME, 5.0)
    watcher = made.watcher()
    made.gone(70)
    assert (await made.next(watcher)).own is None
    assert (await made.next(watcher)).own == 0.0


async def test_the_run_s_containers_are_its_own_and_those_of_others_are_not(made: Machine) -> None:
    made.process(50, 1, 1.0, "containerd-shim")
    made.process(60, 50, 9.0, cgroup="/docker/aaa111")
    made.process(61, 50, 9.0, cgroup="/docker/bbb222")
    watcher = made.watcher()
    made.roots = Roots(containers=frozenset({"aaa111"}))
    made.process(60, 50, 9.5, cgroup="/docker/aaa111")
    assert (await made.next(watcher)).own == 0.0, "what it used before it was known is not used now"
    made.process(50, 1, 1.1, "containerd-shim")
    made.process(60, 50, 9.7, cgroup="/docker/aaa111")
    made.process(61, 50, 10.0, cgroup="/docker/bbb222")
    assert (await made.next(watcher)).own == pytest.approx(0.3, abs=0.011), "the engine works for the run too"


async def test_a_stack_that_another_process_forked_is_the_run_s_own(made: Machine) -> None:
    made.process(40, 1, 3.0)
    made.process(41, 40, 2.0)
    made.process(42, 40, 2.0)
    watcher = made.watcher()
    made.roots = Roots(processes=frozenset({41}))
    made.process(43, 41, 0.25)
    made.process(42, 40, 2.9)
    assert (await made.next(watcher)).own == 0.25


async def test_pressure_memory_and_quota(made: Machine) -> None:
    made.write("self/cgroup", "2:memory:/x\n1:cpu,cpuacct:/job\n0::/job\n")
    stat = made.cgroups / "cpu" / "job" / "cpu.stat"
    stat.parent.mkdir(parents=True)
    made.write("meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n")
    line = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"
    for after in (False, True):
        stat.write_text(f"nr_periods {15 if after else 5}\nnr_throttled {7 if after else 1}\nthrottled_time 9\n")
        for name, us in (("cpu", 400_000), ("io", 300_000), ("memory", 200_000)):
            made.write(f"pressure/{name}", line.format(us if after else 0))
        if not after:
            watcher = made.watcher()
    seen = await made.next(watcher)
    assert (seen.cpu_pressure, seen.io_pressure, seen.memory_pressure) == (0.4, 0.3, 0.2)
    assert (seen.memory_free, seen.throttled) == (0.25, 0.6)


async def test_the_second_version_of_control_groups(made: Machine) -> None:
    made.write("self/cgroup", "0::/pod/job\n")
    # The quota is that of the pod; the group of the job itself has none.
    stat, own = made.cgroups / "pod" / "cpu.stat", made.cgroups / "pod" / "job" / "cpu.stat"
    own.parent.mkdir(parents=True)
    own.write_text("usage_usec 9\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n")
    stat.write_text("usage_usec 9\nnr_periods 10\nnr_throttled 1\nthrottled_usec 1000\n")
    watcher = made.watcher()
    stat.write_text("usage_usec 9\nnr_periods 20\nnr_throttled 4\nthrottled_usec 5000000\n")
    assert (await made.next(watcher)).throttled == 0.3


async def test_a_group_without_a_quota_is_never_held_back(made: Machine) -> None:
    made.write("self/cgroup", "0::/job\n")
    stat = made.cgroups / "job" / "cpu.stat"
    stat.parent.mkdir(parents=True)
    stat.write_text("usage_usec 9\nnr_periods 0\nnr_throttled 0\n")
    assert (await made.next(made.watcher())).throttled is None


async def test_a_platform_that_tells_nothing_leaves_the_harness_s_own_lateness(tmp_path: Path) -> None:
    seen: list[MachineSeen] = []
    clock = FakeClock()
    watcher = MachineWatcher(clock, seen.append, Roots, tmp_path / "none", tmp_path / "none")
    clock.at = 1.0
    await watcher.once(0.9)
    told = seen[0].model_dump(exclude_none=True, exclude={"kind", "processors"})
    assert told == {"from_s": 0.0, "to_s": 1.0, "late_s": pytest.approx(0.1)}
    assert seen[0].others is None


async def test_on_this_machine_a_child_s_work_is_the_run_s_own() -> None:
    seen: list[MachineSeen] = []
    clock = Clock()
    watcher = MachineWatcher(clock, seen.append)
    busy = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    assert await (await asyncio.create_subprocess_exec(sys.executable, "-c", busy)).wait() == 0
    await watcher.once(clock.now_s())
    own_s = (seen[0].own or 0.0) * (seen[0].to_s - seen[0].from_s)
    assert own_s >= 0.35, seen
