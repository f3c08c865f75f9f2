"""The heartbeats of a guard to the sidecar of its run: the first that cannot be sent is in the guard's log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from left_behind import dead_run

from harness.guard import heartbeat, sidecar
from harness.guard.heartbeat import HeartbeatSender, beat_in_background
from harness.guard.hold import RunFolder
from harness.journal.owner import Ownership
from harness.journal.undo import UndoFiles
from harness.model.errors import BackendError

NONE_YET = BackendError("no such container")


class FakeSidecar:
    """A sidecar that answers as it is told."""

    def __init__(self) -> None:
        self.answers: list[Exception | None] = []
        self.asked = threading.Semaphore(0)

    def beat(self) -> bool:
        self.asked.release()
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return False


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> FakeSidecar:
    made = FakeSidecar()
    monkeypatch.setattr(sidecar, "Sidecar", lambda *_: made)
    return made


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    made = dead_run(tmp_path, {}, backend="compose", project="shop", owned=False, guard="its-sidecar")
    ownership = Ownership(made / "undo")
    yield made
    ownership.end()


def logged(run: Path, there: FakeSidecar, *answers: Exception | None) -> list[str]:
    """What is in the log after a sidecar has answered so, without the times."""
    there.answers = list(answers)
    sender = HeartbeatSender(RunFolder(run))
    for _ in answers:
        sender.beat()
    log = run / "undo" / "guard.log"
    return [line.partition(" ")[2] for line in log.read_text().splitlines()] if log.exists() else []


def test_the_first_of_each_row_that_fails_is_in_the_log(run: Path, there: FakeSidecar) -> None:
    lost, odd = BackendError("not reached"), ValueError("what nobody expects")
    assert logged(run, there, None, lost, lost, odd, None, odd, None) == [
        "no heartbeat to the guard in a container: BackendError: not reached",
        "no heartbeat to the guard in a container: ValueError: what nobody expects",
    ]


def test_one_that_is_being_started_is_waited_for(run: Path, there: FakeSidecar) -> None:
    assert logged(run, there, NONE_YET, NONE_YET, None) == []


def test_one_that_does_not_start_in_time_is_in_the_log(
    run: Path, there: FakeSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "LEASE_S", 0.0)
    said = "no heartbeat to the guard in a container: BackendError: no such container"
    assert logged(run, there, NONE_YET, NONE_YET) == [said]


def test_one_that_is_removed_at_the_end_of_its_run_is_not_missed(run: Path, there: FakeSidecar) -> None:
    UndoFiles(run).write_ended("run")
    assert logged(run, there, None, NONE_YET) == []


def test_a_run_without_a_sidecar_sends_none(tmp_path: Path, there: FakeSidecar) -> None:
    run = dead_run(tmp_path, {})
    ownership = Ownership(run / "undo")
    assert logged(run, there, NONE_YET) == []
    assert there.answers == [NONE_YET], "nobody was asked"
    ownership.end()


def test_they_go_on_in_the_background_whatever_happens(
    run: Path, there: FakeSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "RENEW_S", 0.0)
    there.answers = [None, KeyError("what nobody expects"), None]
    over = beat_in_background(RunFolder(run))
    for _ in range(4):
        assert there.asked.acquire(timeout=30)
    over.set()
