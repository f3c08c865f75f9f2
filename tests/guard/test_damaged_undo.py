"""Damage of any kind to the undo of a run: what is in is never cleared, never counts as gone, and nothing raises."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from left_behind import commands, dead_run, healing_at, stack_of, step_of

from harness.guard.heal import heal
from harness.guard.open_runs import must_be_healed, open_run, runs_under
from harness.journal import undo_folder
from harness.journal.owner import LEASE, LOCK, Ownership
from harness.journal.undo import UndoFiles
from harness.model.errors import FaultError, ScenarioError
from harness.model.undo import FaultUndo
from harness.seams.commands import MARK
from harness.suite.folders import clear

pytestmark = pytest.mark.slow

FAULTS = 3


class _Stack:
    """Faults that are in until they are taken out by their own undo; some refuse."""

    def __init__(self, refuse: set[int]) -> None:
        self.refuse = refuse
        self.out: set[int] = set()

    async def taken_out(self, undo: FaultUndo, _seams: Any, _seed: int) -> dict[str, Any]:
        k = int(undo.data["is"])
        if k in self.refuse:
            raise FaultError("the engine is busy")
        self.out.add(k)
        return {"is": "gone"}


NAMES = [
    undo_folder.RUN, undo_folder.ENDED, LOCK, LEASE, undo_folder.HEALING,
    *(f"{k + 1:04d}.f{k}{end}" for k in range(FAULTS) for end in (".undo.json", ".gone.json", ".in-flight")),
]  # fmt: skip
NAME = st.sampled_from(NAMES)
PLACE = st.integers(0, 2**14)
DAMAGE = st.one_of(
    st.tuples(st.just("cut"), NAME, PLACE),
    st.tuples(st.just("changed"), NAME, st.tuples(PLACE, st.integers(1, 255))),
    st.tuples(st.just("another's"), NAME, NAME),
    st.tuples(st.just("exchanged"), NAME, NAME),
    st.tuples(st.just("text"), NAME, st.sampled_from([b"", b"{}", b"[" * 3000, b"null", b"\xff", b"1e999"])),
    st.tuples(st.sampled_from(["folder", "pipe", "link"]), NAME, st.none()),
    st.tuples(st.just("removed"), NAME.filter(lambda name: not name.endswith(undo_folder.UNDO)), st.none()),
)  # fmt: skip


def _damage(folder: Path, kind: str, name: str, how: Any) -> None:
    file = folder / name
    whole = file.read_bytes() if file.is_file() else b""
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    if kind == "exchanged" and (folder / how).is_file() and file.is_file() and how != name:
        file.write_bytes((folder / how).read_bytes())
        (folder / how).write_bytes(whole)
        return
    changed = {
        "cut": lambda: whole[: how % (len(whole) + 1)],
        "changed": lambda: _changed(whole, *how),
        "another's": lambda: (folder / how).read_bytes() if (folder / how).is_file() else whole,
        "exchanged": lambda: whole,
        "text": lambda: how,
    }
    text = changed[kind]() if kind in changed else b""
    file.unlink(missing_ok=True)
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "link":
        file.symlink_to("nowhere")
    elif kind != "removed":
        file.write_bytes(text)


def _changed(whole: bytes, at: int, by: int) -> bytes:
    if not whole:
        return bytes([by])
    at %= len(whole)
    return whole[:at] + bytes([whole[at] ^ by]) + whole[at + 1 :]


@settings(max_examples=150)
@given(
    gone=st.sets(st.integers(0, FAULTS - 1), max_size=FAULTS - 1),
    refuse=st.sets(st.integers(0, FAULTS - 1)),
    damage=st.lists(DAMAGE, min_size=1, max_size=4),
)
def test_no_damage_closes_what_is_in(
    tmp_path_factory: pytest.TempPathFactory, gone: set[int], refuse: set[int], damage: list[tuple[str, str, Any]]
) -> None:
    suite = tmp_path_factory.mktemp("damaged")
    run = dead_run(suite, {}, backend="compose", project="shop", owned=False, stack=stack_of("server"))
    files = UndoFiles(run)
    stack = _Stack(refuse)
    names = [files.write_fault(step_of(f"f{k}", "test.fault"), {"is": k}, 60.0) for k in range(FAULTS)]
    for k in gone:
        files.write_gone(names[k], f"f{k}", "run", {})
        stack.out.add(k)
    Ownership(files.folder).end()
    for one in damage:
        _damage(files.folder, *one)
    with healing_at(stack, in_flight_s=lambda _: 0.0):
        for _ in range(2):
            still = {k for k in range(FAULTS) if k not in stack.out}
            _is_known(suite, run, still)
            (healed,) = heal([run], "heal")
            still = {k for k in range(FAULTS) if k not in stack.out}
            assert healed.left or healed.skipped or not still
            assert not healed.done_before or not still
            _is_known(suite, run, still)
    if still:
        with pytest.raises(ScenarioError):
            clear(suite, "choose another")
        assert all((files.folder / names[k]).exists() or (files.folder / names[k]).is_symlink() for k in still)
    shutil.rmtree(suite)


def _is_known(suite: Path, run: Path, still: set[int]) -> None:
    """Everything that is in must be listed, and keep its folder."""
    if not still:
        return
    assert {f"{k + 1:04d}.f{k}{undo_folder.UNDO}" for k in still} <= set(UndoFiles(run).open())
    assert must_be_healed(run) is not None
    found = open_run(run)
    assert found is not None
    assert len(found.faults) >= len(still)
    assert runs_under(suite) == [run]


@pytest.mark.parametrize("data", [{}, {"environment": 5}, {"environment": {MARK: "\ud800"}}])
def test_an_undo_that_lacks_what_its_commands_need_keeps_no_other_in(tmp_path: Path, data: dict[str, Any]) -> None:
    (tmp_path / "flag").touch()
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    files = UndoFiles(run)
    words: dict[str, Any] = {word: ["true"] for word in ("inject", "confirm", "revert")}
    step = step_of("odd").model_copy(update={"parameters": {**words, "timeout": "100ms"}})
    files.set_in_flight(files.write_fault(step, data, 60.0), in_flight=True)
    (healed,) = heal([run], "heal")
    assert healed.left[0].startswith("the fault 'odd': its revert failed: KeyError")
    assert not (tmp_path / "flag").exists()


def test_a_target_that_is_no_link_may_overlap_with_any(tmp_path: Path) -> None:
    run = dead_run(tmp_path, {}, backend="compose", project="shop", owned=False, stack=stack_of("server"))
    files = UndoFiles(run)
    for k, fault in enumerate(("old", "new")):
        files.write_fault(step_of(fault, "test.fault", link="nowhere"), {"is": k}, 60.0)
    stack = _Stack({1})
    with healing_at(stack):
        (healed,) = heal([run], "heal")
    assert healed.left == [
        "the fault 'new': the engine is busy",
        "the fault 'old': it is out, and to be taken out again after 'new'",
    ]


def test_a_folder_in_place_of_the_only_undo_is_found(tmp_path: Path) -> None:
    (tmp_path / "run" / "undo" / "0001.it.undo.json").mkdir(parents=True)
    assert runs_under(tmp_path) == [tmp_path / "run"]
    assert must_be_healed(tmp_path / "run") is not None
