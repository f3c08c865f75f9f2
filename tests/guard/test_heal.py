"""Healing from the undo alone: what is open, in which order it comes out, and what is said of what stays."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from left_behind import OWNER, commands, dead_run, said, stack_of, step_of

from harness.backends.compose import engine
from harness.guard import heal as healing
from harness.guard import taking_out
from harness.guard.heal import heal
from harness.guard.open_runs import must_be_healed, open_run, runs_under
from harness.guard.stack_owner import StackOwner
from harness.guard.stacks import Reached
from harness.journal.owner import LEASE, LOCK
from harness.journal.undo import UndoFiles
from harness.model.errors import BackendError, FaultError
from harness.model.undo import FaultUndo, RunUndo
from harness.seams.commands import MARK, end_marked


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    found = tmp_path / "flag"
    found.touch()
    return found


def test_a_fault_comes_out_and_that_is_written_down(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    assert must_be_healed(run) == "its fault may still be active"
    (healed,) = heal([run], "heal")
    assert (healed.taken_out, healed.left, healed.skipped) == (["it"], [], None)
    assert not flag.exists()
    assert said(run, "0001.it.gone.json")["by"] == "heal"
    assert said(run, "0001.it.gone.json")["evidence"]["exit_code"] == 1
    assert must_be_healed(run) is None
    assert open_run(run) is None


def test_nothing_is_healed_twice(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    heal([run], "heal")
    flag.touch()  # somebody's own, by now
    (healed,) = heal([run], "heal")
    assert healed.done_before
    assert flag.exists()


@pytest.mark.parametrize(
    ("revert", "why"),
    [
        (("true",), "it is still active after its revert"),
        (("sh", "-c", "echo no such cloud >&2; exit 1"), "`revert` ended with 1: no such cloud"),
        (("no-such-command",), "no-such-command"),
    ],
)
def test_what_cannot_be_taken_out_is_named_and_stays_open(
    tmp_path: Path, flag: Path, revert: tuple[str, ...], why: str
) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path, revert=revert)})
    for _ in range(2):
        (healed,) = heal([run], "heal")
        assert why in healed.left[0]
        assert "'it'" in healed.left[0]
        assert not healed.taken_out
        assert must_be_healed(run) is not None


def test_one_that_cannot_be_taken_out_keeps_no_other_in(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    faults = {
        "old": commands(tmp_path, "a", ("rm", "-f", "a")),
        "broken": commands(tmp_path, "b", ("false",)),
    }
    run = dead_run(tmp_path, faults)
    (healed,) = heal([run], "heal")
    assert not (tmp_path / "a").exists()
    # It is out, but the newer one may have taken its effect for the original state: so it stays open with it.
    assert ["'broken'" in text or "after 'broken'" in text for text in healed.left] == [True, True]
    UndoFiles(run).write_gone("0002.broken.undo.json", "broken", "heal", {"by_hand": True})
    assert heal([run], "heal")[0].taken_out == ["old"]
    assert must_be_healed(run) is None


def test_the_newest_comes_out_first_across_runs(tmp_path: Path) -> None:
    order = tmp_path / "order"
    notes = {name: commands(tmp_path, "x", ("sh", "-c", f"echo {name} >> order")) for name in ("a", "b", "c")}
    project = {"backend": "compose", "project": None, "owned": False}
    first = dead_run(tmp_path, {"a": notes["a"]}, run="first", **project)
    second = dead_run(tmp_path, {"b": notes["b"]}, run="second", **project)
    UndoFiles(first).write_fault(step_of("c"), notes["c"], 60.0)
    for run in (first, second):  # one stack
        files = UndoFiles(run)
        about = files.run()
        assert about is not None
        files.write_run(about.model_copy(update={"project": "shop"}))
    heal([first, second], "heal")
    assert order.read_text().split() == ["c", "b", "a"]


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


@contextmanager
def owned(run: Path) -> Iterator[int]:
    process = subprocess.Popen([*OWNER, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == b"owns\n"
        yield process.pid
    finally:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


def test_a_local_run_without_commands_needs_no_healing(tmp_path: Path) -> None:
    run = dead_run(tmp_path, {})
    UndoFiles(run).write_fault(step_of("it", "node.loss", node="server"), {}, 60.0)
    assert must_be_healed(run) is None
    (healed,) = heal([run], "heal")
    assert (healed.taken_out, healed.left) == (["it"], [])
    assert said(run, "0001.it.gone.json")["evidence"] == {"stack": "its processes ended with their run"}


@pytest.mark.parametrize("name", ["run.json", "0001.it.undo.json"])
def test_what_was_cut_off_or_changed_is_never_taken_for_an_undo(tmp_path: Path, flag: Path, name: str) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    file = run / "undo" / name
    whole = file.read_bytes()
    chance = random.Random(1)
    lengths = range(len(whole)) if name != "run.json" else range(0, len(whole), 40)
    damaged = [whole[:length] for length in lengths]
    for _ in range(200 if name != "run.json" else 40):
        at = chance.randrange(len(whole))
        damaged.append(whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :])
    for text in damaged:
        file.write_bytes(text)
        if must_be_healed(run) == "its fault may still be active" and not heal([run], "heal")[0].left:
            # A byte between the parts of the text: it says the same.
            assert not flag.exists()
            (run / "undo" / "0001.it.gone.json").unlink()
            (run / "undo" / "ended.json").unlink()
            flag.touch()
            continue
        assert must_be_healed(run) is not None
        (healed,) = heal([run], "heal")
        assert any(str(file) in text for text in healed.left)
        assert must_be_healed(run) is not None
        assert (run / "undo" / "0001.it.undo.json").exists(), "nothing is cleared"
        if name == "run.json":  # commands need no more than their own undo
            assert healed.taken_out == ["it"]
            (run / "undo" / "0001.it.gone.json").unlink()
            flag.touch()
        assert flag.exists()
        assert runs_under(tmp_path) == [run]


class Seam:
    """A value of each service, and faults that set it and put back what they found."""

    def __init__(self) -> None:
        self.values = dict.fromkeys(("server", "other"), "original")
        self.failures: dict[str, int] = {}
        """How often the revert of each fault fails before it works."""

    def put_in(self, files: UndoFiles, fault: str, kind: str, services: tuple[str, ...]) -> None:
        found = {service: self.values[service] for service in services}
        files.write_fault(step_of(fault, kind, services=services), {"found": found}, 60.0)
        self.values |= dict.fromkeys(services, fault)

    async def taken_out(self, undo: FaultUndo, _seams: Any, _seed: int) -> dict[str, Any]:
        if self.failures.get(undo.fault, 0) > 0:
            self.failures[undo.fault] -= 1
            raise FaultError("the engine is busy")
        self.values |= undo.data["found"]
        return await self.command_gone(undo)

    async def command_gone(self, undo: FaultUndo) -> dict[str, Any]:
        if undo.fault in self.values.values():
            raise FaultError("it is active")
        return dict(self.values)


@contextmanager
def healing_at(seam: Seam) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(taking_out, "taken_out", seam.taken_out)
        patch.setattr(taking_out, "command_gone", seam.command_gone)
        patch.setattr(taking_out, "reached", _there)
        patch.setattr(healing, "given_back", lambda *_: None)
        patch.setattr(healing, "not_to_be_healed", lambda *_, **__: None)
        yield patch


@asynccontextmanager
async def _there(runs: list[RunUndo], *, removes: bool) -> Any:
    yield Reached()


SHOP: dict[str, Any] = {
    "backend": "compose", "project": "shop", "owned": False, "stack": stack_of("server", "other"),
}  # fmt: skip
FAULT = st.tuples(
    st.integers(0, 4),
    st.sampled_from(["test.fault", "command"]),
    st.sampled_from([("server",), ("other",), ("server", "other")]),
    st.integers(-3, 3),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(FAULT, min_size=1, max_size=5), st.integers(0, 5), st.booleans())
def test_any_failures_of_reverts_end_restored_or_in_a_precise_list(
    tmp_path_factory: pytest.TempPathFactory,
    faults: list[tuple[int, str, tuple[str, ...], int]],
    of_first: int,
    apart: bool,
) -> None:
    """Faults of any kind, of one run and of the next, written by a clock that may be set back within a run."""
    seam = Seam()
    folder = tmp_path_factory.mktemp("failing")
    runs = [dead_run(folder, {}, run=name, **SHOP) for name in ("first", "second")]
    with healing_at(seam) as patch:
        now_s = newest_s = 100
        for k, (failures, kind, services, step_s) in enumerate(faults):
            now_s = newest_s + 1 if k == of_first else now_s + step_s
            newest_s = max(newest_s, now_s)
            patch.setattr("time.time_ns", lambda: now_s * 10**9)  # noqa: B023 - it is called in this round
            seam.failures[f"f{k}"] = failures
            seam.put_in(UndoFiles(runs[k >= of_first]), f"f{k}", kind, services)
        healed = heal(runs, "heal")
        still = [name for run in runs for name in UndoFiles(run).open()]
        assert len([text for one in healed for text in one.left]) == len(still)
        for _ in range(5):  # tried often enough, each comes out
            if not [name for run in runs for name in UndoFiles(run).open()]:
                break
            heal(runs, "guard" if apart else "heal")
        assert set(seam.values.values()) == {"original"}
        assert [must_be_healed(run) for run in runs] == [None, None]


@pytest.mark.parametrize("kinds", [("command", "test.fault"), ("test.fault", "command")])
@pytest.mark.parametrize("set_back_s", [0, 1])
def test_the_newest_comes_out_first_whatever_its_kind_and_the_clock(
    tmp_path: Path, kinds: tuple[str, str], set_back_s: int
) -> None:
    seam = Seam()
    run = dead_run(tmp_path, {}, **SHOP)
    with healing_at(seam) as patch:
        for k, kind in enumerate(kinds):
            patch.setattr("time.time_ns", lambda: (100 - set_back_s * k) * 10**9)  # noqa: B023 - as above
            seam.put_in(UndoFiles(run), f"f{k}", kind, ("server",))
        assert heal([run], "heal")[0].taken_out == ["f1", "f0"]
    assert seam.values["server"] == "original"


def test_commands_are_measured_again_after_older_faults_came_out(tmp_path: Path, flag: Path) -> None:
    """The revert of the older one puts the newer one's effect back."""
    faults = {
        "old": commands(tmp_path, "other", ("sh", "-c", "[ -e once ] || { touch once flag; }")),
        "new": commands(tmp_path),
    }
    run = dead_run(tmp_path, faults)
    (healed,) = heal([run], "heal")
    assert (healed.taken_out, healed.left) == (["new", "old"], [])
    assert not flag.exists()


