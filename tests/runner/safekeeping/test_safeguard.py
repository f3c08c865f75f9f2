"""What a run gives back at its end, however it was cut off: its stack, its undo, its folder."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from fake_runs import plan_of

from harness.backends.compose import engine
from harness.description.stackfile import load_stack
from harness.guard import stack_owner
from harness.guard.open_runs import must_be_healed
from harness.guard.stack_owner import StackOwner
from harness.journal.owner import state_of
from harness.liveness import ProcessId
from harness.model.errors import BackendError, JournalError, ScenarioError
from harness.model.faultstep import FaultStep
from harness.runner.safekeeping import safeguard
from harness.runner.safekeeping.safeguard import Safeguard

STACK = Path(__file__).parents[2] / "backends" / "stack" / "compose.yaml"


class Engine:
    """Owners of stacks, without an engine."""

    def __init__(self) -> None:
        self.owner: StackOwner | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Event()

    def close(self) -> None:
        pass

    def info(self) -> dict[str, str]:
        return {"ID": "the-one"}

    def take(self, _: Any, project: str, run_id: str, run: Path) -> StackOwner | None:
        self.asked.set()
        assert self.may_answer.wait(30)
        if self.owner is not None:
            return self.owner
        self.owner = StackOwner(project, run_id, str(run.absolute()), ProcessId.here())
        return None

    def give_back(self, _: Any, _project: str, run_id: str) -> None:
        if self.owner is not None and self.owner.id == run_id:
            self.owner = None


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Engine:
    it = Engine()
    monkeypatch.setattr(engine, "client", lambda: it)
    monkeypatch.setattr(stack_owner, "take_stack", it.take)
    monkeypatch.setattr(stack_owner, "give_back_stack", it.give_back)
    monkeypatch.setattr(safeguard, "start_guard", lambda _: None)
    monkeypatch.setattr(safeguard, "has_guard", lambda _: True)
    return it


def safeguard_of(run: Path, backend: str = "compose") -> Safeguard:
    attach = "shop" if backend == "compose" else None
    plan = plan_of("0s", "1s").model_copy(update={"backend": backend, "attach": attach})
    return Safeguard(plan, load_stack(STACK), run)


def step(kind: str) -> FaultStep:
    return FaultStep.model_validate({"id": "it", "at": "0s", "fault": kind, "target": {"service": "echo"}, "for": "1s"})


async def test_a_run_that_is_cut_off_while_it_takes_its_stack_gives_it_back(there: Engine, tmp_path: Path) -> None:
    it = safeguard_of(tmp_path / "run")
    there.may_answer.clear()
    begin = asyncio.create_task(it.begin())
    await asyncio.to_thread(there.asked.wait, 30)
    begin.cancel()
    await asyncio.wait([begin])
    asyncio.get_running_loop().call_later(0.1, there.may_answer.set)
    assert await it.end(stopped=True) == []
    assert there.owner is None
    assert must_be_healed(tmp_path / "run") is None


async def test_a_fault_that_stays_in_keeps_the_stack(there: Engine, tmp_path: Path) -> None:
    it = safeguard_of(tmp_path / "run")
    await it.begin()
    await it.before(step("container.stop"), {}, 30.0)
    assert await it.end(stopped=True) == ["it"]
    assert there.owner is not None
    assert must_be_healed(tmp_path / "run") == "its fault may still be active"
    assert state_of(tmp_path / "run" / "undo") == "dead"


async def test_a_second_run_is_refused_and_leaves_the_first_one_its_stack(there: Engine, tmp_path: Path) -> None:
    first, second = safeguard_of(tmp_path / "first"), safeguard_of(tmp_path / "second")
    await first.begin()
    owner = there.owner
    with pytest.raises(ScenarioError, match=f"'shop' is owned by the run {tmp_path / 'first'}, process"):
        await second.begin()
    assert await second.end(stopped=True) == []
    assert there.owner == owner
    await first.end(stopped=True)
    assert there.owner is None


async def test_what_was_done_to_a_local_stack_ends_with_it_but_for_commands(there: Engine, tmp_path: Path) -> None:
    it = safeguard_of(tmp_path / "run", "local")
    await it.begin()
    await it.before(step("node.loss"), {}, 30.0)
    await it.before(step("command"), {}, 30.0)
    assert await it.end(stopped=True) == ["it"]
    assert it.files.open() == ["0002.it.undo.json"]


async def test_once_its_folder_was_moved_no_fault_goes_in(there: Engine, tmp_path: Path) -> None:
    it = safeguard_of(tmp_path / "run", "local")
    await it.begin()
    (tmp_path / "run").rename(tmp_path / "moved")
    with pytest.raises(JournalError, match="was moved or removed while it goes on"):
        await it.before(step("node.loss"), {}, 30.0)
    await it.end(stopped=True)


async def test_a_folder_that_was_removed_hides_no_fault(there: Engine, tmp_path: Path) -> None:
    it = safeguard_of(tmp_path / "run")
    await it.begin()
    await it.before(step("container.stop"), {}, 30.0)
    shutil.rmtree(tmp_path / "run")
    assert await it.end(stopped=True) == ["it"]
    assert there.owner is not None, "its guard goes on from what it has read"


async def test_nobody_misses_the_first_guard_while_it_starts(
    there: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts, may_go_on, looked = threading.Event(), threading.Event(), threading.Event()

    def start(_: Path) -> None:
        starts.set()
        assert may_go_on.wait(30)

    def has_guard(_: Path) -> bool:
        looked.set()
        return True

    monkeypatch.setattr(safeguard, "RENEW_S", 0.0)
    monkeypatch.setattr(safeguard, "start_guard", start)
    monkeypatch.setattr(safeguard, "has_guard", has_guard)
    it = safeguard_of(tmp_path / "run")
    begin = asyncio.create_task(it.begin())
    assert await asyncio.to_thread(starts.wait, 30)
    for _ in range(100):  # whoever looks for the guard has its turn in each of these
        await asyncio.sleep(0)
    seen_too_early = looked.is_set()
    may_go_on.set()
    await begin
    assert not seen_too_early
    assert await asyncio.to_thread(looked.wait, 30)
    await it.end(stopped=True)


async def test_a_run_whose_guard_is_not_kept_any_more_ends(
    there: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_guard(_: Path) -> bool:
        raise ValueError("what nobody expects")

    monkeypatch.setattr(safeguard, "RENEW_S", 0.0)
    monkeypatch.setattr(safeguard, "has_guard", has_guard)
    it = safeguard_of(tmp_path / "run")
    await it.begin()

    async def goes_on() -> None:
        while True:
            it.check()
            await asyncio.sleep(0)

    with pytest.raises(BackendError, match="the guard of the run is not kept any more: ValueError: what nobody"):
        await asyncio.wait_for(goes_on(), 30)
    assert await it.end(stopped=True) == []


@pytest.mark.parametrize("kind", ["command", "node.loss"])
async def test_what_an_earlier_run_has_left_in_its_folder_is_never_taken_over(
    there: Engine, tmp_path: Path, kind: str
) -> None:
    run = tmp_path / "run"
    first = safeguard_of(run, "local")
    await first.begin()
    await first.before(step(kind), {}, 30.0)
    await first.end(stopped=False)
    before = {file.name: file.read_bytes() for file in (run / "undo").iterdir()}
    second = safeguard_of(run, "local")
    with pytest.raises(ScenarioError, match=f"an earlier run in this folder was cut off: .*harness heal {run}` first"):
        await second.begin()
    assert await second.end(stopped=True) == []
    assert {file.name: file.read_bytes() for file in (run / "undo").iterdir()} == before
    assert first.files.open() == ["0001.it.undo.json"]


async def test_an_absence_that_was_damaged_keeps_the_stack(there: Engine, tmp_path: Path) -> None:
    it = safeguard_of(tmp_path / "run")
    await it.begin()
    undo = await it.before(step("container.stop"), {}, 30.0)
    undo.gone({})
    (tmp_path / "run" / "undo" / "0001.it.gone.json").write_text("cut o")
    assert await it.end(stopped=True) == ["it"]
    assert there.owner is not None
