"""Healing from the undo alone: what comes out and is written down, and in which order across faults and runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from left_behind import SHOP, Seam, commands, dead_run, healing_at, said, step_of

from harness.guard import taking_out
from harness.guard.heal import heal
from harness.guard.open_runs import must_be_healed, open_run
from harness.journal.undo import UndoFiles


def test_a_fault_comes_out_and_that_is_written_down(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    assert must_be_healed(run) == "its fault may still be active"
    (healed,) = heal([run], "heal")
    assert (healed.taken_out, healed.left, healed.skipped) == (["it"], [], None)
    assert not flag.exists()
    assert said(run, "0001.it.gone.json")["by"] == "heal"
    assert said(run, "0001.it.gone.json")["evidence"]["exit_code"] == 1
    assert must_be_healed(run) is None
    assert open_run(run) is None


def test_nothing_is_healed_twice(tmp_path: Path, flag: Path) -> None:
    run = dead_run(tmp_path, {"it": commands(tmp_path)})
    heal([run], "heal")
    flag.touch()  # somebody's own, by now
    (healed,) = heal([run], "heal")
    assert healed.done_before
    assert flag.exists()


def test_one_that_cannot_be_taken_out_keeps_no_other_in(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    faults = {
        "old": commands(tmp_path, "a", ("rm", "-f", "a")),
        "broken": commands(tmp_path, "b", ("false",)),
    }
    run = dead_run(tmp_path, faults)
    (healed,) = heal([run], "heal")
    assert not (tmp_path / "a").exists()
    # It is out, but the newer one may have taken its effect for the original state: so it stays open with it.
    assert ["'broken'" in text or "after 'broken'" in text for text in healed.left] == [True, True]
    UndoFiles(run).write_gone("0002.broken.undo.json", "broken", "heal", {"by_hand": True})
    assert heal([run], "heal")[0].taken_out == ["old"]
    assert must_be_healed(run) is None


def test_the_newest_comes_out_first_across_runs(tmp_path: Path) -> None:
    order = tmp_path / "order"
    notes = {name: commands(tmp_path, "x", ("sh", "-c", f"echo {name} >> order")) for name in ("a", "b", "c")}
    project = {"backend": "compose", "project": None, "owned": False}
    first = dead_run(tmp_path, {"a": notes["a"]}, run="first", **project)
    second = dead_run(tmp_path, {"b": notes["b"]}, run="second", **project)
    UndoFiles(first).write_fault(step_of("c"), notes["c"], 60.0)
    for run in (first, second):  # one stack
        files = UndoFiles(run)
        about = files.run()
        assert about is not None
        files.write_run(about.model_copy(update={"project": "shop"}))
    heal([first, second], "heal")
    assert order.read_text().split() == ["c", "b", "a"]


def test_a_local_run_without_commands_needs_no_healing(tmp_path: Path) -> None:
    run = dead_run(tmp_path, {})
    UndoFiles(run).write_fault(step_of("it", "node.loss", node="server"), {}, 60.0)
    assert must_be_healed(run) is None
    (healed,) = heal([run], "heal")
    assert (healed.taken_out, healed.left) == (["it"], [])
    assert said(run, "0001.it.gone.json")["evidence"] == {"stack": "its processes ended with their run"}


FAULT = st.tuples(
    st.integers(0, 4),
    st.sampled_from(["test.fault", "command"]),
    st.sampled_from([("server",), ("other",), ("server", "other")]),
    st.integers(-3, 3),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(FAULT, min_size=1, max_size=5), st.integers(0, 5), st.booleans())
def test_any_failures_of_reverts_end_restored_or_in_a_precise_list(
    tmp_path_factory: pytest.TempPathFactory,
    faults: list[tuple[int, str, tuple[str, ...], int]],
    of_first: int,
    apart: bool,
) -> None:
    """Faults of any kind, of one run and of the next, written by a clock that may be set back within a run."""
    seam = Seam()
    folder = tmp_path_factory.mktemp("failing")
    runs = [dead_run(folder, {}, run=name, **SHOP) for name in ("first", "second")]
    with healing_at(seam) as patch:
        now_s = newest_s = 100
        for k, (failures, kind, services, step_s) in enumerate(faults):
            now_s = newest_s + 1 if k == of_first else now_s + step_s
            newest_s = max(newest_s, now_s)
            patch.setattr("time.time_ns", lambda: now_s * 10**9)  # noqa: B023 - it is called in this round
            seam.failures[f"f{k}"] = failures
            seam.put_in(UndoFiles(runs[k >= of_first]), f"f{k}", kind, services)
        healed = heal(runs, "heal")
        still = [name for run in runs for name in UndoFiles(run).open()]
        assert len([text for one in healed for text in one.left]) == len(still)
        for _ in range(5):  # tried often enough, each comes out
            if not [name for run in runs for name in UndoFiles(run).open()]:
                break
            heal(runs, "guard" if apart else "heal")
        assert set(seam.values.values()) == {"original"}
        assert [must_be_healed(run) for run in runs] == [None, None]


@pytest.mark.parametrize("kinds", [("command", "test.fault"), ("test.fault", "command")])
@pytest.mark.parametrize("set_back_s", [0, 1])
def test_the_newest_comes_out_first_whatever_its_kind_and_the_clock(
    tmp_path: Path, kinds: tuple[str, str], set_back_s: int
) -> None:
    seam = Seam()
    run = dead_run(tmp_path, {}, **SHOP)
    with healing_at(seam) as patch:
        for k, kind in enumerate(kinds):
            patch.setattr("time.time_ns", lambda: (100 - set_back_s * k) * 10**9)  # noqa: B023 - as above
            seam.put_in(UndoFiles(run), f"f{k}", kind, ("server",))
        assert heal([run], "heal")[0].taken_out == ["f1", "f0"]
    assert seam.values["server"] == "original"


def test_commands_are_measured_again_after_older_faults_came_out(tmp_path: Path, flag: Path) -> None:
    """The revert of the older one puts the newer one's effect back."""
    faults = {
        "old": commands(tmp_path, "other", ("sh", "-c", "[ -e once ] || { touch once flag; }")),
        "new": commands(tmp_path),
    }
    run = dead_run(tmp_path, faults)
    (healed,) = heal([run], "heal")
    assert (healed.taken_out, healed.left) == (["new", "old"], [])
    assert not flag.exists()


