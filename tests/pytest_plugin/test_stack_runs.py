"""Sessions with real stacks: files and tests by hand that pass, fail and do not know, side by side, and broken off."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from projects import Run, outcomes, short_scenario, write
from signalling import as_at_a_terminal

pytestmark = [pytest.mark.stack_run, pytest.mark.timeout(600)]

BY_HAND = """
import pytest

STEADY = [{"probe": "availability", "at_least": 0.9, "over": "1s", "min_samples": 10}]
slow = {"link": "trainer -> object-store", "latency": "800ms"}
here = pytest.mark.stack("reference", start_at="2013-06-14T06:00", steady_state=STEADY)


@here
def test_noticed(chaos):
    assert chaos.probe("replicas_up") == 2
    with chaos.fault("network.latency", **slow) as fault:
        assert fault == "network.latency"
        chaos.expect_alert("ObjectStoreSlow", labels={"service": "trainer"}, within="6s")
        chaos.expect_stays("availability", at_least=0.9, min_samples=10)
    chaos.expect_cleared("ObjectStoreSlow", within="8s")
    chaos.expect_quiet(except_=["TrainingLagging"])


@here
def test_noticed_too_late(chaos):
    with chaos.fault("network.latency", **slow, id="slow"):
        chaos.expect_alert("ObjectStoreSlow", within="50ms", id="seen")
        chaos.observe("2s")


@here
def test_own_mistake(chaos):
    with chaos.fault("network.latency", **slow):
        raise LookupError("a mistake of the test")


@here
def test_skipped_in_its_run(chaos):
    with chaos.fault("network.latency", **slow):
        pytest.skip("not today")


@here
def test_skipped_before_it(chaos):
    pytest.skip("not today")


@pytest.mark.stack("reference", gate_timeout="1s", steady_state=[{"probe": "replicas_up", "at_least": 9}])
def test_never_steady(chaos):
    with chaos.fault("network.latency", **slow):
        raise AssertionError("no fault goes in before the steady state")
