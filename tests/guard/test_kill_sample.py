"""A small, seeded sample of `python -m tests.kill_everywhere`: whoever is killed, nothing is left once it is healed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.faults.table import FAULTS

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.kill_everywhere.__main__ import campaign, go, options
from tests.kill_everywhere.cases import CASES, STAGES, WHOM, WITHIN
from tests.kill_everywhere.findings import findings
from tests.kill_everywhere.seams import differences
from tests.kill_everywhere.table import table

pytestmark = pytest.mark.slow


def test_every_kind_of_fault_has_a_case() -> None:
    assert {case.kind for case in CASES.values()} == set(FAULTS)


def test_a_campaign_has_every_victim_and_moment_of_every_case_in_a_seeded_order() -> None:
    trials = campaign(options(["--seed", "3"]), "attached")
    assert {trial.case for trial in trials} == set(CASES)
    for name in CASES:
        assert {(t.whom, t.when) for t in trials if t.case == name} == {
            (w, m) for w in WHOM for m in (*STAGES, *WITHIN, "random")
        }
    assert trials == campaign(options(["--seed", "3"]), "attached")
    assert trials != campaign(options(["--seed", "4"]), "attached")
    assert len({trial.id for trial in trials}) == len(trials)
    kinds = {case.kind for case in CASES.values()}
    first = [(CASES[trial.case].kind, trial.whom) for trial in trials[: len(kinds) * len(WHOM)]]
    assert {kind for kind, _ in first[: len(kinds)]} == kinds, "each kind has its turn first"
    assert set(first) == {(kind, whom) for kind in kinds for whom in WHOM}, "then each with each victim"


def test_only_what_outlives_a_local_run_has_a_guard_to_kill() -> None:
    trials = campaign(options([]), "local")
    assert {CASES[trial.case].kind for trial in trials if trial.whom == "guard"} == {"command"}


def test_differences_name_the_place_and_both_values() -> None:
    before = {"proxies": {"web": {"toxics": []}}, "rows": {"a": "1"}}
    after = {"proxies": {"web": {"toxics": ["slow"]}}, "rows": {"a": "1"}, "files": ["full"]}
    assert list(differences(before, after)) == [
        '/files: null -> ["full"]',
        '/proxies/web/toxics: [] -> ["slow"]',
    ]
    assert list(differences(before, before)) == []


def test_the_table_counts_what_was_left() -> None:
    record = {"where": "local", "kind": "command", "whom": "worker", "left_after_15_s": ["flag"], "restored_s": None,
              "left_after_heal": [], "guard": "no guard", "next": "worked"}  # fmt: skip
    other = {**record, "left_after_15_s": [], "restored_s": 0.5, "guard": "seen"}
    lines = table([record, other, {"missed": "over", "where": "local"}]).splitlines()
    assert "| local | command | worker | 2 | 1 | 0 of 2 | 0.5 s | 0.5 s | 0.5 s |" in lines
    assert "pairs of kind and victim: local 1" in lines
    assert any(line.startswith("missed: 1 ") and line.endswith("without a guard: 1 of 2") for line in lines)


def found(where: str, trials: int, tmp_path: Path, *words: str) -> list[str]:
    """Kill runs; return what was wrong, also where none was killed in time."""
    common = ["--where", where, "--out", str(tmp_path), "--minutes", "1.5", "--trials", str(trials)]
    return findings(go(options([*common, *words])))


def test_local_runs_leave_nothing(tmp_path: Path) -> None:
    only = ["--only", "command", "--only", "latency", "--when", "confirmed"]
    assert found("local", 2, tmp_path, *only, "--seed", "7") == []


@pytest.mark.docker
def test_attached_runs_leave_nothing(tmp_path: Path) -> None:
    only = ["--only", "full", "--only", "rows", "--when", "confirmed", "--whom", "all", "--whom", "worker"]
    assert found("attached", 2, tmp_path, *only, "--seed", "7") == []
