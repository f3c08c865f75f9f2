"""What `harness heal` does with the sidecar of a run: results are fetched, once, and it is idle meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from left_behind import commands, dead_run

from harness.backends.compose.archives import packed
from harness.guard import sidecar_healing
from harness.guard.sidecar import Sidecar
from harness.guard.sidecar_healing import fetch_results, has_heartbeat, kept_idle
from harness.journal.undo import UndoFiles
from harness.model.errors import BackendError
from harness.model.undo import RunUndo


class FakeSidecar:
    """A sidecar without an engine, which has the undo in a folder of its own."""

    def __init__(self, run: Path) -> None:
        self.files = UndoFiles(run)
        self.calls: list[str] = []
        self.gets_heartbeats = True
        self.reached = True
        self.beaten = threading.Event()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if not self.reached:
            raise BackendError("not reached")

    def undo_there(self) -> dict[str, bytes]:
        self._call("fetch")
        return {file.name: file.read_bytes() for file in self.files.folder.iterdir() if file.is_file()}

    def wait_until_idle(self, within_s: float) -> None:
        self._call("wait")

    def beat(self) -> bool:
        self.beaten.set()
        return False

    def has_heartbeat(self, within_s: float) -> bool:
        self._call("ask")
        return self.gets_heartbeats

    def remove(self) -> None:
        self._call("remove")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return dead_run(tmp_path, {"old": commands(tmp_path), "new": commands(tmp_path)})


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSidecar:
    there = dead_run(tmp_path, {"old": commands(tmp_path), "new": commands(tmp_path)}, run="there")
    made = FakeSidecar(there)
    monkeypatch.setattr(sidecar_healing, "Sidecar", lambda *_: made)
    return made


def undo_of(run: Path) -> RunUndo:
    undo = UndoFiles(run).run()
    assert undo is not None
    return undo


def test_what_was_measured_there_is_written_down_here_once(run: Path, there: FakeSidecar) -> None:
    here = UndoFiles(run)
    there.files.write_gone("0002.new.undo.json", "new", "guard", {"code": 1})
    assert fetch_results(there, here) == ["new"]
    assert here.open() == ["0001.old.undo.json"]
    absence = here.gone("0002.new.undo.json")
    assert absence is not None
    assert (absence.by, absence.evidence) == ("guard", {"code": 1})
    assert fetch_results(there, here) == [], "it is known by now"


def test_the_end_of_the_run_is_fetched_once_nothing_is_open(run: Path, there: FakeSidecar) -> None:
    here = UndoFiles(run)
    for name, fault in (("0001.old.undo.json", "old"), ("0002.new.undo.json", "new")):
        there.files.write_gone(name, fault, "guard", {})
    there.files.write_ended("guard")
    (there.files.folder / "0001.old.gone.json").write_text("cut o")
    assert fetch_results(there, here) == ["new"]
    assert not (here.folder / "ended.json").exists(), "what is not as it was written closes nothing"
    assert sorted(file.name for file in here.folder.glob("*.fetched")) == []
    there.files.write_gone("0001.old.undo.json", "old", "guard", {})
    assert fetch_results(there, here) == ["old"]
    assert (here.folder / "ended.json").exists()


def test_it_gets_heartbeats_while_somebody_heals_and_stays_until_nothing_is_left(
    run: Path, there: FakeSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecar_healing, "RENEW_S", 0.0)
    there.files.write_gone("0002.new.undo.json", "new", "guard", {})
    with kept_idle(run, undo_of(run)) as results:
        assert results == ["new"]
        assert there.beaten.wait(30)
    assert there.calls == ["wait", "fetch", "close"]
    there.calls.clear()
    with kept_idle(run, undo_of(run)):
        UndoFiles(run).write_gone("0001.old.undo.json", "old", "heal", {})
        UndoFiles(run).write_ended("heal")
    assert there.calls == ["wait", "fetch", "remove", "close"]


def test_healing_does_without_one_that_is_not_reached(run: Path, there: FakeSidecar) -> None:
    there.reached = False
    with kept_idle(run, undo_of(run)) as results:
        assert results == []
    assert there.calls == ["wait", "close"]
    assert not there.beaten.is_set()


def test_only_one_that_is_reached_and_gets_heartbeats_tells_that_the_run_goes_on(run: Path, there: FakeSidecar) -> None:
    assert has_heartbeat(run, undo_of(run))
    there.gets_heartbeats = False
    assert not has_heartbeat(run, undo_of(run))
    there.reached, there.gets_heartbeats = False, True
    assert not has_heartbeat(run, undo_of(run))
    assert there.calls == ["ask", "close"] * 3


class ArchiveEngine:
    """An engine that gives out one archive, whatever is asked of it."""

    def __init__(self, archive: bytes) -> None:
        self.archive = archive

    @property
    def api(self) -> ArchiveEngine:
        return self

    def get_archive(self, *_: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        return iter([self.archive[:700], self.archive[700:]]), {}


def test_what_a_fault_has_kept_is_not_taken_for_its_absence(run: Path) -> None:
    sidecar = Sidecar(run, undo_of(run))
    gone = "0001.old.gone.json"
    files = [(f"undo/{gone}", b"measured"), (f"undo/kept/{gone}", b"kept"), ("undo/kept/0002.new.gone.json", b"kept")]
    sidecar._client = ArchiveEngine(packed(files))
    assert sidecar.undo_there() == {gone: b"measured"}


def test_what_the_sidecar_has_acknowledged_is_read_from_its_file(run: Path) -> None:
    sidecar = Sidecar(run, undo_of(run))
    assert sidecar._ack(ArchiveEngine(packed([("heartbeat.ack", b"1 a beat")]))) == (True, b"a beat")