"""


def suite(project: pytest.Pytester, folder: str = "reports/pytest") -> dict[str, dict[str, Any]]:
    """The runs that suite.json tells of, by their folders."""
    told = json.loads((project.path / folder / "suite.json").read_text("utf-8"))
    assert (project.path / folder / "index.html").stat().st_size > 1000
    return {run["run_dir"]: run for run in told["scenarios"]}


def aimed(name: str, misfire: str) -> str:
    """Return a scenario with a misfire, whose alert may be about any client of the object store."""
    text = short_scenario(name).replace(", labels: {service: trainer}", "")
    return text.replace("    for: 4s", f"    for: 4s\n    misfire: {{target: {{link: {misfire}}}}}")


def test_misfires_pass_prove_nothing_or_have_no_target(project: pytest.Pytester, run: Run) -> None:
    write(project, "apart.scenario.yaml", aimed("apart", "departures-board -> object-store"))
    write(project, "loose.scenario.yaml", aimed("loose", "label-joiner -> object-store"))
    write(project, "nowhere.scenario.yaml", short_scenario("nowhere"))
    result = run("--harness-twin", "misfire")
    assert outcomes(result) == {"passed": 1, "failed": 2}
    runs = suite(project)
    assert {name: one["verdict"] for name, one in runs.items()} == {
        "apart~misfire": "pass",
        "loose~misfire": "fail",
        "nowhere~misfire": "unknown",
    }
    nothing = "the scenario proves nothing: ObjectStoreSlow was detected though the fault could not matter"
    assert runs["loose~misfire"]["reasons"][0].startswith(nothing)
    for said in (nothing, "no other link of the stack 'reference' is proven not to matter"):
        assert said in result.stdout.str()


def test_files_pass_fail_or_do_not_know_side_by_side(project: pytest.Pytester, run: Run) -> None:
    write(project, "good.scenario.yaml", short_scenario("good"))
    write(project, "late.scenario.yaml", short_scenario("late", within="50ms"))
    write(project, "unsteady.scenario.yaml", short_scenario("unsteady", up=1, gate_timeout="1s").replace(
        "availability, at_least: 1,", "latency_p99, at_most: 1us,"
    ))  # fmt: skip
    result = run("-n", "2", "--harness-reports", "out", "--junit-xml", "junit.xml")
    assert outcomes(result) == {"passed": 1, "failed": 2}
    result.stdout.fnmatch_lines(
        [
            "late: FAIL under network.latency on link trainer -> object-store (seed 1)",
            "*fail*seen (detected): ObjectStoreSlow{service=trainer} fired too late*(within 0.05 s)*",
            "* late: it took *, and the deadline was 50 ms",
            "*journal line *: fault slow injected",
            "*journal *out/late/journal.jsonl",
            "*report *out/late/report.html",
        ]
    )
    result.stdout.fnmatch_lines(["unsteady: UNKNOWN: *", "*unknown*gate (run): the steady state was not met: *"])
    result.stdout.fnmatch_lines(["harness: 1 pass, 1 fail, 1 unknown; report: out/index.html"])
    runs = suite(project, "out")
    assert {name: told["verdict"] for name, told in runs.items()} == {
        "good": "pass",
        "late": "fail",
        "unsteady": "unknown",
    }
    assert all((project.path / "out" / name / "report.html").stat().st_size > 1000 for name in runs)
    assert runs["good"]["faults"][0]["confirmed_at_s"] is not None
    assert "harness_verdict" in (project.path / "junit.xml").read_text("utf-8")


def test_tests_by_hand_are_judged_when_they_return(project: pytest.Pytester, run: Run) -> None:
    write(project, "test_hand.py", BY_HAND)
    result = run()
    assert outcomes(result) == {"passed": 1, "failed": 4, "skipped": 1}
    said = result.stdout.str()
    result.stdout.fnmatch_lines(["test_noticed_too_late: FAIL under network.latency on link trainer -> object-store*"])
    result.stdout.fnmatch_lines(["*fail*seen (detected): ObjectStoreSlow fired too late*(within 0.05 s)*"])
    result.stdout.fnmatch_lines(["E  *LookupError: a mistake of the test"])
    result.stdout.fnmatch_lines(
        ["test_skipped_in_its_run: UNKNOWN: the test skipped itself during its run (not today)*"]
    )
    result.stdout.fnmatch_lines(["test_never_steady: UNKNOWN: *", "*the steady state was not met: replicas_up is 2*"])
    assert "During handling" not in said
    runs = suite(project)
    assert runs["test_noticed"]["verdict"] == "pass"
    assert runs["test_noticed"]["faults"][0]["reverted_at_s"] is not None
    assert [one["id"] for one in runs["test_noticed"]["detection"]] == ["ObjectStoreSlow-detected"]
    assert runs["test_noticed_too_late"]["verdict"] == "fail"
    assert "the test ended early: LookupError: a mistake of the test" in str(runs["test_own_mistake"]["error"])
    assert '"stage":"reverted"' in journal(project.path / "reports/pytest/test_own_mistake")


def journal(run_dir: Path) -> str:
    try:
        return (run_dir / "journal.jsonl").read_text("utf-8")
    except FileNotFoundError:
        return ""


LONG = """
import pytest


@pytest.mark.stack("reference", start_at="2013-06-14T06:00")
def test_long(chaos):
    with chaos.fault("network.latency", link="trainer -> object-store", latency="800ms"):
        chaos.observe("60s")
"""


@pytest.fixture(params=["long", "test_long"])
def started(request: pytest.FixtureRequest, project: pytest.Pytester) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A session whose only run, of a file or by hand, goes on for long; and the folder of that run."""
    if request.param == "long":
        write(project, "long.scenario.yaml", short_scenario("long", lasts="60s"))
    else:
        write(project, "test_long.py", LONG)
    with (project.path / "said").open("wb") as said:
        command = [sys.executable, "-m", "pytest"]
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=project.path, preexec_fn=as_at_a_terminal)
        try:
            yield project.path / "reports/pytest" / request.param, process
        finally:
            process.kill()
            process.wait()


def test_ctrl_c_heals_stops_and_reports(
    project: pytest.Pytester, started: tuple[Path, subprocess.Popen[bytes]]
) -> None:
    run_dir, process = started
    deadline_s = time.monotonic() + 90
    while '"stage":"confirmed"' not in journal(run_dir):
        assert time.monotonic() < deadline_s
        assert process.poll() is None, (project.path / "said").read_text()
        time.sleep(0.05)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) > 10
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == pytest.ExitCode.INTERRUPTED, (project.path / "said").read_text()
    assert not psutil.wait_procs(below, timeout=10)[1]
    told = journal(run_dir)
    assert '"stage":"reverted"' in told
    assert json.loads(told.splitlines()[-1])["reason"] == "interrupted"
    assert suite(project)[run_dir.name]["verdict"] == "unknown"
