"""`harness run`: plans, progress, the table, the report and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import Harness, Runner

import harness.cli.exit_codes
import harness.judge
from harness.journal.records import Journal
from harness.model.errors import BackendError
from harness.model.expectations import RunResult
from harness.model.verdict import ClauseResult, Value, Verdict

Judged = Callable[[Journal, Journal | None], Verdict]


def judged_as(monkeypatch: pytest.MonkeyPatch, value: Value, caught: bool | None = None) -> list[tuple[str, bool]]:
    """Let every run be judged so; return which runs were judged, and whether against a control."""
    seen: list[tuple[str, bool]] = []

    def judge(journal: Journal, control: Journal | None = None, *, unpaired: bool = False) -> Verdict:
        seen.append((journal.plan.run, control is not None))
        plan = journal.plan
        off = plan.sabotage.name if plan.sabotage else None
        return Verdict(
            scenario=plan.scenario.scenario, value=value, reasons=() if value is Value.PASS else ("because",),
            clauses=(), twin=plan.twin, sabotage=off, caught=caught,
        )  # fmt: skip

    monkeypatch.setattr(harness.judge, "judge", judge)
    return seen


def judged_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every run be unknown for the machine's sake."""

    def judge(journal: Journal, control: Journal | None = None, *, unpaired: bool = False) -> Verdict:
        plan = journal.plan
        why = "machine busy (others took 1.3 of 2 processors at 1.0–9.0 s)"
        name = plan.scenario.scenario
        busy = ClauseResult.of("up", Value.UNKNOWN, why, RunResult(), cause="machine")
        return Verdict(scenario=name, value=Value.UNKNOWN, reasons=(why,), clauses=(busy,), twin=plan.twin)

    monkeypatch.setattr(harness.judge, "judge", judge)


@pytest.mark.parametrize(("value", "code"), [(Value.PASS, 0), (Value.FAIL, 1), (Value.UNKNOWN, 3)])
def test_the_exit_code_is_the_verdict(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch, value: Value, code: int
) -> None:
    judged_as(monkeypatch, value)
    result = harness_("run", "--name", "suite", "-j", "3")
    assert result.code == code
    (request,) = runner.requests
    assert (request.name, request.jobs, request.out_dir) == ("suite", 3, Path("reports/suite"))
    assert "scenario" in result.out.splitlines()[0]
    assert "confirmed" in result.out.splitlines()[0]
    assert "report: reports/suite/index.html" in result.out.splitlines()[-1]
    assert ("slow-store: because" in result.out) is (value is not Value.PASS)
    for name in ("suite.json", "junit.xml", "index.html", "slow-store/verdict.json", "slow-store/report.html"):
        assert (good / "reports" / "suite" / name).is_file()
    counts = json.loads((good / "reports/suite/suite.json").read_text("utf-8"))["counts"]
    assert counts[value.value] == 1


def test_progress_is_plain_lines_where_there_is_no_terminal(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, Value.PASS)
    lines = harness_("run").err.splitlines()
    assert [line.split()[3] for line in lines] == ["phase", "fault", "alert", "done", "verdict"]
    assert lines[4].split()[4:] == ["pass"], "as soon as the run is over"
    assert "ObjectStoreSlow[x] firing" in lines[2]


def test_json_is_all_there_is_on_stdout(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, Value.FAIL)
    result = harness_("run", "--json")
    said = [json.loads(line) for line in result.out.splitlines()]
    assert [line["kind"] for line in said] == ["progress"] * 5 + ["suite"]
    assert (said[4]["what"], said[4]["data"]) == ("verdict", {"verdict": "fail"})
    assert said[-1]["counts"] == {"pass": 0, "fail": 1, "unknown": 0}
    assert said[-1]["report"] == "reports/latest/index.html"
    assert result.err == ""


def test_a_failure_of_the_harness_is_exit_4_and_in_the_report(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, Value.PASS)
    runner.error = BackendError("server will not start; its last lines: no such file")
    result = harness_("run")
    assert result.code == 4
    assert "server will not start" in result.out
    assert "server will not start" in (good / "reports/latest/suite.json").read_text("utf-8")


