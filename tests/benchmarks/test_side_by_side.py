"""Scenario-seconds of runs side by side, and the copies of scenarios that are run."""

from pathlib import Path

from benchmarks.side_by_side import decided, detections, worth_s
from benchmarks.suites import copies, original
from harness.model.verdict import Value
from harness.report.documents import DetectionEntry, SuiteScenario
from harness.runner.loading.load import load_each


def run(name: str, value: Value, after_s: float | None = None, error: str | None = None) -> SuiteScenario:
    seen = DetectionEntry(id="seen", alert="Slow", within_s=6.0, after_lo_s=after_s, after_s=after_s, met=None)
    return SuiteScenario(name=name, verdict=value, reasons=(), detection=(seen,), run_dir=name, error=error)


RUNS = [run("a-1", Value.PASS, 2.0), run("a-2", Value.UNKNOWN, None), run("b-1", Value.FAIL, 3.0)]
ALONE_S = {"a-1": 10.0, "a-2": 11.0, "b-1": 20.0}


def test_a_run_counts_its_duration_alone() -> None:
    assert worth_s(RUNS, ALONE_S) == 41.0
    assert worth_s(decided(RUNS), ALONE_S) == 30.0
    assert worth_s([run("a-1", Value.UNKNOWN, error="the zygote died")], ALONE_S) == 0.0


def test_detections_are_grouped_by_original_scenario() -> None:
    assert detections(RUNS) == {"a: Slow": [2.0], "b: Slow": [3.0]}
    assert original("slow-storage-12") == "slow-storage"


def test_copies_are_valid_scenarios_with_unique_names(tmp_path: Path) -> None:
    files = copies(tmp_path, 2)
    loaded, wrong = load_each([tmp_path])
    assert not wrong
    assert len(loaded) == len(files) >= 8
    assert len({item.scenario.scenario for item in loaded}) == len(files)
