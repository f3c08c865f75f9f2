"""What is removed from the folder of a suite, and what is never touched: links, and what no run has written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.guard.heal import heal
from harness.model.errors import ScenarioError
from harness.suite.folders import clear, held
from harness.suite.suite import report_again

sys.path.insert(0, str(Path(__file__).parents[1] / "guard"))

from left_behind import commands, dead_run

HEAD = '{"n":0,"t":0.0,"kind":"header"}\n'


def a_run(folder: Path, name: str = "run", journal: str = HEAD) -> Path:
    (folder / name / "logs").mkdir(parents=True)
    (folder / name / "journal.jsonl").write_text(journal)
    return folder / name


def test_runs_and_reports_are_removed_and_nothing_else(tmp_path: Path) -> None:
    a_run(tmp_path)
    a_run(tmp_path, "killed at once", "")
    (tmp_path / "mine").mkdir()
    for name in ("suite.json", "worker-1.log", "mine.txt"):
        (tmp_path / name).write_text("")
    clear(tmp_path, "choose another --name")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mine", "mine.txt"]


def test_a_run_that_lost_its_journal_is_refused_until_it_is_healed(tmp_path: Path) -> None:
    (tmp_path / "flag").touch()
    suite = tmp_path / "suite"
    run = dead_run(suite, {"it": commands(tmp_path)})
    (run / "journal.jsonl").unlink()
    before = everything(tmp_path)
    with pytest.raises(ScenarioError, match=f"its fault may still be active .*harness heal {run}"):
        clear(suite, "choose another --name")
    assert everything(tmp_path) == before
    assert heal([run], "heal")[0].taken_out == ["it"]
    clear(suite, "choose another --name")
    assert list(suite.iterdir()) == []


def test_a_folder_called_undo_makes_no_run(tmp_path: Path) -> None:
    (tmp_path / "editor" / "undo").mkdir(parents=True)
    (tmp_path / "editor" / "undo" / "mine.txt").write_text("mine")
    before = everything(tmp_path)
    clear(tmp_path, "choose another --name")
    assert everything(tmp_path) == before


def everything(folder: Path) -> dict[str, bytes | None]:
    return {str(p): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def linked_run(suite: Path, elsewhere: Path) -> None:
    (suite / "linked").symlink_to(a_run(elsewhere))


def linked_file(suite: Path, elsewhere: Path) -> None:
    (a_run(suite) / "logs" / "a.log").symlink_to(elsewhere / "mine.txt")


def linked_folder(suite: Path, elsewhere: Path) -> None:
    (a_run(suite) / "undo").symlink_to(elsewhere)


def foreign_journal(suite: Path, elsewhere: Path) -> None:
    a_run(suite, "diary", '{"day": 1}\n')


def folder_of_a_report(suite: Path, elsewhere: Path) -> None:
    (suite / "index.html").mkdir()


@pytest.mark.parametrize("odd", [linked_run, linked_file, linked_folder, foreign_journal, folder_of_a_report])
def test_what_is_not_ours_is_refused_before_anything_is_removed(tmp_path: Path, odd: object) -> None:
    suite, elsewhere = tmp_path / "suite", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("mine")
    a_run(suite, "another")
    odd(suite, elsewhere)  # type: ignore[operator]
    before = everything(tmp_path)
    with pytest.raises(ScenarioError, match="choose another --name"):
        clear(suite, "choose another --name")
    assert everything(tmp_path) == before


def test_a_suite_that_is_a_link_is_refused(tmp_path: Path) -> None:
    a_run(tmp_path / "elsewhere")
    (tmp_path / "suite").symlink_to(tmp_path / "elsewhere")
    before = everything(tmp_path)
    with pytest.raises(ScenarioError, match="symbolic link"), held(tmp_path / "suite"):
        pass
    with pytest.raises(ScenarioError, match="symbolic link"):
        clear(tmp_path / "suite", "choose another --name")
    with pytest.raises(ScenarioError, match="symbolic link"):
        report_again(tmp_path / "suite")
    assert everything(tmp_path) == before


def test_a_report_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "suite").mkdir()
    linked_run(tmp_path / "suite", tmp_path / "elsewhere")
    before = everything(tmp_path)
    with pytest.raises(ScenarioError, match="symbolic link"):
        report_again(tmp_path / "suite")
    assert everything(tmp_path) == before
