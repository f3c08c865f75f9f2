"""Commands whose output nobody reads any more (`| head -1`), or that have none, finish with the same exit code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import DATA

pytestmark = pytest.mark.slow

HARNESS = str(Path(sys.executable).parent / "harness")
TINY = Path(__file__).parents[1] / "runner" / "tiny"
SCENARIO = """
schema: 1
scenario: lost
summary: A bystander is lost.
stack: stack/compose.yaml
timeline:
  - {id: gone, at: 100ms, fault: node.loss, target: {node: b}, for: 500ms}
expect:
  stays:
    - {id: serving, probe: availability, at_least: 0.9, min_samples: 5}
"""


@pytest.fixture
def project(good: Path) -> Path:
    """Return a folder with a valid and an invalid scenario, a compose file, and the tiny stack."""
    shutil.copytree(TINY, good / "stack", ignore=shutil.ignore_patterns("__pycache__"))
    (good / "lost.scenario.yaml").write_text(SCENARIO)
    text = (DATA / "good.scenario.yaml").read_text("utf-8").replace("stack: small", "stack: nowhere")
    (good / "bad").mkdir()
    (good / "bad" / "bad.scenario.yaml").write_text(text)
    (good / "compose.yaml").write_text('services: {store: {image: "redis:7"}}\n')
    return good


@pytest.fixture
def unread() -> Iterator[int]:
    """Return the writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


COMMANDS = [
    (("check", "scenarios"), 0),
    (("check", "bad"), 2),
    (("list", "faults"), 0),
    (("schema",), 0),
    (("init", "--no-engine"), 0),
    (("doctor", "stack/compose.yaml", "--start", "--watch", "200ms"), 0),
]


@pytest.mark.parametrize(("arguments", "code"), COMMANDS, ids=[" ".join(arguments) for arguments, _ in COMMANDS])
@pytest.mark.parametrize("both", [False, True], ids=["stdout", "stdout-and-stderr"])
def test_a_command_finishes_without_a_reader(
    project: Path, unread: int, arguments: tuple[str, ...], code: int, both: bool
) -> None:
    said = unread if both else subprocess.PIPE
    done = subprocess.run([HARNESS, *arguments], cwd=project, stdout=unread, stderr=said, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in (done.stderr or "")
    assert "harness itself failed" not in (done.stderr or "")
    if arguments[0] == "init":
        assert (project / "compose.harness.yaml").exists()


@pytest.mark.parametrize(
    "arguments", [("check", "scenarios"), ("list", "faults", "--json"), ("init", "--no-engine"), ("-h",)]
)
def test_what_a_full_disk_does_not_take_is_said_and_is_no_pass(project: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([HARNESS, *arguments], cwd=project, stdout=full, stderr=-1, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr.count("could be written: No space left on device") == 1
    assert "traceback" not in done.stderr
    assert "itself failed" not in done.stderr
    if arguments[0] == "init":
        assert (project / "compose.harness.yaml").exists()


def test_a_full_disk_does_not_hide_what_is_wrong(project: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([HARNESS, "check", "bad"], cwd=project, stdout=full, stderr=-1, text=True, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_command_without_any_output_finishes(project: Path, closed: str) -> None:
    for folder, code in (("scenarios", 0), ("bad", 2)):
        assert os.waitstatus_to_exitcode(os.system(f"cd {project} && {HARNESS} check {folder} {closed}")) == code


def test_a_run_finishes_and_reports_without_a_reader(project: Path, unread: int) -> None:
    done = subprocess.run(
        [HARNESS, "run", "lost.scenario.yaml", "-j", "1"], cwd=project, stdout=unread, stderr=unread, check=False
    )
    assert done.returncode in (0, 3), "never that of a failed run"
    assert (project / "reports" / "latest" / "suite.json").exists()


def test_a_stack_stays_up_when_the_reader_of_the_first_line_goes(project: Path) -> None:
    process = subprocess.Popen([HARNESS, "up", "stack/compose.yaml"], cwd=project, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("up in ")
        process.stdout.close()
        listed = subprocess.run([HARNESS, "down", "nothing-of-that-name"], capture_output=True, text=True, check=False)
        assert "tiny" in listed.stderr, "it still runs, after it has said where its services are"
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