def test_what_stays_open_keeps_open_what_is_tied_to_it(tmp_path: Path) -> None:
    """The newest fails; the one below it is taken out again later, and then brings back what it had found."""
    seam = Seam()
    run = dead_run(tmp_path, {}, **SHOP)
    files = UndoFiles(run)
    seam.put_in(files, "f0", "test.fault", ("server",))
    seam.put_in(files, "f1", "command", ("server", "other"))
    seam.put_in(files, "f2", "test.fault", ("other",))
    seam.failures["f2"] = taking_out.PASSES
    with healing_at(seam):
        assert heal([run], "heal")[0].taken_out == []
        assert heal([run], "heal")[0].taken_out == ["f2", "f1", "f0"]
    assert set(seam.values.values()) == {"original"}


def test_commands_on_different_services_may_lie_on_one_another(tmp_path: Path) -> None:
    """The newer one's revert fails once, and brings back what the older one had done: that comes out again."""
    state = tmp_path / "state"
    state.write_text("changed twice")
    fails_once = "[ -e tried ] || { touch tried; exit 1; }; echo changed once > state"
    older = commands(tmp_path, revert=("sh", "-c", "echo as it was > state"))
    newer = commands(tmp_path, revert=("sh", "-c", fails_once))
    older |= {"absent": ["grep", "changed", "state"]}
    newer |= {"absent": ["grep", "twice", "state"]}
    run = dead_run(tmp_path, {})
    files = UndoFiles(run)
    files.write_fault(step_of("older", service="server"), older, 60.0)
    files.write_fault(step_of("newer", service="other"), newer, 60.0)
    (healed,) = heal([run], "heal")
    assert healed.left == []
    assert state.read_text() == "as it was\n"