def test_what_stays_open_keeps_open_what_is_tied_to_it(tmp_path: Path) -> None:
    """The newest fails; the one below it is taken out again later, and then brings back what it had found."""
    seam = Seam()
    run = dead_run(tmp_path, {}, **SHOP)
    files = UndoFiles(run)
    seam.put_in(files, "f0", "test.fault", ("server",))
    seam.put_in(files, "f1", "command", ("server", "other"))
    seam.put_in(files, "f2", "test.fault", ("other",))
    seam.failures["f2"] = taking_out.PASSES
    with healing_at(seam):
        assert heal([run], "heal")[0].taken_out == []
        assert heal([run], "heal")[0].taken_out == ["f2", "f1", "f0"]
    assert set(seam.values.values()) == {"original"}


def test_commands_are_tried_where_the_stack_is_not_reached(
    tmp_path: Path, flag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_engine() -> Any:
        raise BackendError("no engine answers")

    monkeypatch.setattr(engine, "client", no_engine)
    run = dead_run(tmp_path, {"it": commands(tmp_path)}, **SHOP)
    name = UndoFiles(run).write_fault(step_of("stop", "container.stop"), {}, 60.0)
    (healed,) = heal([run], "heal")
    assert not flag.exists()
    assert "the fault 'stop': no engine answers" in healed.left[0]
    assert "the fault 'it': it is out, and to be taken out again after 'stop'" in healed.left[1]
    assert UndoFiles(run).open() == [name, "0001.it.undo.json"]


def test_what_a_call_of_the_dead_owner_puts_in_yet_comes_out_too(tmp_path: Path, flag: Path) -> None:
    """The owner died while its command was in flight: it puts the fault in when the guard has taken it out already."""
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


class SlowSeam:
    """Each look at a fault takes some time, the last of `looks_s` again and again. It has a clock of its own."""

    def __init__(self, looks_s: list[float]) -> None:
        self.now_s = 100.0
        self.looks_s = looks_s
        self.began: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, for_s: float) -> None:
        self.now_s += for_s

    async def taken_out(self, _undo: FaultUndo, _seams: Any, _seed: int) -> dict[str, Any]:
        self.began.append(self.now_s)
        self.now_s += self.looks_s[min(len(self.began), len(self.looks_s)) - 1]
        return {"is": "out"}