def test_an_interruption_still_writes_the_report(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, Value.PASS)
    runner.interrupt_after = 1
    result = harness_("run", "--paired")
    assert result.code == 130
    assert "interrupted" in result.err
    suite = json.loads((good / "reports/latest/suite.json").read_text("utf-8"))
    assert [s["verdict"] for s in suite["scenarios"]] == ["pass", "unknown"]
    later = suite["scenarios"][1]
    assert (later["interrupted"], later["error"], suite["errors"]) == ("not run", None, 0)
    assert "not run: the suite was interrupted" in result.out
    assert "harness error" not in result.out
    assert "1 unknown (1 interrupted or not run)" in result.out


def test_runs_that_were_interrupted_are_not_the_machine_s(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_busy(monkeypatch)
    runner.interrupt_after = 1
    assert "too busy for 1 of 2 runs" in harness_("run", "--paired").err
    runner.interrupt_after = 0
    assert "too busy" not in harness_("run", "--paired").err


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (
            [],
            "run fewer at a time (-j 1), or wait for a quiet machine (--wait-for-quiet 60s), "
            "or repeat such runs (--retry-busy)",
        ),
        (["-j", "1", "--retry-busy"], "wait for a quiet machine (--wait-for-quiet 60s)"),
        (
            ["-j", "1", "--retry-busy", "--wait-for-quiet", "1s"],
            "other programs kept it busy all the same; stop them, or use another machine",
        ),
    ],
)
def test_what_helps_against_a_busy_machine_is_only_what_was_not_used(
    good: Path,
    harness_: Harness,
    runner: Runner,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    advice: str,
) -> None:
    judged_busy(monkeypatch)
    last = harness_("run", "--paired", *options).err.splitlines()[-1]
    counted = 2
    assert last == f"the machine was too busy for {counted} of {counted} runs: {advice}"


def test_ctrl_c_anywhere_else(good: Path, harness_: Harness, runner: Runner) -> None:
    runner.crash = KeyboardInterrupt()
    result = harness_("run")
    assert result.code == 130
    assert result.err.strip() == "interrupted"


