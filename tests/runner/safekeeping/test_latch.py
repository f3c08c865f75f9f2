"""A latch: written by hand or by the command, read by every run, and whatever cannot be read counts as set."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import plan_of

from harness.model.errors import ScenarioError
from harness.runner.safekeeping.latch import (
    ALL,
    STATE,
    Watched,
    latch_file,
    latches,
    refuse_if_stopped,
    release,
    set_latch,
)
from harness.runner.safekeeping.running import RunNote, runs


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STATE, str(tmp_path / "state"))
    return tmp_path / "state"


def by_hand(state: Path, name: str) -> Path:
    (state / "stop").mkdir(parents=True, exist_ok=True)
    (state / "stop" / name).touch()
    return state / "stop" / name


def test_without_one_nothing_is_stopped() -> None:
    assert Watched(("shop", None)).look() is None
    refuse_if_stopped(("shop", None))
    assert latches() == []


@pytest.mark.parametrize("name", ["shop", "shop_1", ALL])
def test_an_empty_file_stops_the_stack_the_project_or_all(state: Path, name: str) -> None:
    path = by_hand(state, name)
    latch = Watched(("shop", "shop_1")).look()
    assert latch is not None
    assert (latch.name, latch.path) == (name, path)
    assert latch.by == pwd.getpwuid(os.getuid()).pw_name, "the owner of the file"
    assert latch.since[:2] == "20"
    assert (Watched(("other",)).look() is None) is (name != ALL)


def test_it_is_seen_as_soon_as_it_is_there(state: Path) -> None:
    watched = Watched(("shop",))
    assert watched.look() is None
    path = by_hand(state, "shop")
    assert watched.look() is not None
    path.unlink()
    assert watched.look() is None


def test_what_it_says_is_told_where_a_run_is_refused(state: Path) -> None:
    by_hand(state, "shop").write_text("by: ann@host\nsince: 2026-06-01T10:00\nwhy: an  incident\nodd\nmore: x\n")
    with pytest.raises(ScenarioError) as refused:
        refuse_if_stopped(("shop",))
    text = str(refused.value)
    assert str(state / "stop" / "shop") in text
    assert "runs of 'shop' are stopped (by ann@host, 2026-06-01T10:00: an incident)" in text
    assert "`harness stop --release shop`" in text


def test_one_that_the_command_set_says_who_and_why() -> None:
    latch = set_latch("shop", "an incident")
    assert "@" in latch.by
    assert latch.why == "an incident"
    assert set_latch("shop", "another").why == "an incident", "the first one stays"
    assert [one.name for one in latches()] == ["shop"]
    assert release("shop").why == "an incident"
    assert latches() == []


def test_one_that_cannot_be_read_is_set(state: Path) -> None:
    (state / "stop" / "shop").mkdir(parents=True)
    latch = Watched(("shop",)).look()
    assert latch is not None
    assert "cannot be read" in latch.text


def test_one_that_points_nowhere_is_set(state: Path) -> None:
    by_hand(state, "other")
    (state / "stop" / "shop").symlink_to(state / "nowhere")
    assert Watched(("shop",)).look() is not None


def test_a_place_in_which_nobody_can_look_counts_as_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("harness.runner.safekeeping.latch.os.lstat", refuse)
    latch = Watched(("shop",)).look()
    assert latch is not None
    assert latch.by == "somebody"


@pytest.mark.parametrize("time_s", [253_402_300_800, -(10**12), 10**18])
def test_one_with_a_time_that_no_calendar_has_is_set(state: Path, monkeypatch: pytest.MonkeyPatch, time_s: int) -> None:
    seen = tuple(by_hand(state, ALL).lstat())
    monkeypatch.setattr(
        "harness.runner.safekeeping.latch.os.lstat", lambda _: os.stat_result((*seen[:8], time_s, seen[9]))
    )
    latch = Watched(("shop",)).look()
    assert latch is not None
    assert latch.text == f"by {pwd.getpwuid(os.getuid()).pw_name}, at an unknown time"


def test_a_stack_with_a_long_name_is_stopped_when_it_is_and_not_before() -> None:
    name = "shop" * 100
    assert Watched((name,)).look() is None
    refuse_if_stopped((name,))
    assert set_latch(name, "an incident").why == "an incident"
    assert Watched((name,)).look() is not None
    release(name)
    assert Watched((name,)).look() is None


def test_to_release_what_is_not_set_names_what_is(state: Path) -> None:
    by_hand(state, "shop")
    with pytest.raises(ScenarioError, match="did you mean 'shop'") as refused:
        release("shp")
    assert "no latch 'shp' is set" in str(refused.value)


def test_a_latch_that_cannot_be_written_is_one_clear_error(state: Path) -> None:
    state.write_text("a file in its place")
    with pytest.raises(ScenarioError, match=STATE):
        set_latch("shop")
    assert Watched(("shop",)).look() is None


def test_no_name_leads_out_of_the_folder(state: Path) -> None:
    assert {latch_file(name).parent for name in ("a/b", "..", ".", "../x")} == {state / "stop"}


def test_a_run_is_listed_while_it_goes_on(tmp_path: Path) -> None:
    entry = RunNote(plan_of("0s", "1s"), tmp_path / "run")
    entry.of_project("small_1")
    ((_, running, alive),) = runs()
    assert (running.run, running.stack, running.projects, alive) == ("small", "small", ("small_1",), True)
    assert running.pid == os.getpid()
    assert running.is_of(["small_1"])
    assert running.is_of([ALL])
    assert not running.is_of(["other"])
    entry.close()
    assert list(runs()) == []


def test_a_run_whose_process_was_killed_is_told_apart(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1]); from fake_runs import plan_of\n"
        "from harness.runner.safekeeping.running import RunNote\n"
        "entry = RunNote(plan_of('0s', '1s'), Path(sys.argv[2])); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    here = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", code, here, str(tmp_path / "run")], check=False, timeout=60)
    ((_, running, alive),) = runs()
    assert (running.run, alive) == ("small", False)


def test_a_run_that_has_ended_takes_no_file_from_children_that_are_forked_later(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1]); from fake_runs import plan_of\n"
        "from harness.runner.safekeeping.running import RunNote\n"
        "entry = RunNote(plan_of('0s', '1s'), Path(sys.argv[2])); entry.close()\n"
        "out, into = os.pipe()\n"  # the lowest numbers that are free: that of the note is among them
        "if os.fork() == 0: os.write(into, os.read(out, 1) and b'child'); os._exit(0)\n"
        "os.write(into, b'x'); os.wait(); sys.stdout.write(os.read(out, 9).decode())\n"
    )
    here = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, here, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("child", "")


def test_a_run_that_cannot_be_listed_goes_on(state: Path, tmp_path: Path) -> None:
    state.write_text("a file in its place")
    RunNote(plan_of("0s", "1s"), tmp_path / "run").close()


def test_a_file_that_is_being_written_is_no_run(state: Path) -> None:
    (state / "runs").mkdir(parents=True)
    (state / "runs" / "1-a.json").write_text("")
    (state / "runs" / "2-b.json").write_text(json.dumps({"run": "x"}))
    (state / "runs" / "3-c.json").write_text("[" * 5000)
    good = {"run": "x", "stack": "shop", "run_dir": "/x", "host": "h", "pid": 1, "projects": []}
    for field in good:
        (state / "runs" / f"4-{field}.json").write_text(json.dumps({**good, field: [["odd"]]}))
    assert list(runs()) == []


def test_a_relative_state_folder_is_refused_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE, "state")
    with pytest.raises(ScenarioError, match=f"{STATE} is 'state', which depends on the current folder") as refused:
        refuse_if_stopped(["shop"])
    assert "set it to an absolute path, such as " in str(refused.value.remedy)
