"""`harness heal` and `harness status`: what is said of runs that were cut off, and with which exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from calling import Harness, Runner

from harness.cli import healing
from harness.guard.heal import healing as healing_lock
from harness.guard.open_runs import must_be_healed
from harness.guard.stack_owner import StackOwner
from harness.journal.undo import UndoFiles
from harness.liveness import ProcessId

sys.path.insert(0, str(Path(__file__).parents[1] / "guard"))

from left_behind import OWNER, commands, dead_run


@pytest.fixture
def flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    found = tmp_path / "flag"
    found.touch()
    return found


def test_a_fault_that_was_left_in_is_listed_and_comes_out_once(flag: Path, harness_: Harness) -> None:
    dead_run(flag.parent / "reports", {"it": commands(flag.parent)})
    listed = harness_("status")
    assert listed.code == 0
    assert "reports/run: has ended; may be in: it (command); `harness heal reports/run`" in listed.out
    healed = harness_("heal")
    assert (healed.code, healed.out) == (0, "reports/run: the fault 'it' is out\n1 run checked, 0 left\n")
    assert not flag.exists()
    assert harness_("status").out.splitlines()[0] == "no run goes on, or has left anything in, under reports"
    flag.touch()
    assert harness_("heal").out == "1 run checked, 0 left\n"
    assert flag.exists(), "it is not taken out twice"


def test_a_path_is_one_word_of_the_command_and_stands_on_one_line(flag: Path, harness_: Harness) -> None:
    run = dead_run(flag.parent / "reports", {"it": commands(flag.parent, revert=("false",))}, run="of today")
    assert "`harness heal 'reports/of today'` takes out what is left" in harness_("status").out
    assert "to try again: harness heal 'reports/of today'; once" in harness_("heal").err
    run.rename(run.with_name("one\ntwo"))
    before = len(harness_("status", "reports/one\ntwo").out.splitlines())
    run.with_name("one\ntwo").rename(run)
    assert before == len(harness_("status").out.splitlines())


def test_what_cannot_be_taken_out_is_named_with_what_finishes_it(flag: Path, harness_: Harness) -> None:
    run = dead_run(flag.parent / "reports", {"it": commands(flag.parent, revert=("false",))})
    healed = harness_("heal", "reports")
    assert healed.code == 4
    assert "reports/run: the fault 'it': the command of `revert` ended with 1" in healed.err
    assert "to try again: harness heal reports/run; once you have restored it by hand: --by-hand it" in healed.err
    seen = json.loads(harness_("status", "--json").out)["runs"]
    assert [(one["run"], one["faults"], one["state"]) for one in seen] == [("reports/run", ["it (command)"], "dead")]
    wrong = harness_("heal", "reports/run", "--by-hand", "its")
    assert (wrong.code, wrong.err) == (2, "--by-hand: no fault 'its' is open in this run — open: it\n")
    flag.unlink()
    assert harness_("heal", str(run), "--by-hand", "it").code == 0
    assert harness_("heal", "reports").code == 0


def test_a_run_that_left_something_in_is_not_removed(flag: Path, harness_: Harness) -> None:
    run = dead_run(flag.parent / "reports" / "latest", {"it": commands(flag.parent)})
    (run / "undo" / "0001.it.undo.json").write_text("cut o")
    refused = harness_("heal")
    assert refused.code == 4
    assert "0001.it.undo.json: not as it was written, so nobody knows how to take the fault 'it' out" in refused.err
    assert refused.err.endswith("once you have restored it by hand: --by-hand it\n")
    assert run.is_dir()


def test_a_run_that_lost_its_journal_is_not_run_over(flag: Path, good: Path, harness_: Harness, runner: Runner) -> None:
    assert harness_("run", "scenarios").code in (0, 1, 3)
    (request,) = runner.requests
    name = request.plans[0].run
    run = dead_run(request.out_dir, {"it": commands(flag.parent)}, run=name)
    (run / "journal.jsonl").unlink()
    refused = harness_("run", "scenarios")
    assert (refused.code, len(runner.requests)) == (2, 1)
    assert "this run was cut off: its fault may still be active" in refused.err
    assert f"run `harness heal {run}` first" in refused.err
    assert harness_("heal").code == 0
    assert not flag.exists()
    assert harness_("run", "scenarios").code != 2


@contextmanager
def owned(run: Path) -> Iterator[None]:
    """Let a process own the run that renews no lease."""
    with subprocess.Popen([*OWNER, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"owns\n"
        yield
        owner.kill()


def test_a_run_that_goes_on_is_counted_beside_what_is_left(flag: Path, harness_: Harness) -> None:
    run = dead_run(flag.parent / "reports", {"it": commands(flag.parent)})
    with owned(run):
        # It renews no lease: on a busy machine, it might hang by now.
        (run / "undo" / "lease").write_text(f"{time.monotonic():020.6f}\n")
        healed = harness_("heal")
    assert healed.code == 0
    assert healed.out.splitlines()[-1] == "1 run checked, 0 left, 1 still goes on"
    assert flag.exists()


def test_of_a_run_that_hangs_the_process_is_named(flag: Path, harness_: Harness) -> None:
    run = dead_run(flag.parent / "reports", {"it": commands(flag.parent)})
    with owned(run):
        (run / "undo" / "lease").write_text(f"{time.monotonic() - 600:020.6f}\n")
        pid = json.loads((run / "undo" / "owner.lock").read_text())["pid"]
        healed = harness_("heal")
    assert healed.code == 4
    assert "the fault 'it' was taken out; its run hangs, and may put it in again" in healed.out
    ends = f"its process {pid} hangs, and may go on: end it with `kill -9 {pid}`, then run `harness heal reports/run`"
    assert healed.err == f"reports/run: {ends}\n"


def age_s(harness_: Harness) -> float | None:
    found: float | None = json.loads(harness_("status", "--json").out)["runs"][0]["lease_age_s"]
    return found


def test_status_says_how_old_a_lease_is(flag: Path, harness_: Harness) -> None:
    run = dead_run(flag.parent / "reports", {"it": commands(flag.parent)})
    lease = run / "undo" / "lease"
    assert age_s(harness_) is None, "it never had one"
    with owned(run):
        renewed_s = time.monotonic() - 7200
        lease.write_text(f"{renewed_s:020.6f}\n")
        assert "hangs; its lease is 2 h old; may be in: it (command)" in harness_("status").out
        seen_s = age_s(harness_)
        assert seen_s is not None
        assert 7200 <= seen_s <= time.monotonic() - renewed_s + 0.1
        for broken in ("nan\n", ""):
            lease.write_text(broken)
            assert "hangs; its lease cannot be read; may be in" in harness_("status").out
            assert age_s(harness_) is None
    lease.write_text(f"{time.monotonic() - 600:020.6f}\n")
    assert "has ended; its lease is 10 min old; may be in" in harness_("status").out


def test_the_lease_of_a_run_of_another_machine_is_as_old_as_its_file(flag: Path, harness_: Harness) -> None:
    run = dead_run(flag.parent / "reports", {"it": commands(flag.parent)})
    about = {
        "host": "far",
        "pid": 7,
        "boot": "another",
        "ticks": 1,
        "inode": (run / "undo" / "run.json").stat().st_ino,
    }
    (run / "undo" / "owner.lock").write_text(json.dumps(about))
    lease = run / "undo" / "lease"
    lease.write_text(f"{time.monotonic():020.6f}\n")
    days_ago_s = time.time() - 3 * 86400
    os.utime(lease, (days_ago_s, days_ago_s))
    assert "process 7 on far has ended; its lease is 3 d old; may be in" in harness_("status").out


def test_a_folder_without_runs(flag: Path, harness_: Harness) -> None:
    result = harness_("heal", "nowhere")
    assert (result.code, result.err) == (
        2,
        "nowhere: no run found here — give the folder of a run, or one that holds runs\n",
    )


@pytest.mark.parametrize("inside", ["", "latest"])
def test_the_usual_folder_may_have_no_run_yet(
    flag: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    owner = StackOwner("shop", "1", "/runs/slow", ProcessId("far", 7, "another", 1))
    monkeypatch.setattr(healing, "_on_engine", lambda: ([owner], [], None))
    (flag.parent / "reports" / inside).mkdir(parents=True)
    seen = harness_("status")
    assert (seen.code, seen.err) == (0, "")
    assert "stack shop: owned by /runs/slow, process 7 on far" in seen.out
    healed = harness_("heal")
    assert (healed.code, healed.out) == (0, "0 runs checked, 0 left\n")
    assert harness_("heal", "reports").code == harness_("status", "reports").code == 2, "that was given"


def test_what_another_user_may_not_look_into_is_not_passed_over(
    flag: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = dead_run(flag.parent / "reports", {"it": commands(flag.parent)})
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "undo")  # root may do anything
    healed = harness_("heal")
    assert healed.code == 4
    assert f"{Path('reports/run/undo')}: it may be looked into by its owner only" in healed.err
    assert must_be_healed(run) == "its undo cannot be read"
    assert flag.exists()


def test_of_several_faults_by_hand_all_are_checked_first(flag: Path, harness_: Harness) -> None:
    run = dead_run(flag.parent / "reports", {name: commands(flag.parent, revert=("false",)) for name in ("one", "two")})
    wrong = harness_("heal", str(run), "--by-hand", "one", "--by-hand", "tow")
    assert (wrong.code, wrong.err) == (2, "--by-hand: no fault 'tow' is open in this run — open: one, two\n")
    assert json.loads(harness_("status", "--json").out)["runs"][0]["faults"] == ["two (command)", "one (command)"]


def test_a_run_whose_stack_nobody_knows_is_closed_by_hand(flag: Path, harness_: Harness) -> None:
    run = dead_run(flag.parent / "reports", {"it": commands(flag.parent)})
    (run / "undo" / "run.json").write_text("")
    assert harness_("heal").code == 4
    flag.unlink(missing_ok=True)
    again = dead_run(flag.parent / "reports", {"it": commands(flag.parent, revert=("false",))}, run="again")
    (again / "undo" / "run.json").write_text("")
    flag.touch()
    assert harness_("heal", str(again)).code == 4
    assert harness_("heal", str(again), "--by-hand", "it").code == 0
    assert must_be_healed(again) is None


@pytest.mark.parametrize("path", ["nowhere", "reports/typo"])
def test_status_of_a_folder_without_runs_is_refused(flag: Path, harness_: Harness, path: str) -> None:
    dead_run(flag.parent / "reports", {"it": commands(flag.parent)})
    result = harness_("status", path)
    assert (result.code, "no run found here" in result.err) == (2, True)


def test_by_hand_waits_for_nobody_who_heals_right_now(flag: Path, harness_: Harness) -> None:
    run = dead_run(flag.parent, {"it": commands(flag.parent)})
    with healing_lock(run) as held:
        assert held
        refused = harness_("heal", str(run), "--by-hand", "it")
    assert refused.code == 2
    assert "another process heals it right now" in refused.err
    assert UndoFiles(run).open() == ["0001.it.undo.json"]


def test_status_does_not_wait_for_an_engine_that_gives_no_answer(
    flag: Path, harness_: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (flag.parent / "reports").mkdir()
    monkeypatch.setattr(healing, "ENGINE_S", 1.0)
    with socket.socket(socket.AF_UNIX) as stalled:
        stalled.bind(str(tmp_path / "docker.sock"))
        stalled.listen()  # connections are made, and nobody reads what is asked
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
        result = harness_("status")
    assert result.code == 0
    assert "no run goes on, or has left anything in, under reports" in result.out
    assert "stacks in containers: the Docker engine at unix://" in result.out
    assert "docker.sock is there and gives no answer within 1 s" in result.out
