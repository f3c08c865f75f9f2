"""What pytest makes of scenario files before anything runs."""

from __future__ import annotations

import pytest
from projects import Run, outcomes, short_scenario, write

pytestmark = pytest.mark.slow


def test_scenarios_are_items_one_for_each_combination_of_the_matrix(project: pytest.Pytester, run: Run) -> None:
    write(project, "one.scenario.yaml", short_scenario("one"))
    matrix = short_scenario("many").replace("800ms", '"${latency}"') + "matrix: {latency: [700ms, 900ms]}\n"
    write(project, "many.scenario.yaml", matrix)
    write(project, "scenario.yaml", "this: is none\n")
    write(project, "test_other.py", "def test_other(): pass\n")
    result = run("--collect-only", "-q", "-k", "quick or other")  # tags are keywords
    items = [line for line in result.outlines if "::" in line]
    assert items == [
        "many.scenario.yaml::many[latency=700ms]",
        "many.scenario.yaml::many[latency=900ms]",
        "one.scenario.yaml::one",
        "test_other.py::test_other",
    ]
    assert not (project.path / "reports").exists()


def test_errors_in_files_are_reported_once_with_file_line_field_and_nearest_name(
    project: pytest.Pytester, run: Run
) -> None:
    write(project, "a.scenario.yaml", short_scenario("a").replace("gate_timeout", "gate_timeot"))
    write(project, "b.scenario.yaml", short_scenario("b").replace("ObjectStoreSlow", "ObjectStorSlow"))
    write(project, "c.scenario.yaml", short_scenario("c").replace("stack: reference", "stack: refrence"))
    write(project, "d.scenario.yaml", "- not\n- a mapping\n")
    write(project, "e.scenario.yaml", short_scenario("same"))
    write(project, "f.scenario.yaml", short_scenario("same"))
    result = run()
    said = result.stdout.str()
    result.stdout.fnmatch_lines_random(
        [
            "a.scenario.yaml:*: unknown field 'gate_timeot' — did you mean 'gate_timeout'[?]",
            "b.scenario.yaml:*: unknown alert 'ObjectStorSlow' — did you mean 'ObjectStoreSlow'[?]",
            "c.scenario.yaml:*: stack: *'refrence'*'reference'*",
            "d.scenario.yaml:*a scenario is a mapping of fields*",
            "f.scenario.yaml:*: the scenario 'same' is also in e.scenario.yaml*",
        ]
    )
    assert outcomes(result) == {"error": 5}
    assert "Traceback" not in said
    assert said.count("ObjectStorSlow") == 1
    assert not (project.path / "reports").exists()


def test_sabotage_twins_are_items_of_their_own_and_leave_out_tests_by_hand(project: pytest.Pytester, run: Run) -> None:
    write(project, "one.scenario.yaml", short_scenario("one"))
    write(project, "test_hand.py", "def test_hand(chaos): pass\n")
    sabotaged = run("--collect-only", "-q", "--harness-twin", "sabotage")
    assert [line for line in sabotaged.outlines if "::" in line] == [
        "one.scenario.yaml::one~sabotage-alert-ObjectStoreSlow"
    ]
    misfired = run("--collect-only", "-q", "--harness-twin", "misfire")
    assert [line for line in misfired.outlines if "::" in line] == ["one.scenario.yaml::one~misfire"]
    controlled = run("--collect-only", "-q", "--harness-twin", "control")
    items = [line for line in controlled.outlines if "::" in line]
    assert items == ["one.scenario.yaml::one~control", "test_hand.py::test_hand"]


def test_settings_that_cannot_be_used_are_refused(project: pytest.Pytester, run: Run) -> None:
    result = run("--harness-backend", "locl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--harness-backend: unknown backend 'locl' — did you mean 'local'[?]"])
    project.makeini("[pytest]\nharness_twin = sabotag\n")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*harness_twin: unknown twin 'sabotag' — did you mean 'sabotage'[?]"])


def test_a_project_without_scenarios_pays_nothing(project: pytest.Pytester, run: Run) -> None:
    write(
        project,
        "test_other.py",
        """
        import sys

        def test_nothing_was_imported():
            heavy = ("pydantic", "aiohttp", "numpy", "matplotlib", "harness.model", "harness.runner", "harness.journal")
            assert not [name for name in sys.modules if name.startswith(heavy)]
        """,
    )
    result = run("-q")
    assert outcomes(result) == {"passed": 1}
    assert not (project.path / "reports").exists()
    project.makeini("[pytest]\nharness_paired = perhaps\n")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*harness_paired: 'perhaps' is neither true nor false"])
    project.makeini("[pytest]\nharness_paired = true\n")
    result = run("--harness-twin", "control")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--harness-paired runs the controls itself; leave --harness-twin out"])
    project.makeini("[pytest]\n")
    result = run("--harness-attach", "shop", "--harness-backend", "local")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--harness-attach is for containers; leave --harness-backend local out"])
