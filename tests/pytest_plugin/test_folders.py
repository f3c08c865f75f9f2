"""Folders of runs: one each, whoever asks, and a session takes over from the one before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from projects import write

from harness.model.errors import HarnessError
from harness.pytest_plugin.session_runner import RunFolders


def test_no_two_runs_share_a_folder_whatever_process_they_are_of(tmp_path: Path) -> None:
    processes = [RunFolders(tmp_path / "reports", "session") for _ in range(3)]
    claimed = [folders.claim("slow") for folders in processes for _ in range(2)]
    assert len(set(claimed)) == 6
    assert claimed[0].name == "slow"
    assert claimed[1].name == "slow.2"


def test_a_session_clears_the_runs_of_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    first = RunFolders(tmp_path, "first")
    (first.claim("slow") / "journal.jsonl").write_text('{"n":0,"t":0.0,"kind":"header"}\n')
    (tmp_path / "suite.json").write_text("{}")
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "notes").mkdir()
    assert RunFolders(tmp_path, "second").claim("slow").name == "slow"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".session", "mine.txt", "notes", "slow"]
    assert not (tmp_path / "slow" / "journal.jsonl").exists()


def test_a_folder_that_was_claimed_and_never_used_goes_with_its_session(tmp_path: Path) -> None:
    RunFolders(tmp_path, "first").claim("slow")
    RunFolders(tmp_path, "first").claim("kept").joinpath("mine.txt").write_text("mine")
    (tmp_path / "notes").mkdir()
    second = RunFolders(tmp_path, "second")
    assert second.claim("slow").name == "slow"
    assert second.claim("kept").name == "kept.2", "somebody has put something in"
    assert (tmp_path / "notes").is_dir(), "nobody claimed it"
    third = RunFolders(tmp_path, "third")
    assert third.claim("other").name == "other"
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_dir()) == ["kept", "notes", "other"]


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match="--harness-reports"):
        RunFolders(tmp_path / "file" / "reports", "session").claim("slow")


STORED = """
from harness.journal.writer import JournalWriter
from harness.model.plan import Plan, StackFacts
from harness.model.readings import Closed
from harness.model.scenario import Scenario
from harness.pytest_plugin.session_runner import session_runner_of


def test_a_stored_run(request):
    scenario = Scenario.model_validate({
        "schema": 1, "scenario": "slow", "summary": "Something is slow.", "stack": "small", "seed": 7,
        "timeline": [{"id": "it", "at": "0s", "fault": "node.loss", "target": {"service": "server"}, "for": "1s"}],
        "expect": {},
    })
    folder = session_runner_of(request.config).claim("slow")
    plan = Plan(run="slow", scenario=scenario, stack=StackFacts(name="small"), seed=7)
    journal = JournalWriter(folder / "journal.jsonl", plan)
    journal.write(Closed(reason="completed"))
    journal.close()
"""


@pytest.mark.slow
def test_the_suite_of_a_session_has_the_seed_of_its_runs(project: pytest.Pytester) -> None:
    write(project, "test_stored.py", STORED)
    result = project.runpytest_subprocess(timeout=170)
    assert result.parseoutcomes() == {"passed": 1}
    suite = json.loads((project.path / "reports/pytest/suite.json").read_text("utf-8"))
    assert suite["seed"] == 7
