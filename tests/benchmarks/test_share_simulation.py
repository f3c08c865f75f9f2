"""Bounds on shares under chance, with the due times of recorded runs: a small part of the simulation, with a seed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.shares import CLAUSES, Recorded, Simulation, journal_text, recorded, simulate
from harness.journal.records import parse
from harness.judge import judge
from harness.model.verdict import Value

pytestmark = pytest.mark.slow

RUNS = recorded()
STEADY = Recorded("steady", 1.0, 4.0, 19.0, tuple(k / 50 for k in range(980)))


def test_the_stored_runs_are_those_of_the_demo() -> None:
    assert [(run.name, len(run.due_s)) for run in RUNS] == [("slow-storage", 936), ("node-loss", 850)]


@pytest.mark.slow
@pytest.mark.parametrize("clause", CLAUSES)
def test_a_tenth_of_the_bound_fails_no_run_and_five_times_the_bound_fails_them_all(clause: str) -> None:
    for run in RUNS:
        assert simulate(run, clause, 0.1, 100)[0] == {Value.PASS: 100}
        assert simulate(run, clause, 5.0, 30)[0] == {Value.FAIL: 30}


@pytest.mark.slow
def test_one_run_in_ten_has_a_window_beyond_a_bound_that_it_keeps() -> None:
    verdicts, beyond = simulate(RUNS[0], "serving", 0.1, 200)
    assert verdicts == {Value.PASS: 200}
    assert 10 <= beyond <= 40


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("multiple", [0.1, 2.0, 5.0])
def test_the_clause_by_itself_is_judged_as_in_a_whole_run(clause: str, multiple: float) -> None:
    simulation = Simulation(STEADY, clause)
    bad = simulation.draw(multiple * simulation.allowed, random.Random(3))
    verdict = judge(parse(journal_text(STEADY, bad, CLAUSES[clause][1])))
    [found] = [one for one in verdict.clauses if one.id == clause]
    assert simulation.judged(bad)[0] == found.value
    assert found.measured.beyond == len(bad)


def test_due_times_of_any_run_can_be_used(tmp_path: Path) -> None:
    folder = tmp_path / "steady"
    folder.mkdir()
    (folder / "journal.jsonl").write_text("".join(journal_text(STEADY)), encoding="utf-8")
    assert recorded([folder]) == [STEADY]