@pytest.mark.parametrize(("kind", "remote"), [("test.fault", False), ("command", False), ("test.fault", True)], ids=str)
@pytest.mark.parametrize("looks_s", [[0.1], [0.1, 7.5, 1.0], [5.0, 1.0], [9.0, 1.0], [6.0]], ids=str)
def test_the_last_look_begins_when_calls_of_the_dead_owner_must_be_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks_s: list[float], kind: str, remote: bool
) -> None:
    run = dead_run(tmp_path, {}, backend="compose", project="shop", owned=False)
    files = UndoFiles(run)
    name = files.write_fault(step_of("it", kind, service="server"), commands(tmp_path), 60.0)
    if not remote:  # no copy of a run knows of its calls: one may be in flight on each fault
        files.set_in_flight(name, in_flight=True)
    seam, over_s = SlowSeam(looks_s), 8.0
    began_s = seam.now_s
    for module in (healing, taking_out):
        monkeypatch.setattr(module, "time", seam)
    monkeypatch.setattr(taking_out.asyncio, "sleep", seam.sleep)
    monkeypatch.setattr(taking_out, "taken_out", seam.taken_out)
    monkeypatch.setattr(taking_out, "reached", _there)
    monkeypatch.setattr(healing, "given_back", lambda _: None)
    monkeypatch.setattr(healing, "not_to_be_healed", lambda *_, **__: None)
    monkeypatch.setattr(healing, "in_flight_of", lambda _: over_s)
    (healed,) = heal([run], "guard", remote=remote)
    assert healed.taken_out == ["it"]
    last_s = seam.began[-1] - began_s
    assert last_s >= over_s
    assert last_s <= max(over_s, sum(looks_s[:-1]) + taking_out.EVERY_S) + 1e-6, "and no later than that"


