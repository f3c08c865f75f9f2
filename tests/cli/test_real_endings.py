"""How `harness run` ends on a real, tiny stack that cannot start, or when Ctrl-C comes in the middle of a fault."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from signalling import as_at_a_terminal, send

pytestmark = pytest.mark.slow

TINY = Path(__file__).parents[1] / "runner" / "tiny"
HARNESS = str(Path(sys.executable).parent / "harness")
SCENARIO = """
schema: 1
scenario: lost
summary: A bystander is lost.
stack: stack/compose.yaml
timeline:
  - {id: gone, at: 100ms, fault: node.loss, target: {node: b}, for: 20s}
expect:
  stays:
    - {id: serving, probe: availability, at_least: 0.9, min_samples: 5}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(TINY, tmp_path / "stack", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "lost.scenario.yaml").write_text(SCENARIO)
    return tmp_path


@pytest.fixture
def run(project: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [HARNESS, "run", "lost.scenario.yaml", "-j", "1"]
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(command, cwd=project, stdout=pipe, stderr=pipe, text=True, preexec_fn=as_at_a_terminal)
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_said(process: subprocess.Popen[str], text: str) -> None:
    """Read what a run says until it has said this, or has ended."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            break


def change(project: Path, old: str, new: str) -> None:
    file = project / "stack" / "compose.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, out + err


def test_a_service_that_does_not_start_is_exit_4_with_its_last_words(
    project: Path, run: Callable[..., subprocess.Popen[str]]
) -> None:
    change(
        project,
        'command: [python, -m, tiny_server, "{address}", "{port}"]',
        'command: [sh, -c, "echo no model here; exit 3"]',
    )
    code, said = ended(run())
    assert code == 4
    assert "server" in said
    assert "no model here" in said


def test_a_program_that_is_missing_is_exit_4_and_named(
    project: Path, run: Callable[..., subprocess.Popen[str]]
) -> None:
    change(project, 'command: [python, -m, tiny_server, "{address}", "{port}"]', "command: [tiny-model-server]")
    code, said = ended(run())
    assert code == 4
    assert "tiny-model-server" in said


def test_a_port_that_is_taken_is_exit_4_and_named(project: Path, run: Callable[..., subprocess.Popen[str]]) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        change(project, "port: 18002", f"port: {port}")
        code, said = ended(run())
    assert code == 4
    assert port in said


def test_ctrl_c_reverts_stops_and_reports(project: Path, run: Callable[..., subprocess.Popen[str]]) -> None:
    process = run()
    wait_for_said(process, "gone confirmed")
    process.send_signal(signal.SIGINT)
    code, _ = ended(process)
    assert code == 130
    reverted_and_reported(project)


def test_ctrl_c_with_a_fault_that_stays_in_is_130_and_names_it(
    project: Path, run: Callable[..., subprocess.Popen[str]]
) -> None:
    file = project / "lost.scenario.yaml"
    given = '{inject: ["true"], confirm: ["true"], revert: ["false"], absent: ["true"], timeout: 2s}'
    text = file.read_text().replace(
        "node.loss, target: {node: b}", f"command, target: {{service: server}}, with: {given}"
    )
    file.write_text(text)
    process = run()
    wait_for_said(process, "gone confirmed")
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130, said
    folder = project / "reports" / "latest"
    assert "its fault may still be active" in said
    assert "run `harness heal reports/" in said
    lines = [json.loads(line) for line in (folder / "lost" / "journal.jsonl").read_text().splitlines()]
    assert lines[-1]["reason"] == "interrupted"
    assert "'gone' may still be active" in lines[-1]["error"]
    (found,) = json.loads((folder / "suite.json").read_text())["scenarios"]
    assert found["interrupted"] == "cut off"
    assert found["reasons"][0] == "the run was interrupted before it was over"
    assert "'gone' may still be active" in found["reasons"][1]
    # Its guard would go on trying for a quarter of an hour.
    os.kill(int((folder / "lost" / "undo" / "guard.lock").read_text()), signal.SIGKILL)


def reverted_and_reported(project: Path) -> None:
    folder = project / "reports" / "latest"
    lines = [json.loads(line) for line in (folder / "lost" / "journal.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in lines if line.get("kind") == "fault"][-1] == "reverted"
    assert lines[-1]["reason"] == "interrupted"
    assert json.loads((folder / "suite.json").read_text())["counts"]["pass"] == 0
    assert (folder / "index.html").is_file()


def test_a_hang_up_ends_it_as_ctrl_c_does_however_often_it_comes(
    project: Path, run: Callable[..., subprocess.Popen[str]]
) -> None:
    process = run()
    wait_for_said(process, "gone confirmed")
    while process.poll() is None:
        send(process, signal.SIGHUP)
    code, said = ended(process)
    assert code == 130
    assert "its fault may still be active" not in said
    reverted_and_reported(project)


IN_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_terminal_that_is_closed_ends_it_as_ctrl_c_does(project: Path) -> None:
    ours, its = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("4H", 40, 160, 0, 0))
    words = [sys.executable, "-c", IN_TERMINAL, HARNESS, "run", "lost.scenario.yaml", "-j", "1"]
    process = subprocess.Popen(words, cwd=project, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    try:
        shown = b""
        while b"gone confirmed" not in shown:
            shown += os.read(ours, 4096)
        os.close(ours)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    reverted_and_reported(project)


def test_nohup_keeps_it_going(project: Path) -> None:
    scenario = project / "lost.scenario.yaml"
    scenario.write_text(scenario.read_text().replace("for: 20s", "for: 1s"))
    words = ["nohup", HARNESS, "run", "lost.scenario.yaml", "-j", "1"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, cwd=project, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
    wait_for_said(process, "gone confirmed")
    process.send_signal(signal.SIGHUP)
    code, _ = ended(process)
    assert code != 130
    assert (
        json.loads((project / "reports" / "latest" / "suite.json").read_text())["scenarios"][0]["interrupted"] is None
    )


def test_however_often_ctrl_c_comes_the_report_is_written(
    project: Path, run: Callable[..., subprocess.Popen[str]]
) -> None:
    process = run()
    wait_for_said(process, "gone confirmed")
    while process.poll() is None:
        send(process, signal.SIGINT)
    code, said = ended(process)
    assert code == 130
    assert "KeyboardInterrupt" not in said
    folder = project / "reports" / "latest"
    (stopped,) = json.loads((folder / "suite.json").read_text())["scenarios"]
    assert (stopped["verdict"], stopped["interrupted"], stopped["error"]) == ("unknown", "cut off", None)
    assert "interrupted" in stopped["reasons"][0]
    assert (folder / "index.html").is_file()


BY_COMMANDS = """
schema: 1
scenario: lost
summary: A flag of somebody else's is set.
stack: stack/compose.yaml
timeline:
  - id: gone
    at: 100ms
    fault: command
    target: {service: bystander}
    with:
      inject: [touch, FLAG]
      confirm: [test, -e, FLAG]
      revert: [sh, -c, "until [ -e FLAG.go ]; do sleep 0.05; done; rm -f FLAG"]
      timeout: 60s
    for: 20s
expect:
  stays:
    - {id: serving, probe: availability, at_least: 0.9, min_samples: 5}
"""


def test_a_second_ctrl_c_in_a_slow_revert_leaves_it_to_the_guard_and_says_so(
    project: Path, run: Callable[..., subprocess.Popen[str]]
) -> None:
    flag = project / "flag"
    (project / "lost.scenario.yaml").write_text(BY_COMMANDS.replace("FLAG", str(flag)))
    process = run()
    for awaited in ("gone confirmed", "gone reverting"):
        wait_for_said(process, awaited)
        process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code == 130
    assert "lost was cut off: its fault may still be active; its guard is at work" in said
    assert "`harness heal reports/latest/lost`" in said
    assert flag.exists()
    (project / "flag.go").touch()
    done = subprocess.run([HARNESS, "heal"], cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not flag.exists()
