"""`harness stop`: real runs of a tiny stack revert and end, new ones are refused, and what did not end is told."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from calling import Harness

from harness.description.stackfile import resolve_stack
from harness.journal.files import read
from harness.journal.undo import UndoFiles
from harness.model.plan import Plan, StackFacts
from harness.model.scenario import Scenario
from harness.model.undo import RunUndo, for_healing
from harness.runner.safekeeping.latch import STATE, set_latch
from harness.runner.safekeeping.running import RunNote

pytestmark = pytest.mark.slow

TINY = Path(__file__).parents[1] / "runner" / "tiny"
HARNESS = str(Path(sys.executable).parent / "harness")
SCENARIO = """
schema: 1
scenario: {name}
summary: A bystander is lost.
stack: stack/compose.yaml
timeline:
  - {{id: gone, at: 100ms, fault: node.loss, target: {{node: b}}, for: 50s}}
expect:
  stays:
    - {{id: serving, probe: availability, at_least: 0.9, min_samples: 5}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(TINY, tmp_path / "stack", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("one", "two"):
        (tmp_path / f"{name}.scenario.yaml").write_text(SCENARIO.format(name=name))
    monkeypatch.setenv(STATE, str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(project: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [HARNESS, "run", *arguments]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=project, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], text: str, times: int = 1) -> None:
    """Read its progress until it has told of something so often."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        times -= text in line
        if not times:
            return
    pytest.fail("".join(lines))


def test_every_run_of_a_suite_reverts_and_ends_and_no_new_one_starts(
    project: Path, run: Callable[..., subprocess.Popen[str]], harness_: Harness
) -> None:
    process = run(".", "-j", "2")
    until(process, "gone injected", times=2)
    stopped = harness_("stop", "tiny", "--why", "an incident")
    assert stopped.code == 0, stopped
    assert "run one has reverted and ended" in stopped.out
    assert "run two has reverted and ended" in stopped.out
    assert "`harness stop --release tiny`" in stopped.out
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.count("stopped by ") == 2
    assert "(an incident)" in out
    for name in ("one", "two"):
        journal = read(project / "reports" / "latest" / name)
        assert journal.closed is not None
        assert journal.closed.reason == "stopped"
        assert journal.fault_stage("gone", "reverted") is not None
    refused = harness_("run", ".", "--name", "next")
    assert refused.code == 2
    assert "runs of 'tiny' are stopped (by " in refused.err
    assert "an incident" in refused.err
    assert "harness stop --release tiny" in refused.err
    assert not (project / "reports" / "next").exists()
    assert harness_("run", ".", "--dry-run").code == 0, "nothing starts"
    released = harness_("stop", "--release", "tiny")
    assert (released.code, "released tiny" in released.out) == (0, True)
    assert harness_("stop", "--list").out == "no latch is set\n"


def test_a_latch_made_by_hand_ends_a_run(project: Path, run: Callable[..., subprocess.Popen[str]]) -> None:
    process = run("one.scenario.yaml")
    until(process, "gone injected")
    (project / "state" / "stop").mkdir()
    (project / "state" / "stop" / "all").touch()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped by " in out


def test_a_run_that_does_not_end_is_told_with_the_command_to_finish(
    project: Path, run: Callable[..., subprocess.Popen[str]], harness_: Harness
) -> None:
    process = run("one.scenario.yaml")
    until(process, "gone injected")
    [entry] = (project / "state" / "runs").iterdir()
    worker = int(entry.name.partition("-")[0])
    os.kill(worker, signal.SIGSTOP)
    try:
        stopped = harness_("stop", "--wait", "300ms")
    finally:
        os.kill(worker, signal.SIGCONT)
    assert stopped.code == 4
    assert "run one" in stopped.err
    assert "has not ended after 0.3 s" in stopped.err
    assert f"harness heal {project / 'reports' / 'latest' / 'one'}" in stopped.err
    process.communicate(timeout=60)
    assert process.returncode == 130, "it ends all the same, once it goes on"


def plan() -> Plan:
    text = {"schema": 1, "scenario": "old", "summary": "s", "stack": "shop", "expect": {}}
    step = {"id": "it", "at": "0s", "fault": "container.stop", "target": {"service": "db"}, "for": "1s"}
    return Plan(
        run="old", scenario=Scenario.model_validate({**text, "timeline": [step]}), stack=StackFacts(name="shop"),
        seed=1, backend="compose",
    )  # fmt: skip


def test_a_run_that_was_killed_with_its_fault_in_is_exit_4(project: Path, harness_: Harness) -> None:
    run_dir = project / "reports" / "old"
    entry = RunNote(plan(), run_dir)
    [path] = (project / "state" / "runs").iterdir()
    kept = path.read_text()
    entry.close()
    path.write_text(kept)  # as the process leaves it that is killed
    files = UndoFiles(run_dir)
    stack = for_healing(resolve_stack(str(project / "stack" / "compose.yaml")))
    files.write_run(RunUndo(id="1", run="old", scenario="old", backend="compose", owned=False, stack=stack, seed=1))
    files.write_fault(plan().scenario.timeline[0], {}, 60.0)
    listed = harness_("stop", "--list")
    assert "run old of shop: killed" in listed.out
    stopped = harness_("stop", "shop")
    assert stopped.code == 4
    assert stopped.out.count("run old was killed: its fault may still be active") == 1
    assert f"run `harness heal {run_dir}`" in stopped.err
    assert harness_("stop", "shop").code == 4, "as long as it is in"


def test_without_a_run_the_latch_is_set_and_that_is_told(project: Path, harness_: Harness) -> None:
    result = harness_("stop")
    assert result.code == 0
    assert "the latch all is set (by " in result.out
    assert result.err == "nothing was stopped: no run is going on\n"
    assert "all: stopped by " in harness_("stop", "--list").out
    set_latch("tiny")
    released = harness_("stop", "--release")
    assert released.code == 0
    assert "still stopped: tiny" in released.out
    assert harness_("run", "one.scenario.yaml").code == 2


@pytest.fixture
def going_on(project: Path) -> Iterator[Path]:
    """A run of the stack shop that goes on, in this process."""
    run_dir = project / "reports" / "old"
    entry = RunNote(plan(), run_dir)
    yield run_dir
    entry.close()


def test_a_misspelt_name_is_refused_while_a_run_goes_on(going_on: Path, harness_: Harness) -> None:
    result = harness_("stop", "sho", "--wait", "0s")
    assert (result.code, result.out) == (2, "")
    assert "no run of 'sho' is going on, and nothing was stopped — did you mean 'shop'?" in result.err
    assert "no latch is set" in harness_("stop", "--list").out


def test_a_name_like_no_run_is_latched_and_says_that_nothing_was_stopped(going_on: Path, harness_: Harness) -> None:
    result = harness_("stop", "tiny", "--wait", "0s")
    assert result.code == 0
    assert result.err == "nothing was stopped: no run of 'tiny' is going on; what goes on: old of shop\n"
    assert "the latch tiny is set (by " in result.out
    assert "tiny: stopped by " in harness_("stop", "--list").out


def test_of_a_run_that_does_not_end_each_fault_is_told(going_on: Path, project: Path, harness_: Harness) -> None:
    def told() -> str:
        stopped = harness_("stop", "shop", "--wait", "0s")
        assert stopped.code == 4
        return stopped.err.splitlines()[0].partition("; ")[2]

    assert told() == "its undo cannot be read"
    files = UndoFiles(going_on)
    stack = for_healing(resolve_stack(str(project / "stack" / "compose.yaml")))
    files.write_run(RunUndo(id="1", run="old", scenario="old", backend="compose", owned=False, stack=stack, seed=1))
    step = plan().scenario.timeline[0]
    name = files.write_fault(step, {}, 60.0)
    files.write_fault(step.model_copy(update={"id": "other"}), {}, 60.0)
    assert told() == "may be in: other (container.stop), it (container.stop)"
    files.write_gone(name, "it", "guard", {})
    assert told() == "may be in: other (container.stop); out: it"


def test_the_name_of_a_compose_file_is_not_taken_for_misspelt(going_on: Path, project: Path, harness_: Harness) -> None:
    file = project / "stack" / "compose.yaml"
    file.write_text(file.read_text().replace("name: tiny", "name: shops"))
    assert harness_("stop", "shops").code == 2
    assert harness_("stop", str(file)).code == 0


def test_the_name_of_no_stack_is_no_stack(project: Path, harness_: Harness) -> None:
    result = harness_("stop", "")
    assert (result.code, "the name of a stack is empty" in result.err) == (2, True)
    assert "no latch is set" in harness_("stop", "--list").out


def test_a_stack_may_be_named_by_its_file(project: Path, harness_: Harness) -> None:
    harness_("stop", "stack/compose.yaml")
    assert "tiny: stopped by " in harness_("stop", "--list").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--release", "tiny"), "no latch 'tiny' is set — there is nothing to release: no other is set either\n"),
        (("--release", "--list"), "exclude one another"),
        (("--wait", "5"), "is not a duration"),
        (("nowhere/compose.yaml",), "nowhere/compose.yaml"),
    ],
)
def test_bad_input_is_one_message_and_exit_2(
    project: Path, harness_: Harness, arguments: tuple[str, ...], message: str
) -> None:
    result = harness_("stop", *arguments)
    assert result.code == 2
    assert message in result.err


def test_a_note_that_cannot_be_read_for_a_moment_ends_no_waiting(
    going_on: Path, project: Path, harness_: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    [note] = (project / "state" / "runs").iterdir()
    whole = note.read_bytes()
    looks = []

    def one_look(_: float) -> None:
        looks.append(note.read_bytes())
        note.write_bytes(b"" if len(looks) == 1 else whole)

    monkeypatch.setattr("harness.cli.stop.time.sleep", one_look)
    stopped = harness_("stop", "shop", "--wait", "1s")
    assert stopped.code == 4, "it still goes on"
    assert len(looks) > 2
    assert "run old (process" in stopped.err
