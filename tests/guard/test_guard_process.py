"""The guard as a process: it takes out what a dead or hung run left in, and nothing while the run goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from left_behind import OWNER, commands, dead_run, said, step_of, wait_for

from harness.guard.start import has_guard, start_guard
from harness.journal.owner import LEASE, LOCK
from harness.journal.undo import UndoFiles

pytestmark = pytest.mark.slow


class Owned:
    """A run with a fault in, its owner and its guard."""

    def __init__(self, folder: Path) -> None:
        self.flag = folder / "flag"
        self.flag.touch()
        self.run = dead_run(folder, {"it": commands(folder)})
        self.owner = subprocess.Popen([*OWNER, str(self.run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.owner.stdout is not None
        assert self.owner.stdout.readline() == b"owns\n"
        start_guard(self.run)
        self.guard = psutil.Process(int((self.run / "undo" / "guard.lock").read_text()))

    def renew(self) -> None:
        assert self.owner.stdin is not None
        assert self.owner.stdout is not None
        self.owner.stdin.write(b"\n")
        self.owner.stdin.flush()
        assert self.owner.stdout.readline() == b"renewed\n"

    def log(self) -> str:
        return (self.run / "undo" / "guard.log").read_text()

    def wait_for_log(self, text: str) -> None:
        until_s = time.monotonic() + 60.0
        while text not in self.log():
            assert time.monotonic() < until_s, self.log()
            time.sleep(0.02)

    def wait_for_look(self) -> None:
        """Wait until the guard has read the undo: only then does it look for the file that says that its fault is gone.

        A pipe in the place of that file is opened for writing when somebody has opened it for reading.
        """
        gone = self.run / "undo" / "0001.it.gone.json"
        os.mkfifo(gone)
        os.close(os.open(gone, os.O_WRONLY))

    def close(self) -> None:
        self.owner.kill()
        self.owner.wait()
        for pipe in (self.owner.stdin, self.owner.stdout):
            if pipe is not None:
                pipe.close()
        if self.guard.is_running():
            self.guard.kill()
            psutil.wait_procs([self.guard])


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Owned]:
    made = Owned(tmp_path)
    yield made
    made.close()


def test_the_fault_of_a_killed_run_comes_out(it: Owned) -> None:
    it.owner.kill()
    wait_for(it.run / "undo" / "ended.json")
    assert not it.flag.exists()
    assert said(it.run, "0001.it.gone.json")["by"] == "guard"
    psutil.wait_procs([it.guard], 30)
    assert not it.guard.is_running(), "it ends once nothing is left"


def test_signals_that_end_others_do_not_end_it(it: Owned) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(it.guard.pid, number)
    assert it.guard.ppid() not in (os.getpid(), it.owner.pid), "it is no child of whoever started it"
    assert os.getsid(it.guard.pid) not in (os.getsid(0), it.guard.pid), "it has no terminal and can get none"
    it.owner.kill()
    wait_for(it.run / "undo" / "ended.json")
    assert not it.flag.exists()


def test_a_run_that_hangs_loses_its_fault_and_keeps_its_undo(it: Owned) -> None:
    (it.run / "undo" / LEASE).write_text("no time at all\n")  # a malformed lease has expired
    it.wait_for_log("the fault 'it' is out")
    assert not it.flag.exists()
    assert UndoFiles(it.run).open() == ["0001.it.undo.json"], "the run may go on and put it in yet"
    it.flag.touch()
    it.renew()
    it.owner.kill()
    wait_for(it.run / "undo" / "ended.json")
    assert not it.flag.exists()


def test_a_run_that_goes_on_keeps_its_fault(it: Owned) -> None:
    for _ in range(20):
        it.renew()
        assert it.flag.exists()
        assert has_guard(it.run)
    assert it.log() == ""


def test_a_fault_that_is_in_for_longer_than_planned_comes_out(it: Owned) -> None:
    (it.flag.parent / "late").touch()
    it.renew()
    data = commands(it.flag.parent, "late", ("rm", "-f", "late"))
    UndoFiles(it.run).write_fault(step_of("late"), data, -1.0)
    it.wait_for_log("the fault 'late' is out")
    assert not (it.flag.parent / "late").exists()


def test_when_both_are_killed_heal_finishes(it: Owned) -> None:
    it.guard.kill()
    psutil.wait_procs([it.guard])
    it.owner.kill()
    it.owner.wait()
    assert it.flag.exists()
    words = [sys.executable, "-m", "harness", "heal", str(it.run)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "the fault 'it' is out" in done.stdout
    assert not it.flag.exists()


def test_a_folder_that_is_moved_is_still_watched(it: Owned) -> None:
    moved = it.run.parent / "moved"
    it.run.rename(moved)
    it.owner.kill()
    wait_for(moved / "undo" / "ended.json")
    assert not it.flag.exists()
    assert said(moved, "0001.it.gone.json")["by"] == "guard"


@pytest.mark.parametrize("name", ["lease", "0002.odd.undo.json"])
def test_a_file_that_never_ends_does_not_hold_the_guard_up(it: Owned, name: str) -> None:
    (it.run / "undo" / name).unlink(missing_ok=True)
    os.mkfifo(it.run / "undo" / name)
    it.owner.kill()
    it.wait_for_log("the fault 'it' is out")
    assert not it.flag.exists()


@pytest.mark.parametrize("deep", [False, True])
def test_a_folder_that_is_removed_takes_no_undo_with_it(it: Owned, deep: bool) -> None:
    if deep:  # its lock says nothing, and is nested deeper than can be read
        (it.run / "undo" / LOCK).write_bytes(b"[" * 4096)
    it.renew()
    it.wait_for_look()
    shutil.rmtree(it.run)
    assert it.flag.exists()
    it.owner.kill()
    psutil.wait_procs([it.guard], 60)
    assert not it.guard.is_running()
    assert not it.flag.exists()


def test_a_second_guard_is_not_needed(it: Owned) -> None:
    start_guard(it.run)
    assert int((it.run / "undo" / "guard.lock").read_text()) == it.guard.pid


def state_of(process: psutil.Process, awaited: str) -> None:
    until_s = time.monotonic() + 30.0
    while process.status() != awaited:
        assert time.monotonic() < until_s, process.status()
        time.sleep(0.01)


def test_a_guard_that_was_stopped_is_none_and_another_takes_its_place(it: Owned) -> None:
    os.kill(it.guard.pid, signal.SIGSTOP)
    state_of(it.guard, psutil.STATUS_STOPPED)
    assert not has_guard(it.run)
    before = it.guard
    start_guard(it.run)
    psutil.wait_procs([before], 30)
    assert not before.is_running()
    it.guard = psutil.Process(int((it.run / "undo" / "guard.lock").read_text()))
    assert it.guard.pid != before.pid
    assert has_guard(it.run)
    it.owner.kill()
    wait_for(it.run / "undo" / "ended.json")
    assert not it.flag.exists()


def test_another_process_with_the_number_of_a_guard_is_left_alone(it: Owned) -> None:
    lock = it.run / "undo" / "guard.lock"
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        os.kill(other.pid, signal.SIGSTOP)
        state_of(psutil.Process(other.pid), psutil.STATUS_STOPPED)
        lock.write_text(f"{other.pid}\n")
        assert has_guard(it.run), "the lock is held, and not by that process"
        start_guard(it.run)
        assert other.poll() is None
        assert it.guard.is_running()
    finally:
        other.kill()
        other.communicate()
