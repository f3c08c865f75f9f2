"""A journal is found by its run's folder or its file, and what cannot be read says which and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_journal_files import GOOD, head

from harness.journal.files import NAME, read
from harness.model.errors import JournalError


def test_a_journal_is_found_by_its_folder_or_its_file(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(head() + GOOD, encoding="utf-8")
    assert read(tmp_path) == read(tmp_path / NAME)
    assert len(read(tmp_path).lines) == 1


def test_what_is_not_there_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="give a run's folder"):
        read(tmp_path)


def test_what_is_not_text_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(JournalError, match="not UTF-8"):
        read(tmp_path)
