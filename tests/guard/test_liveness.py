"""Whether a process that was written down still lives, as each of those who ask writes it down."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.backends.compose.leftovers import OWNER, OWNER_BEGAN, owner, owner_lives
from harness.journal.owner import Ownership
from harness.journal.undo import UndoFiles
from harness.liveness import began_s, began_ticks, lives, this_boot


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
    ticks, at_s = began_ticks(child.pid), began_s(child.pid)
    assert lives(child.pid)
    assert lives(child.pid, ticks=ticks)
    assert lives(child.pid, at_s=at_s)
    end(child)
    assert began_ticks(child.pid) is None
    assert not lives(child.pid)
    assert not lives(child.pid, ticks=ticks)
    assert not lives(child.pid, at_s=at_s)
    with pytest.raises(ProcessLookupError):
        began_s(child.pid)


def test_a_process_that_was_killed_is_dead_before_its_parent_asks(child: subprocess.Popen[bytes]) -> None:
    began = f"{began_s(child.pid):.2f}"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert not lives(child.pid)
    assert not owner_lives(label(socket.gethostname(), child.pid, began))


def test_a_number_that_was_given_again_is_another_process(child: subprocess.Popen[bytes]) -> None:
    ticks = began_ticks(child.pid)
    assert ticks is not None
    assert not lives(child.pid, ticks=ticks - 1)
    assert not lives(child.pid, at_s=began_s(child.pid) - 1.0)


def label(host: str, pid: object, began: object, **more: str) -> dict[str, str]:
    return {OWNER: f"{host} {pid} {began}", **more}


def test_labels_on_containers_name_the_process_that_owns_them(child: subprocess.Popen[bytes]) -> None:
    here = socket.gethostname()
    began = f"{psutil.Process(child.pid).create_time():.2f}"  # the only time on containers of earlier releases
    assert owner_lives(owner())
    assert owner_lives(label(here, child.pid, began))
    assert not owner_lives(label(here, child.pid, float(began) - 1.0))
    end(child)
    assert not owner_lives(label(here, child.pid, began))
    assert owner_lives(label("another-host", child.pid, began)), "nobody can tell from here"
    assert owner_lives({OWNER: f"up {here}"}), "it outlives its process on purpose"


@pytest.mark.parametrize("broken", ["", "1", "1 x", "x 1.0", "1 1.0 and more"])
def test_a_label_that_says_nothing_is_of_nobody_here(broken: str) -> None:
    assert not owner_lives({OWNER: f"{socket.gethostname()} {broken}"})
    assert owner_lives({OWNER: broken}), "the first word is a host, and not this one"


def test_an_owner_lives_though_the_clock_of_the_machine_was_set(child: subprocess.Popen[bytes]) -> None:
    here, set_since = socket.gethostname(), f"{began_s(child.pid) - 3600:.2f}"
    ticks = began_ticks(child.pid)
    assert ticks is not None
    assert owner_lives(label(here, child.pid, set_since, **{OWNER_BEGAN: f"{this_boot()} {ticks}"}))
    assert not owner_lives(label(here, child.pid, set_since, **{OWNER_BEGAN: f"{this_boot()} {ticks - 1}"}))
    assert not owner_lives(label(here, child.pid, set_since, **{OWNER_BEGAN: f"another-start {ticks}"}))
    assert not owner_lives(label(here, child.pid, set_since, **{OWNER_BEGAN: f"{this_boot()} x"}))
    end(child)
    assert not owner_lives(label(here, child.pid, set_since, **{OWNER_BEGAN: f"{this_boot()} {ticks}"}))
