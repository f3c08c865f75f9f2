"""A run that was killed with a fault by commands in it: its journal alone is enough to take the fault out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_runs import plan_of

from harness.backends.compose import engine, leftovers
from harness.journal.writer import JournalWriter
from harness.model.readings import Body, FaultSeen, StackUp, Undo
from harness.runner.healing import heal


def killed(folder: Path, flag: Path, revert: list[str], reverted: bool = False) -> Path:
    """Write the journal of a run that ended after its fault went in."""
    run = folder / "run"
    run.mkdir()
    journal = JournalWriter(run / "journal.jsonl", plan_of("0s", "1s"))
    data = {
        "revert": revert, "absent": ["test", "-e", str(flag)], "absent_code": 1, "folder": str(folder),
        "environment": {"HARNESS_PREPARED": "before"}, "timeout_s": 5.0,
    }  # fmt: skip
    target = {"service": "server"}
    journal.write(Undo(fault="it", fault_kind="command", target=target, parameters={}, data=data))
    journal.write(FaultSeen(fault="it", stage="injected", lo_s=0.1, hi_s=0.2))
    if reverted:
        journal.write(FaultSeen(fault="it", stage="reverted", lo_s=0.3, hi_s=0.4, landed=False))
    journal.close()
    return run


def test_heal_reverts_the_faults_of_a_killed_run(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    assert heal([killed(tmp_path, flag, ["rm", "-f", "flag"])]) == []
    assert not flag.exists()


def test_a_fault_that_cannot_be_reverted_is_reported(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    run = killed(tmp_path, flag, ["true"])
    assert "the fault 'it' is still active" in heal([run])[0]
    (tmp_path / "again").mkdir()
    run = killed(tmp_path / "again", flag, ["sh", "-c", "echo no such cloud >&2; exit 1"])
    assert "`revert` ended with 1: no such cloud" in heal([run])[0]


def test_heal_leaves_reverted_faults_alone(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    assert heal([killed(tmp_path, flag, ["rm", "-f", "flag"], reverted=True)]) == []
    assert flag.exists()


class NoEngine:
    """A client of an engine without containers."""

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("up", "removed"),
    [
        (StackUp(ready_s=1, project="shop-1", owned=True), ["shop-1"]),
        (StackUp(ready_s=1, project="shop", owned=False), []),
    ],
)
def test_a_stack_of_containers_is_removed_only_if_the_run_owned_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, up: Body, removed: list[str]
) -> None:
    found: list[str] = []

    def remove_run(client: Any, run: str) -> None:
        found.append(run)

    monkeypatch.setattr(engine, "client", NoEngine)
    monkeypatch.setattr(leftovers, "remove_run", remove_run)
    plan = plan_of("0s", "1s").model_copy(update={"backend": "compose"})
    journal = JournalWriter(tmp_path / "run" / "journal.jsonl", plan)
    journal.write(up)
    journal.close()
    assert heal([tmp_path / "run"]) == []
    assert found == removed
