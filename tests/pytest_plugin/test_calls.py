"""What is wrong with a test written by hand is said at the call, and nothing is started for it."""

from __future__ import annotations

import pytest
from projects import Run, outcomes, write

pytestmark = pytest.mark.slow

CALLS = {
    "fault": (
        'with chaos.fault("network.latncy", node="a"): pass',
        "unknown fault 'network.latncy'*'network.latency'*",
    ),
    "link": (
        'with chaos.fault("network.latency", link="trainer -> object-stor", latency="1s"): pass',
        "chaos.fault: link: unknown link 'trainer -> object-stor'*'trainer -> object-store'*",
    ),
    "parameter": (
        'with chaos.fault("network.latency", link="trainer -> object-store", latency="1s", jiter="1s"): pass',
        "chaos.fault: jiter: unknown field 'jiter'*'jitter'*",
    ),
    "target": (
        'with chaos.fault("network.latency", latency="1s"): pass',
        "chaos.fault: target: exactly one target is needed*",
    ),
    "early": ('chaos.expect_alert("ObjectStoreSlow", within="6s")', "chaos.expect_alert: there is no fault yet*"),
    "probe": ('chaos.expect_stays("availabilty", at_least=0.9)', "*probe: unknown probe 'availabilty'*'availability'*"),
    "bound": (
        'chaos.expect_stays("availability", at_least="5s")',
        "*at_least: the probe 'availability' measures a ratio*",
    ),
    "sides": ('chaos.expect_stays("availability")', "chaos.expect_stays: exactly one of at_least, at_most and equals*"),
    "notice": (
        'chaos.expect_noticed("replicas_up", within="5s")',
        "chaos.expect_noticed: there is no fault yet*",
    ),
    "quiet": ('chaos.expect_quiet(except_=["Nothing"])', "*except: unknown alert 'Nothing'*"),
    "current": ('chaos.probe("replicas")', "chaos.probe: unknown probe 'replicas'*'replicas_up'*"),
    "time": ('chaos.observe("soon")', "chaos.observe: seconds: 'soon' is not a duration*"),
    "same": (
        'chaos.expect_stays("availability", at_least=0.9, id="a"); '
        'chaos.expect_stays("availability", at_least=0.9, id="a")',
        "*id: the id 'a' is used twice*",
    ),
}
MARKS = {
    "unknown": ('"refrence"', "*unknown stack 'refrence'*'reference'*"),
    "setting": ('"reference", link=[]', "@pytest.mark.stack: link: unknown setting 'link'*'links'*"),
    "planned": ('"reference", links=["a -> b"]', "@pytest.mark.stack: links: unknown link 'a -> b'*"),
    "start": ('"reference", start_at="soon"', "@pytest.mark.stack: start_at: 'soon' is not a moment*"),
    "steady": (
        '"reference", steady_state=[{"probe": "up", "at_least": 1}]',
        "@pytest.mark.stack: probe: unknown probe 'up'*",
    ),
    "none": ("", "@pytest.mark.stack: one stack is needed*"),
}


def test_wrong_calls_and_marks_are_refused_with_the_nearest_name(project: pytest.Pytester, run: Run) -> None:
    lines = ["import pytest"]
    for name, (call, _) in CALLS.items():
        lines += ['@pytest.mark.stack("reference")', f"def test_{name}(chaos):", f"    {call}"]
    for name, (mark, _) in MARKS.items():
        lines += [f"@pytest.mark.stack({mark})", f"def test_marked_{name}(chaos): pass"]
    lines += ["def test_unmarked(chaos): pass"]
    lines += ['@pytest.mark.stack("reference")', "def test_idle(chaos): pass"]
    write(project, "test_calls.py", "\n".join(lines) + "\n")
    result = run()
    assert outcomes(result) == {"failed": len(CALLS) + 1, "error": len(MARKS) + 1}
    for _, message in CALLS.values():
        result.stdout.fnmatch_lines([f"E  *{message}"])
    for _, message in MARKS.values():
        result.stdout.fnmatch_lines([message])
    result.stdout.fnmatch_lines(["*the test uses `chaos` and names no stack — mark it with @pytest.mark.stack*"])
    result.stdout.fnmatch_lines(["test_idle: UNKNOWN: the test injected no fault*"])
    # Only the test's own lines are shown of where it was.
    assert "harness/" not in result.stdout.str().replace("harness/pytest", "")
    assert not (project.path / "reports").exists()
