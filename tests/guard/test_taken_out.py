"""What the report of a run that was killed says of its faults."""

from __future__ import annotations

from pathlib import Path

from left_behind import commands, dead_run

from harness.journal.undo import UndoFiles
from harness.report.taken_out import taken_out_text


def test_it_says_who_took_which_fault_out_and_what_may_still_be_in(tmp_path: Path) -> None:
    run = dead_run(tmp_path, {"slow": commands(tmp_path), "lost": commands(tmp_path), "in": commands(tmp_path)})
    files = UndoFiles(run)
    newest, lost, slow = files.all()
    finish = f"run `harness heal {run}`."
    assert taken_out_text(run) == f"When this was written, 3 of its faults may still be active: {finish}"
    files.write_gone(lost, "lost", "guard", {"code": 1})
    files.write_gone(slow, "slow", "guard", {"code": 1})
    left = f"When this was written, its fault may still be active: {finish}"
    assert taken_out_text(run) == f"Its guard took out slow, lost, and measured that. {left}"
    files.write_gone(newest, "in", "heal", {"code": 1})
    files.write_ended("heal")
    assert taken_out_text(run) == (
        "Its guard took out slow, lost, and measured that. `harness heal` took out in, and measured that."
    )


def test_it_says_nothing_of_a_run_that_has_left_no_undo(tmp_path: Path) -> None:
    assert taken_out_text(tmp_path) == ""
