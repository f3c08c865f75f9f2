"""A journal is found by its run's folder or its file, and what cannot be read says which and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_journal_files import GOOD, head

from harness.journal.files import NAME, read
from harness.journal.records import parse, read_lines
from harness.model.errors import JournalError
from harness.model.readings import StackUp


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


@pytest.mark.parametrize(
    "line",
    [
        '{"n":1,"t":0.5,"kind":"stack_up","ready_s":1,"project":"x"}\n',
        '{"n": 1, "t": 0.5, "kind": "stack_up", "ready_s": 1, "project": "x"}\n',
        '{"kind":"stack_up","ready_s":1,"project":"x","t":5e-1,"n":1}\n',
        '{"n":1,"t":0.5,"ready_s":1,"project":"\\u0078","kind":"stack_up"}\n',
    ],
)
def test_a_line_means_the_same_however_it_is_written(line: str) -> None:
    [read_back] = parse([head(), line]).lines
    assert (read_back.n, read_back.t_s, read_back.body) == (1, 0.5, StackUp(ready_s=1, project="x"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"n":1,"t":0.5,"kind":"gap","probe":"a","from_s":NaN,"to_s":1,"why":"x"}\n', "NaN"),
        ('{"n":1,"t":0.5,"kind":"stack_up","ready_s":-Infinity,"project":"x"}\n', "Infinity"),
        ('{"n":1,"t":0.5,"kind":"stack_up","ready_s":1e999,"project":"x"}\n', "finite"),
        ('{"n":1,"t":0.5,"kind":"stack_up","ready_s":1,"project":7}\n', "project"),
        ('{"n":1,"t":0.5,"kind":"stack_up"}\n', "ready_s"),
        ('{"n":1,"t":0.5,"kind":"stack_up","ready_s":1,"project":"x","n":"one"}\n', "whole number"),
        ('{"n":1,"t":0.5,"kind":"stack_up","ready_s":1,"project":"x"\n', "not a journal line"),
        ('{"n":1,"t":0.5,"kind":"stack_up","ready_s":1,"project":"x"} {}\n', "not a journal line"),
        ('{"n":1,"t":0.5,}\n', "not a journal line"),
        (f'{{"n":{"1" * 5000},"t":0.5,"kind":"stack_up","ready_s":1,"project":"x"}}\n', "digits"),
        ('{"n":1,"t":0.5,"kind":"stack_up","ready_s":1,"project":"\\ud800"}\n', "surrogates"),
    ],
)
def test_a_damaged_line_among_good_ones_is_refused_with_its_number(line: str, message: str) -> None:
    with pytest.raises(JournalError, match="not a journal line") as caught:
        parse([head(), GOOD, line, GOOD], "journal.jsonl")
    assert (caught.value.file, caught.value.line) == ("journal.jsonl", 3)
    assert message in str(caught.value)


def test_what_only_looks_like_no_number_is_text() -> None:
    line = '{"n":1,"t":0.5,"kind":"stack_up","ready_s":1,"project":"NaN"}\n'
    assert parse([head(), line]).lines[0].body == StackUp(ready_s=1, project="NaN")


def test_lines_that_no_run_wrote_one_after_the_other_are_refused_at_the_first_that_is_wrong() -> None:
    second = GOOD.replace('"n":1', '"n":2')
    with pytest.raises(JournalError, match="it has the number 2, and 3 is due") as caught:
        parse([head(), GOOD, second, second], "journal.jsonl")
    assert caught.value.line == 4
    assert len(read_lines([head(), GOOD, second, second]).lines) == 3
