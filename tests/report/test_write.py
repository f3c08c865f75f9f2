"""Files are written whole or not at all, and what the disk does not take is an error that says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_runs import passing

from harness.model.errors import HarnessError
from harness.report import JudgedRun, SuiteInfo, write_run, write_suite


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(HarnessError) as caught:
        write_run(tmp_path / "file" / "run", *passing())
    assert "verdict.json" in str(caught.value)
    assert "--reports" in str(caught.value)


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "verdict.json").write_text("old and much longer" * 10_000)
    write_run(tmp_path, *passing())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "verdict.json"]
    assert (tmp_path / "verdict.json").read_text(encoding="utf-8").endswith("}\n")


def test_what_cannot_take_its_place_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "verdict.json").mkdir()
    with pytest.raises(HarnessError):
        write_run(tmp_path, *passing())
    assert [p.name for p in tmp_path.iterdir()] == ["verdict.json"]


def test_runs_may_lie_elsewhere(tmp_path: Path) -> None:
    run = tmp_path / "elsewhere" / "a"
    journal, verdict = passing()
    document = write_run(run, journal, verdict)
    suite = SuiteInfo(
        "s", "local", 1, "2026-01-05T03:00:00+00:00", 1.0, [JudgedRun(run, journal, verdict, None, document)]
    )
    assert write_suite(tmp_path / "out", suite).scenarios[0].run_dir == "../elsewhere/a"
    assert 'href="../elsewhere/a/report.html"' in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
