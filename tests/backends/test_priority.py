"""Who is served first, with and without the right to raise a priority."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.backends import priority


def after_giving_way() -> int:
    """Return by how much a process has lower priority than this one after it gave way."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        try:
            priority.give_way(child.pid)
            return os.getpriority(os.PRIO_PROCESS, child.pid) - os.getpriority(os.PRIO_PROCESS, 0)
        finally:
            child.kill()


def test_what_is_measured_gives_way_where_the_harness_cannot_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "may_raise", lambda: False)
    assert after_giving_way() == priority.NICENESS


def test_what_is_measured_competes_as_ever_where_the_harness_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "may_raise", lambda: True)
    assert after_giving_way() == 0


def test_a_process_that_has_ended_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "may_raise", lambda: False)
    child = subprocess.Popen(["true"])
    child.wait()
    priority.give_way(child.pid)


@pytest.mark.parametrize("text", [None, "0\n"])
def test_what_is_measured_gives_way_where_the_scheduler_does_not_group_by_session(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(priority, "AUTOGROUPS", tmp_path / "enabled")
    if text is not None:
        (tmp_path / "enabled").write_text(text)
    assert after_giving_way() == priority.NICENESS


def test_the_right_to_raise_is_read_from_the_process_s_capabilities() -> None:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    grouped = priority.AUTOGROUPS.read_text().strip() == "1"
    assert priority.may_raise() is (grouped and bool(int(status["CapEff"], 16) & 1 << 23))
