"""What healing says of what stays: it is named with the reason, stays open, and is never called clean."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from left_behind import SHOP, commands, dead_run, owned, reverts_by, said, step_of

from harness.backends.compose import engine
from harness.guard import heal as healing
from harness.guard.heal import heal
from harness.guard.open_runs import must_be_healed, runs_under
from harness.guard.stack_owner import StackOwner
from harness.journal.undo import UndoFiles
from harness.liveness import ProcessId
from harness.model.errors import BackendError
from harness.model.undo import FaultUndo


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


def test_a_file_that_never_ends_holds_nobody_up(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    os.mkfifo(run / "undo" / "0002.odd.undo.json")
    (healed,) = heal([run], "heal")
    assert healed.taken_out == ["it"]
    assert "0002.odd.undo.json: not as it was written" in healed.left[0]


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

    reverts_by(monkeypatch, taken_out)
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
    here = StackOwner("shop", of.id, str(run), ProcessId.here())
    assert here.is_dead()
    earlier = StackOwner("shop", "the-owner", str(run), ProcessId.here())
    assert not earlier.is_here()
    assert not earlier.is_dead()
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
