"""Undo that was removed while its fault was in: the journal tells of it, and nothing is given back before."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from left_behind import dead_run, stack_of

from harness.cli import main
from harness.guard import heal as healing
from harness.guard.heal import heal
from harness.guard.open_runs import must_be_healed, open_run, runs_under
from harness.guard.stacks import Reached
from harness.journal.files import NAME
from harness.journal.undo_folder import has_ended
from harness.journal.writer import JournalWriter
from harness.model.errors import ScenarioError
from harness.model.plan import Plan, StackFacts
from harness.model.readings import FaultSeen, Undo
from harness.model.scenario import Scenario
from harness.suite.folders import clear

MISSING = "the undo of slow (container.cpu on server) is missing: restore it by hand, then --by-hand slow"


def cut_off(folder: Path, *stages: str) -> Path:
    """Return the folder of a run that was killed with this in its journal, and lost the undo of its fault."""
    step = {"id": "slow", "at": "0s", "fault": "container.cpu", "target": {"service": "server"}, "for": "1s"}
    text = {"schema": 1, "scenario": "small", "summary": "s", "stack": "small", "expect": {}, "timeline": [step]}
    scenario = Scenario.model_validate(text)
    run = dead_run(folder, {}, backend="compose", project="shop", owned=False, stack=stack_of())
    (run / NAME).unlink()
    journal = JournalWriter(
        run / NAME, Plan(run="run", scenario=scenario, stack=StackFacts(name="small"), seed=1, backend="compose")
    )
    hits = {"service": "server"}
    journal.write(Undo(fault="slow", fault_kind="container.cpu", target=hits, parameters={}, data={}))
    for stage in stages:
        landed = {"reverted": False, "confirmed": True}.get(stage)
        at_s = journal.now_s()
        seen = {"fault": "slow", "stage": stage, "lo_s": at_s, "hi_s": at_s, "landed": landed}
        journal.write(FaultSeen.model_validate(seen))
    journal.close()
    return run


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The stack of the run, which is there unless it says why not; and whether it was given back."""
    seen: dict[str, Any] = {"gone": None, "given back": False}

    @asynccontextmanager
    async def there(*_: Any, **__: Any) -> Any:
        yield Reached(seen["gone"])

    monkeypatch.setattr(healing, "reached", there)
    monkeypatch.setattr(healing, "not_to_be_healed", lambda *_, **__: None)
    monkeypatch.setattr(healing, "given_back", lambda *_: seen.update({"given back": True}))
    return seen


@pytest.mark.parametrize("stages", [("injecting",), ("injecting", "injected"), ("injecting", "injected", "confirmed")])
def test_what_went_in_and_lost_its_undo_is_left(tmp_path: Path, stack: dict[str, Any], stages: tuple[str, ...]) -> None:
    run = cut_off(tmp_path, *stages)
    for _ in range(2):
        (healed,) = heal([run], "heal")
        assert healed.left == [MISSING]
        assert not stack["given back"]
        assert not has_ended(run / "undo")
    assert must_be_healed(run) == "the undo of 'slow' is missing"
    found = open_run(run)
    assert found is not None
    assert found.faults == ("slow (container.cpu)",)
    with pytest.raises(ScenarioError, match="the undo of 'slow' is missing"):
        clear(tmp_path, "choose another")


def test_it_is_closed_by_hand_and_then_the_stack_is_given_back(
    tmp_path: Path, stack: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = cut_off(tmp_path, "injecting", "injected")
    assert main(["heal", str(run)]) == 4
    assert f"{run}: {MISSING}" in capsys.readouterr().err
    assert main(["heal", str(run), "--by-hand", "slow"]) == 0
    assert stack["given back"]
    assert must_be_healed(run) is None


def test_a_run_that_lost_all_of_its_undo_is_found_and_closed_by_hand(tmp_path: Path) -> None:
    run = cut_off(tmp_path, "injecting", "injected")
    shutil.rmtree(run / "undo")
    assert runs_under(tmp_path) == [run]
    (healed,) = heal([run], "heal")
    assert healed.left == [MISSING]
    assert must_be_healed(run) is not None
    assert main(["heal", str(run), "--by-hand", "slow"]) == 0
    assert must_be_healed(run) is None
    assert has_ended(run / "undo")


def test_what_the_journal_says_to_be_gone_needs_no_undo(tmp_path: Path, stack: dict[str, Any]) -> None:
    run = cut_off(tmp_path, "injecting", "injected", "reverting", "reverted")
    (healed,) = heal([run], "heal")
    assert (healed.left, stack["given back"]) == ([], True)
    shutil.rmtree(run / "undo")
    assert runs_under(tmp_path) == []


def test_what_went_with_its_stack_needs_no_undo(tmp_path: Path, stack: dict[str, Any]) -> None:
    run = cut_off(tmp_path, "injecting", "injected")
    stack["gone"] = "it was removed"
    assert heal([run], "heal")[0].left == []
    assert must_be_healed(run) is None


@pytest.mark.parametrize("damage", ["missing", "damaged", "empty"])
def test_a_journal_that_cannot_be_read_changes_nothing(tmp_path: Path, stack: dict[str, Any], damage: str) -> None:
    run = cut_off(tmp_path, "injecting", "injected")
    if damage == "missing":
        (run / NAME).unlink()
    else:
        lines = (run / NAME).read_text().splitlines(keepends=True)
        (run / NAME).write_text("".join(lines[1:]) if damage == "damaged" else "")
    assert must_be_healed(run) == "it still owns its stack"
    assert heal([run], "heal")[0].left == []
    assert stack["given back"]