def test_ctrl_c_while_the_command_line_is_still_being_imported(
    harness_: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(harness.cli.exit_codes, "exit_code_of", interrupted)
    result = harness_("run")
    assert (result.code, result.out, result.err) == (130, "", "interrupted\n")


def test_what_nobody_foresaw_is_exit_4_one_line_and_a_traceback_in_a_file(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runner.crash = ZeroDivisionError("a\nb")
    result = harness_("run")
    assert result.code == 4
    assert result.err.startswith("the harness itself failed: ZeroDivisionError: a b (traceback: ")
    assert len(result.err.splitlines()) == 1
    kept = Path(result.err.rstrip().removesuffix(")").rpartition("traceback: ")[2])
    assert "ZeroDivisionError" in kept.read_text("utf-8")


def test_a_suite_gives_way_to_the_next_of_its_name(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, Value.PASS)
    assert harness_("run", "--paired").code == 0
    (good / "reports/latest/mine.txt").write_text("keep", "utf-8")
    assert harness_("run").code == 0
    left = sorted(path.name for path in (good / "reports/latest").iterdir())
    assert "slow-store~control" not in left
    assert {"mine.txt", "slow-store", "suite.json"} <= set(left)


def test_a_place_that_cannot_be_written(good: Path, harness_: Harness, runner: Runner) -> None:
    (good / "reports").write_text("a file", "utf-8")
    result = harness_("run")
    assert result.code == 2
    assert "--reports" in result.err
    assert runner.requests == []


def test_the_control_twin(good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = judged_as(monkeypatch, Value.PASS)
    assert harness_("run", "--twin", "control").code == 0
    assert seen == [("slow-store~control", False)]


def test_paired_runs_are_judged_against_their_control(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = judged_as(monkeypatch, Value.PASS)
    assert harness_("run", "--paired").code == 0
    assert [plan.run for plan in runner.requests[0].plans] == ["slow-store", "slow-store~control"]
    assert seen == [("slow-store~control", False), ("slow-store", True)], "each once, and the pair when both are over"


@pytest.mark.parametrize(
    ("value", "caught", "code"),
    [(Value.FAIL, True, 0), (Value.FAIL, False, 1), (Value.PASS, False, 1), (Value.UNKNOWN, False, 3)],
)
def test_sabotage_passes_when_it_is_caught(
    good: Path,
    harness_: Harness,
    runner: Runner,
    monkeypatch: pytest.MonkeyPatch,
    value: Value,
    caught: bool,
    code: int,
) -> None:
    judged_as(monkeypatch, value, caught)
    result = harness_("run", "--twin", "sabotage", "-k", "recovery")
    assert result.code == code
    assert [plan.run for plan in runner.requests[0].plans] == ["slow-store~sabotage-recovery-retries"]


MISFIRE = "    for: 12s\n    misfire: {target: {link: server -> online}}\n"


def declared(good: Path) -> None:
    """Declare where a misfire of the good scenario puts its fault."""
    file = good / "scenarios" / "good.scenario.yaml"
    file.write_text(file.read_text("utf-8").replace("    for: 12s\n", MISFIRE), "utf-8")


@pytest.mark.parametrize(("value", "code"), [(Value.PASS, 0), (Value.FAIL, 1), (Value.UNKNOWN, 3)])
def test_a_misfire_ends_with_its_verdict(
    good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch, value: Value, code: int
) -> None:
    declared(good)
    seen = judged_as(monkeypatch, value)
    result = harness_("run", "--twin", "misfire")
    assert result.code == code
    assert seen == [("slow-store~misfire", False)]
    assert f"{value} (misfire)" in result.out
    [plan] = runner.requests[0].plans
    assert str(plan.scenario.timeline[0].target) == "link server -> online"
    assert json.loads((good / "reports/latest/suite.json").read_text("utf-8"))["twin"] == "misfire"


def test_a_misfire_without_a_target_is_unknown_and_says_how_to_declare_one(
    good: Path, harness_: Harness, runner: Runner
) -> None:
    result = harness_("run", "--twin", "misfire")
    assert result.code == 3
    assert "slow-store~misfire: slow: no other link of the stack 'small' is proven not to matter" in result.out
    assert "misfire: {target: {link: …}}" in result.out
    assert "0 pass, 0 fail, 1 unknown" in result.out


def test_a_dry_run_says_where_a_misfire_puts_its_faults(good: Path, harness_: Harness) -> None:
    without = harness_("run", "--dry-run", "--twin", "misfire").out
    assert "nothing is run: slow: no other link" in without
    declared(good)
    planned = harness_("run", "--dry-run", "--twin", "misfire").out
    assert "slow: on link server -> online (declared) instead of link trainer -> object-store" in planned
    assert "network.latency on link server -> online, latency 800ms" in planned
    assert "proxied trainer -> object-store, server -> online" in " ".join(planned.split())


def test_options_reach_the_plan(good: Path, harness_: Harness, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    judged_as(monkeypatch, Value.PASS)
    assert harness_("run", "--seed", "11", "--set", "latency=2s", "--tag", "demo").code == 0
    (plan,) = runner.requests[0].plans
    assert (plan.seed, plan.scenario.timeline[0].parameters["latency"]) == (11, "2s")
    assert plan.scenario.stack == str(good / "stack.compose.yaml")


def test_a_dry_run_prints_the_plan_and_starts_nothing(good: Path, harness_: Harness, runner: Runner) -> None:
    result = harness_("run", "--dry-run", "--twin", "sabotage")
    assert result.code == 0
    for part in (
        "slow-store~sabotage-alert-ObjectStoreSlow",
        "trainer -> object-store",
        "gate-availability: availability at least 0.9",
        "slow: at 5s for 12s: network.latency on link trainer -> object-store, latency 800ms, jitter 100ms",
        "seen: ObjectStoreSlow within 6s",
        "caught-up: training_lag at most 8h event within 15s of revert",
        "ObjectStoreSlow off (server: RULES_OFF=ObjectStoreSlow); must fail: seen",
        "2 runs; nothing was started.",
    ):
        assert part in result.out
    assert runner.requests == []
    assert not (good / "reports").exists()


def test_a_dry_run_in_json_is_the_same_each_time(good: Path, harness_: Harness) -> None:
    first, again = harness_("run", "--dry-run", "--json"), harness_("run", "--dry-run", "--json")
    assert first.out == again.out
    (plan,) = json.loads(first.out)
    assert (plan["run"], plan["seed"]) == ("slow-store", 7)


def test_an_option_is_not_taken_for_the_project_to_attach_to(harness_: Harness, good: Path, runner: Runner) -> None:
    result = harness_("run", str(good), "--attach", "-k", "cpu")
    assert result.code == 2
    assert "--attach needs the name of a compose project, not '-k'" in result.err
    assert not runner.requests
