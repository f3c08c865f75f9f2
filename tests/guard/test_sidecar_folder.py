"""What a sidecar knows of its run: how old the last heartbeat is, by a clock that the test moves."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.guard.sidecar_folder import ACK, HEARTBEAT, SidecarFolder
from harness.journal.owner import ELSEWHERE_S, LEASE, LEASE_S, is_copy, lease_age_s, state_of


class Clock:
    """Moved by the test."""

    def __init__(self) -> None:
        self.now_s = 5000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def undo(tmp_path: Path) -> Path:
    """The folder of the undo, with a first heartbeat: it is there before the sidecar starts."""
    folder = tmp_path / "undo"
    folder.mkdir()
    (folder / HEARTBEAT).write_bytes(b"first")
    return folder


@pytest.fixture
def folder(undo: Path, clock: Clock) -> SidecarFolder:
    return SidecarFolder(undo.parent, clock)


def beat(undo: Path, text: bytes) -> None:
    (undo / HEARTBEAT).write_bytes(text)


def test_the_run_is_alive_while_heartbeats_come(folder: SidecarFolder, undo: Path, clock: Clock) -> None:
    for k in range(20):
        beat(undo, b"%d" % k)
        folder.look()
        clock.now_s += LEASE_S
        assert folder.state() == "alive"


def test_it_hangs_and_then_is_dead_where_none_comes(folder: SidecarFolder, clock: Clock) -> None:
    folder.look()
    clock.now_s += LEASE_S + 0.1
    assert folder.state() == "hung"
    clock.now_s += ELSEWHERE_S - LEASE_S
    assert folder.state() == "hung"
    clock.now_s += 1.0
    assert folder.state() == "dead"


def test_the_same_heartbeat_again_is_none(folder: SidecarFolder, undo: Path, clock: Clock) -> None:
    folder.look()
    clock.now_s += LEASE_S + 0.1
    beat(undo, b"first")
    folder.look()
    assert folder.state() == "hung"
    beat(undo, b"second")
    folder.look()
    assert folder.state() == "alive"


def test_each_heartbeat_is_acknowledged(folder: SidecarFolder, undo: Path) -> None:
    assert (undo / ACK).read_bytes() == b"0 "
    folder.look()
    assert (undo / ACK).read_bytes() == b"0 first"
    folder.acts()
    assert (undo / ACK).read_bytes() == b"1 first"
    beat(undo, b"second")
    folder.look()
    assert (undo / ACK).read_bytes() == b"1 second"


def test_taking_faults_out_does_not_renew_the_lease(folder: SidecarFolder, undo: Path, clock: Clock) -> None:
    """How long a call of the run may be in flight counts from then, however often it is tried."""
    folder.look()
    lease = (undo / LEASE).read_bytes()
    for _ in range(3):
        clock.now_s += 20.0
        folder.acts()
    assert (undo / LEASE).read_bytes() == lease
    assert folder.state() == "hung"
    age_s = lease_age_s(undo)
    assert age_s is not None
    assert 59.0 < age_s < 90.0


def test_whoever_heals_there_sees_a_run_of_another_machine(folder: SidecarFolder, undo: Path) -> None:
    folder.look()
    assert state_of(undo) == "alive", "by the age of the file alone"
    assert not is_copy(undo)
    long_ago = time.time() - ELSEWHERE_S - 1.0
    os.utime(undo / LEASE, (long_ago, long_ago))
    assert state_of(undo) == "dead"


def test_that_it_has_acted_outlasts_a_start_anew(folder: SidecarFolder, undo: Path, clock: Clock) -> None:
    folder.look()
    folder.acts()
    again = SidecarFolder(undo.parent, clock)
    beat(undo, b"second")
    again.look()
    assert (undo / ACK).read_bytes() == b"1 second"
    again.forget()
    assert undo.is_dir(), "whoever heals fetches the results"


def test_a_start_anew_does_not_renew_the_lease(folder: SidecarFolder, undo: Path, clock: Clock) -> None:
    folder.look()
    clock.now_s += LEASE_S - 1.0
    again = SidecarFolder(undo.parent, clock)
    assert (undo / ACK).read_bytes() == b"0 first", "whoever waits for another heartbeat sees none"
    again.look()
    assert again.state() == "alive"
    clock.now_s += 1.1
    again.look()
    assert again.state() == "hung"
    clock.now_s += ELSEWHERE_S
    again = SidecarFolder(undo.parent, clock)
    again.look()
    assert again.state() == "dead"
    beat(undo, b"second")
    SidecarFolder(undo.parent, clock).look()
    assert SidecarFolder(undo.parent, clock).state() == "alive", "what came while it was down counts"


@pytest.mark.parametrize("noted", [b"", b"nan\n", b"none\n", b"0000000009000.000000\n"])
def test_a_start_anew_that_cannot_tell_when_the_last_heartbeat_came_begins_a_lease(
    folder: SidecarFolder, undo: Path, clock: Clock, noted: bytes
) -> None:
    """The machine was started anew, and its clock too; or the file was cut off."""
    folder.look()
    (undo / LEASE).write_bytes(noted)
    clock.now_s += LEASE_S + 1.0
    again = SidecarFolder(undo.parent, clock)
    again.look()
    assert again.state() == "alive"
    clock.now_s += LEASE_S + 0.1
    again.look()
    assert again.state() == "hung"


def test_no_heartbeat_at_all_is_an_error_of_the_look_only(tmp_path: Path, clock: Clock) -> None:
    it = SidecarFolder(tmp_path, clock)
    with pytest.raises(FileNotFoundError):
        it.look()
    clock.now_s += LEASE_S + 0.1
    assert it.state() == "hung"