class LateSeam(Seam):
    """Calls of the dead owner that put their fault in once more, at a time of their own clock."""

    def __init__(self, late: dict[str, float]) -> None:
        super().__init__()
        self.now_s = 100.0
        self.late = {fault: self.now_s + after_s for fault, after_s in late.items()}
        self.at: list[tuple[str, float]] = []

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, for_s: float) -> None:
        self.now_s += for_s
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
    with healing_at(seam) as patch:
        for module in (healing, taking_out):
            patch.setattr(module, "time", seam)
        patch.setattr(taking_out.asyncio, "sleep", seam.sleep)
        patch.setattr(healing, "in_flight_of", lambda undo: over_s[undo.step.fault])
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


WORDS = {word: ["true"] for word in ("inject", "confirm", "revert")}


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


def test_a_file_that_never_ends_holds_nobody_up(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    os.mkfifo(run / "undo" / "0002.odd.undo.json")
    (healed,) = heal([run], "heal")
    assert healed.taken_out == ["it"]
    assert "0002.odd.undo.json: not as it was written" in healed.left[0]


@pytest.mark.parametrize(
    "text", [b"[" * 4000, b'{"host": "h", "pid": 1e999, "boot": "b", "started": 1, "inode": 1}', b"\xff", b"[]", b"{}"]
)
def test_a_lock_that_says_nothing_keeps_no_fault_in(tmp_path: Path, flag: Path, text: bytes) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    (run / "undo" / LOCK).write_bytes(text)
    found = open_run(run)
    assert found is not None
    assert (found.owner, found.state, found.faults) == (None, "dead", ("it (command)",))
    assert heal([run], "heal")[0].taken_out == ["it"]
    assert not flag.exists()


class BusyEngine:
    """An engine that says which it is, and not who owns a stack."""

    @property
    def api(self) -> BusyEngine:
        return self

    def info(self) -> dict[str, str]:
        return {"ID": "the-one"}

    def containers(self, **_: Any) -> list[Any]:
        raise OSError("timed out")

    def close(self) -> None:
        pass


def test_where_nobody_says_who_owns_a_stack_only_commands_are_taken_out(
    tmp_path: Path, flag: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the time that a fault would come out the engine may answer: the stack may be another run's."""
    monkeypatch.setattr(engine, "client", BusyEngine)
    reverted = []

    async def taken_out(undo: FaultUndo, *_: Any) -> dict[str, Any]:
        reverted.append(undo.fault)
        return {"is": "out"}

    monkeypatch.setattr(taking_out, "taken_out", taken_out)
    monkeypatch.setattr(taking_out, "reached", _there)
    run = dead_run(tmp_path, {}, engine="the-one", **SHOP)
    files = UndoFiles(run)
    name = files.write_fault(step_of("stop", "container.stop", service="other"), {}, 60.0)
    files.write_fault(step_of("it"), commands(tmp_path), 60.0)
    (healed,) = heal([run], "heal")
    assert (reverted, healed.taken_out) == (["it"], ["it"])
    assert healed.left == ["the fault 'stop': the engine does not tell who owns which stack: timed out"]
    assert files.open() == [name]


class OtherEngine:
    """An engine without anything on it."""

    def info(self) -> dict[str, str]:
        return {"ID": "another"}

    def close(self) -> None:
        pass


@pytest.mark.parametrize("owned_by_run", [True, False])
def test_what_is_not_on_another_engine_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owned_by_run: bool
) -> None:
    monkeypatch.setattr(engine, "client", OtherEngine)
    run = dead_run(tmp_path, {}, backend="compose", project="shop", owned=owned_by_run, engine="the-one")
    name = UndoFiles(run).write_fault(step_of("it", "container.stop"), {}, 60.0)
    for _ in range(2):
        (healed,) = heal([run], "heal")
        assert "another, is not that of the run" in healed.left[0]
        assert "set DOCKER_HOST or the docker context to the engine the-one" in healed.left[0]
        assert UndoFiles(run).open() == [name]
        assert must_be_healed(run) is not None


def test_what_was_in_a_stack_that_was_removed_is_gone_and_what_commands_did_is_not(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {}, backend="compose", project="shop", owned=False)
    files = UndoFiles(run)
    files.write_fault(step_of("stop", "container.stop"), {}, 60.0)
    name = files.write_fault(step_of("it"), commands(tmp_path), 60.0)
    of = files.run()
    assert of is not None
    healing.removed_with_its_stack(run, of.id)
    assert files.open() == [name]
    assert said(run, "0001.stop.gone.json")["evidence"] == {"stack": "it was removed with all its containers"}
    assert must_be_healed(run) is not None


def test_a_later_run_in_the_folder_of_the_owner_of_a_removed_stack_keeps_its_undo(tmp_path: Path) -> None:
    run = dead_run(tmp_path, {}, backend="compose", project="other-shop", owned=False)
    files = UndoFiles(run)
    name = files.write_fault(step_of("stop", "container.stop"), {}, 60.0)
    healing.removed_with_its_stack(run, "the-owner")
    assert files.open() == [name]
    assert not (files.folder / "ended.json").exists()


def test_a_folder_with_a_later_run_is_not_that_of_the_owner(tmp_path: Path) -> None:
    run = dead_run(tmp_path, {}, backend="compose", project="shop", owned=False)
    of = UndoFiles(run).run()
    assert of is not None
    here = StackOwner("shop", of.id, str(run), socket.gethostname(), "0")
    assert here.is_dead
    earlier = StackOwner("shop", "the-owner", str(run), socket.gethostname(), "0")
    assert not earlier.is_here
    assert not earlier.is_dead
    assert "its folder is gone" in str(earlier.refusal())


def test_a_copy_whose_stack_nobody_owns_is_not_called_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of the owner may have been pruned: that it is missing is no evidence that the fault is out."""
    monkeypatch.setattr(engine, "client", TheOne)
    run = dead_run(tmp_path, {}, engine="the-one", **SHOP)
    UndoFiles(run).write_fault(step_of("stop", "container.stop"), {}, 60.0)
    with owned(run):
        pass
    copy = shutil.copytree(run, tmp_path / "copy")
    (healed,) = heal([copy], "heal")
    assert "this is a copy, and nobody owns its stack" in healed.left[0]
    assert (healed.skipped, healed.done_before) == (None, False)
    UndoFiles(copy).write_gone("0001.stop.undo.json", "stop", "heal", {"by_hand": True})
    (healed,) = heal([copy], "heal")
    assert (healed.left, healed.skipped, healed.done_before) == ([], None, True)


class TheOne(OtherEngine):
    """The engine of the run, without anything on it."""

    @property
    def api(self) -> TheOne:
        return self

    def info(self) -> dict[str, str]:
        return {"ID": "the-one"}

    def containers(self, **_: Any) -> list[Any]:
        return []


def test_a_run_behind_a_link_is_found_once_by_its_own_path(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path / "larger-disk", {"it": commands(tmp_path)})
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "moved").symlink_to(run)
    (tmp_path / "reports" / "loop").symlink_to(tmp_path / "reports")
    assert runs_under(tmp_path / "reports") == [tmp_path / "reports" / "moved"]
    (tmp_path / "a-link").symlink_to(run.parent)
    assert runs_under(tmp_path) == [run]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("closed", ["", "undo"])
def test_a_run_that_cannot_be_looked_into_is_named_and_nothing_is_called_clean(closed: str) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ending:
        Path(folder).chmod(0o755)
        run = dead_run(Path(folder), {"it": commands(Path(folder))})
        (run / closed).chmod(0o700)
        os.setresuid(65534, 65534, 0)
        ending.callback(os.setresuid, 0, 0, 0)
        assert runs_under(Path(folder)) == [run]
        assert must_be_healed(run) == "its undo cannot be read"
        (healed,) = heal([run], "heal")
        assert healed.left == [f"{run / closed}: it may be looked into by its owner only; heal as that user"]


def test_a_clock_that_was_set_forward_shortens_no_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    with owned(run):
        pass
    files = UndoFiles(run)
    files.set_in_flight("0001.it.undo.json", in_flight=True)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 120.0)
    assert files.in_flight_for_s("0001.it.undo.json", 70.0) > 60.0


def test_commands_on_different_services_may_lie_on_one_another(tmp_path: Path) -> None:
    """The newer one's revert fails once, and brings back what the older one had done: that comes out again."""
    state = tmp_path / "state"
    state.write_text("changed twice")
    fails_once = "[ -e tried ] || { touch tried; exit 1; }; echo changed once > state"
    older = commands(tmp_path, revert=("sh", "-c", "echo as it was > state"))
    newer = commands(tmp_path, revert=("sh", "-c", fails_once))
    older |= {"absent": ["grep", "changed", "state"]}
    newer |= {"absent": ["grep", "twice", "state"]}
    run = dead_run(tmp_path, {})
    files = UndoFiles(run)
    files.write_fault(step_of("older", service="server"), older, 60.0)
    files.write_fault(step_of("newer", service="other"), newer, 60.0)
    (healed,) = heal([run], "heal")
    assert healed.left == []
    assert state.read_text() == "as it was\n"
