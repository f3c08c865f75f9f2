"""Whether a process that was written down still lives, as each of those who ask writes it down."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.backends.compose.labels import OWNER, owner_lives, run_labels
from harness.journal.owner import LOCK, Ownership
from harness.journal.undo import UndoFiles
from harness.liveness import ProcessId, began_ticks, is_locked, locked, this_boot


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def test_a_guard_that_watches_has_loaded_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import harness.guard.watch\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - {'harness'}\n"
        "print(sorted(new - set(sys.stdlib_module_names)), 'harness.model' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[] False"


STARTS_WHILE_LOOKED_AT = """
import fcntl, sys, time
from pathlib import Path
from harness.guard.watch import watch
run = Path(sys.argv[1])
looker = (run / "undo" / "guard.lock").open("ab")
fcntl.flock(looker, fcntl.LOCK_SH)
time.sleep = lambda _: looker.close()
watch(run, lambda: print("ready"))
"""
"""Another one looks whether there is a guard, and has seen that as soon as the guard lets it go on."""


def test_a_guard_starts_while_somebody_looks_whether_there_is_one(tmp_path: Path) -> None:
    Ownership(tmp_path / "undo").end()
    UndoFiles(tmp_path).write_ended("run")
    words = [sys.executable, "-c", STARTS_WHILE_LOOKED_AT, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("ready\n", "")


def test_a_process_lives_until_it_has_ended(child: subprocess.Popen[bytes]) -> None:
    process = ProcessId.here(child.pid)
    assert process.lives()
    end(child)
    assert began_ticks(child.pid) is None
    assert not process.lives()
    assert not process.may_live()
    with pytest.raises(ProcessLookupError):
        ProcessId.here(child.pid)


def test_a_process_that_was_killed_is_dead_before_its_parent_asks(child: subprocess.Popen[bytes]) -> None:
    process = ProcessId.here(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert not process.lives()
    assert not owner_lives({OWNER: process.to_text()})


def test_a_number_that_was_given_again_is_another_process(child: subprocess.Popen[bytes]) -> None:
    process = ProcessId.here(child.pid)
    earlier = replace(process, ticks=process.ticks - 1)
    assert not earlier.lives()
    assert not earlier.may_live()


def test_of_a_process_that_ran_elsewhere_nobody_can_tell(child: subprocess.Popen[bytes]) -> None:
    process = ProcessId.here(child.pid)
    start = this_boot().partition("/")[0]
    far, inside, before = replace(process, host="far"), replace(process, boot=f"{start}/1"), replace(process, boot="b")
    assert [one.is_here() for one in (process, far, inside, before)] == [True, True, False, False]
    end(child)
    assert not any(one.lives() for one in (process, far, inside, before))
    assert far.may_live(), "it has another host's name, though the number is free here"
    assert inside.may_live(), "it has a number of another PID namespace, of a container that may go on"
    assert not before.may_live(), "the machine was started again since"


def test_a_process_is_read_as_it_was_written() -> None:
    process = ProcessId.here()
    assert ProcessId.from_text(process.to_text()) == process
    assert ProcessId.from_dict(json.loads(json.dumps({**process.to_dict(), "more": 1}))) == process


@pytest.mark.parametrize("broken", ["", "h", "h 1 b", "h 1 b x", "h x b 1", "h 1 b 1 and more"])
def test_what_names_no_process(broken: str) -> None:
    assert ProcessId.from_text(broken) is None


@pytest.mark.parametrize("broken", [[], "h", {}, {"host": "h", "pid": 1, "boot": "b", "ticks": None}])
def test_what_holds_no_process(broken: Any) -> None:
    assert ProcessId.from_dict(broken) is None


def test_labels_on_containers_name_the_process_that_owns_them(child: subprocess.Popen[bytes]) -> None:
    owner = {OWNER: ProcessId.here(child.pid).to_text()}
    assert owner_lives(run_labels("shop", "shop"))
    assert owner_lives(owner)
    end(child)
    assert not owner_lives(owner)
    assert owner_lives({OWNER: f"up {socket.gethostname()}"}), "it outlives its process on purpose"


@pytest.mark.parametrize("broken", ["", "1", "1 x", "x 1.0", "1 b x", "1 b 1 and more"])
def test_a_label_that_says_nothing_is_of_nobody_here(broken: str) -> None:
    assert not owner_lives({OWNER: f"{socket.gethostname()} {broken}"})
    assert owner_lives({OWNER: broken}), "the first word is a host, and not this one"


def test_who_cannot_own_a_run_keeps_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Ownership) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Ownership, "renew", full)
    with pytest.raises(OSError, match="No space left"):
        Ownership(tmp_path)
    assert not is_locked(tmp_path / LOCK)


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with locked(file):
        assert is_locked(file)
        with pytest.raises(BlockingIOError), locked(file):
            pytest.fail("another one holds it")
        assert is_locked(file)
    assert not is_locked(file)
    with locked(tmp_path, flags=os.O_RDONLY | os.O_DIRECTORY):
        assert is_locked(tmp_path)
