"""The folder of a run that is removed while it is watched: what was read of it is written anew, at once or later."""

from __future__ import annotations

import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from left_behind import commands, dead_run, step_of

from harness.guard.hold import RunFolder
from harness.journal.owner import Ownership
from harness.journal.undo import UndoFiles


@pytest.fixture
def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Ownership]]:
    """A run that goes on with a fault in; what is written elsewhere is written below `elsewhere`."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    ownership = Ownership(run / "undo")
    yield run, ownership
    ownership.end()


def no_room_at_the_first_look(held: RunFolder) -> None:
    """A limit on the size of files stands for a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            held.look()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_failed_is_repeated_at_the_next_look(owned: tuple[Path, Ownership], tmp_path: Path) -> None:
    run, ownership = owned
    held = RunFolder(run)
    held.look()
    shutil.rmtree(run)
    no_room_at_the_first_look(held)
    assert list((tmp_path / "elsewhere").iterdir()) == [], "what was half written is gone"
    assert held.state() == "alive", "the lock of the run tells, though its folder is gone"
    held.look()
    assert UndoFiles(held.run).open() == ["0001.it.undo.json"]
    assert held.where() == held.run
    assert held.state() == "alive"
    ownership.end()
    assert held.state() == "dead"
    held.forget()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_was_measured_to_be_gone_stays_closed_where_the_folder_is_removed(
    owned: tuple[Path, Ownership], tmp_path: Path
) -> None:
    run, _ = owned
    files = UndoFiles(run)
    held = RunFolder(run)
    held.look()
    files.write_fault(step_of("next"), commands(tmp_path), 60.0)
    files.write_gone("0001.it.undo.json", "it", "run", {"code": 1})
    held.look()
    shutil.rmtree(run)
    held.look()
    anew = UndoFiles(held.run)
    assert anew.open() == ["0002.next.undo.json"]
    assert anew.in_flight_for_s("0002.next.undo.json", 60.0) > 0, "a call may have been in flight"
    held.forget()
