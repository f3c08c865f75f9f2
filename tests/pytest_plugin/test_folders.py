"""Folders of runs: one each, whoever asks, and a session takes over from the one before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.model.errors import HarnessError
from harness.pytest_plugin.folders import RunFolders


def test_no_two_runs_share_a_folder_whatever_process_they_are_of(tmp_path: Path) -> None:
    processes = [RunFolders(tmp_path / "reports", "session") for _ in range(3)]
    claimed = [folders.claim("slow") for folders in processes for _ in range(2)]
    assert len(set(claimed)) == 6
    assert claimed[0].name == "slow"
    assert claimed[1].name == "slow.2"


def test_a_session_clears_the_runs_of_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    first = RunFolders(tmp_path, "first")
    (first.claim("slow") / "journal.jsonl").write_text("{}\n")
    (tmp_path / "suite.json").write_text("{}")
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "notes").mkdir()
    assert RunFolders(tmp_path, "second").claim("slow").name == "slow"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".session", "mine.txt", "notes", "slow"]
    assert not (tmp_path / "slow" / "journal.jsonl").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match="--harness-reports"):
        RunFolders(tmp_path / "file" / "reports", "session").claim("slow")
