"""What may still be going on when a run is healed: its owner, and calls of a dead owner that are at work."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from left_behind import OWNER, SHOP, WORDS, Clock, Seam, commands, dead_run, healing_at, owned, step_of

from harness.guard import heal as healing
from harness.guard import taking_out
from harness.guard.heal import heal
from harness.guard.open_runs import open_run
from harness.journal.owner import LEASE, LOCK
from harness.journal.undo import UndoFiles
from harness.model.undo import FaultUndo
from harness.seams.commands import MARK, end_marked


def test_a_run_whose_owner_lives_is_left_alone_and_named(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    with owned(run) as pid:
        (healed,) = heal([run], "heal")
        assert healed.skipped is not None
        assert f"process {pid} " in healed.skipped
        assert flag.exists()
        found = open_run(run)
        assert found is not None
        assert (found.state, found.faults) == ("alive", ("it (command)",))
    assert heal([run], "heal")[0].taken_out == ["it"]


def test_the_fault_of_a_run_that_hangs_comes_out_and_stays_open(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    with owned(run):
        (run / "undo" / LEASE).write_text("nan\n")
        (healed,) = heal([run], "heal")
        assert (healed.hung, healed.taken_out) == (True, ["it"])
        assert not flag.exists()
        assert UndoFiles(run).open() == ["0001.it.undo.json"]


def test_a_copy_of_a_run_that_goes_on_is_left_alone(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    with owned(run) as pid:
        shutil.copytree(run, tmp_path / "copy")
        (healed,) = heal([tmp_path / "copy"], "heal")
        assert healed.skipped is not None
        assert f"process {pid} " in healed.skipped
        assert flag.exists()


def test_a_forked_child_of_a_dead_owner_holds_nothing(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    child = 'if os.fork() == 0:\n    os.write(1, b"forked\\n")\n    time.sleep(600)\nos.write(1, b"owns'
    forks = OWNER[-1].replace('os.write(1, b"owns', child)
    process = subprocess.Popen(
        [*OWNER[:-1], forks, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert {process.stdout.readline() for _ in range(2)} == {b"forked\n", b"owns\n"}
    try:
        process.kill()
        process.wait()
        assert heal([run], "heal")[0].taken_out == ["it"]
        assert not flag.exists()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(
    "text", [b"[" * 4000, b'{"host": "h", "pid": 1e999, "boot": "b", "ticks": 1, "inode": 1}', b"\xff", b"[]", b"{}"]
)
def test_a_lock_that_says_nothing_keeps_no_fault_in(tmp_path: Path, flag: Path, text: bytes) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    (run / "undo" / LOCK).write_bytes(text)
    found = open_run(run)
    assert found is not None
    assert (found.owner, found.state, found.faults) == (None, "dead", ("it (command)",))
    assert heal([run], "heal")[0].taken_out == ["it"]
    assert not flag.exists()


def test_what_a_call_of_the_dead_owner_puts_in_yet_comes_out_too(tmp_path: Path, flag: Path) -> None:
    """The owner died while its command was at work: it puts the fault in when the guard has taken it out already."""
    data = commands(tmp_path, revert=("sh", "-c", "rm flag || true; echo x >> reverts"))
    run = dead_run(tmp_path, {})
    files = UndoFiles(run)
    step = step_of("it").model_copy(update={"parameters": {**WORDS, "timeout": "3s"}})
    name = files.write_fault(step, data, 60.0)
    files.set_in_flight(name, in_flight=True)
    late = subprocess.Popen(["sh", "-c", "until [ -s reverts ]; do sleep 0.02; done; touch flag"], cwd=tmp_path)
    (healed,) = heal([run], "guard")
    late.wait()
    assert healed.taken_out == ["it"]
    assert not flag.exists()
    assert len((tmp_path / "reverts").read_text().split()) > 1


class SlowSeam(Clock):
    """Each look at a fault takes some time, the last of `looks_s` again and again."""

    def __init__(self, looks_s: list[float]) -> None:
        super().__init__()
        self.looks_s = looks_s
        self.began: list[float] = []

    async def taken_out(self, _undo: FaultUndo, _seams: Any, _seed: int) -> dict[str, Any]:
        self.began.append(self.now_s)
        self.now_s += self.looks_s[min(len(self.began), len(self.looks_s)) - 1]
        return {"is": "out"}


@pytest.mark.parametrize(("kind", "remote"), [("test.fault", False), ("command", False), ("test.fault", True)], ids=str)
@pytest.mark.parametrize("looks_s", [[0.1], [0.1, 7.5, 1.0], [5.0, 1.0], [9.0, 1.0], [6.0]], ids=str)
def test_the_last_look_begins_when_calls_of_the_dead_owner_must_be_over(
    tmp_path: Path, looks_s: list[float], kind: str, remote: bool
) -> None:
    run = dead_run(tmp_path, {}, backend="compose", project="shop", owned=False)
    files = UndoFiles(run)
    name = files.write_fault(step_of("it", kind, service="server"), commands(tmp_path), 60.0)
    if not remote:  # no copy of a run knows of its calls: one may be in flight on each fault
        files.set_in_flight(name, in_flight=True)
    seam, over_s = SlowSeam(looks_s), 8.0
    began_s = seam.now_s
    with healing_at(seam, clock=seam, in_flight_s=lambda _: over_s):
        (healed,) = heal([run], "guard", remote=remote)
    assert healed.taken_out == ["it"]
    last_s = seam.began[-1] - began_s
    assert last_s >= over_s
    assert last_s <= max(over_s, sum(looks_s[:-1]) + taking_out.EVERY_S) + 1e-6, "and no later than that"


class LateSeam(Seam, Clock):
    """Calls of the dead owner that put their fault in once more, at a time of their own clock."""

    def __init__(self, late: dict[str, float]) -> None:
        Seam.__init__(self)
        Clock.__init__(self)
        self.late = {fault: self.now_s + after_s for fault, after_s in late.items()}
        self.at: list[tuple[str, float]] = []

    async def sleep(self, for_s: float) -> None:
        await super().sleep(for_s)
        for fault in [one for one, due_s in self.late.items() if due_s <= self.now_s]:
            del self.late[fault]
            self.values["server"] = fault

    async def taken_out(self, undo: FaultUndo, seams: Any, seed: int) -> dict[str, Any]:
        self.at.append((undo.fault, self.now_s - 100.0))
        return await super().taken_out(undo, seams, seed)


@pytest.mark.parametrize("kinds", [("command", "test.fault"), ("test.fault", "command")], ids=str)
def test_commands_and_faults_in_the_stack_that_come_in_late_are_out_together_at_the_end(
    tmp_path: Path, kinds: tuple[str, str]
) -> None:
    over_s = {"command": 30.0, "test.fault": 8.0}
    seam = LateSeam({f"f{k}": over_s[kind] - 0.5 for k, kind in enumerate(kinds)})
    run = dead_run(tmp_path, {}, **SHOP)
    files = UndoFiles(run)
    for k, kind in enumerate(kinds):
        seam.put_in(files, f"f{k}", kind, ("server",))
    for name in files.all():
        files.set_in_flight(name, in_flight=True)
    with healing_at(seam, clock=seam, in_flight_s=lambda undo: over_s[undo.step.fault]) as patch:
        patch.setattr(healing, "end_left", lambda _: None)
        (healed,) = heal([run], "guard")
    assert (healed.taken_out, healed.left) == (["f1", "f0"], [])
    assert (seam.late, seam.values["server"]) == ({}, "original")
    inside = f"f{kinds.index('test.fault')}"
    assert any(8.0 <= at_s < 30.0 for fault, at_s in seam.at if fault == inside), "commands hold it up no longer"


def test_a_command_that_outlived_its_run_is_ended(tmp_path: Path, flag: Path) -> None:
    marked, another = uuid.uuid4().hex, uuid.uuid4().hex  # whoever runs these tests beside has others
    run = dead_run(tmp_path, {})
    files = UndoFiles(run)
    data = commands(tmp_path) | {"environment": {MARK: marked}}
    step = step_of("it").model_copy(update={"parameters": {**WORDS, "timeout": "100ms"}})
    files.set_in_flight(files.write_fault(step, data, 60.0), in_flight=True)
    asleep = ["sh", "-c", "echo on; sleep 600; touch flag"]
    mine, other = (
        subprocess.Popen(asleep, cwd=tmp_path, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE)
        for mark in (marked, another)
    )
    with mine, other:
        for one in (mine, other):
            assert one.stdout is not None
            assert one.stdout.readline() == b"on\n"
        (healed,) = heal([run], "heal")
        assert healed.taken_out == ["it"]
        assert mine.wait(30) == -signal.SIGKILL
        assert other.poll() is None
        other.send_signal(signal.SIGKILL)
        end_marked(another)


def test_a_clock_that_was_set_forward_shortens_no_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    with owned(run):
        pass
    files = UndoFiles(run)
    files.set_in_flight("0001.it.undo.json", in_flight=True)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 120.0)
    assert files.in_flight_for_s("0001.it.undo.json", 70.0) > 60.0
