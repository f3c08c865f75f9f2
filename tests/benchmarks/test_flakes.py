"""Comparison of manifests and verdicts of runs with one seed, and the bound on the flake rate after no flake."""

import pytest

from benchmarks.flakes import flake_bound, wrong_verdicts
from benchmarks.manifests import Rows, compare, undecided
from harness.model.fault import chosen
from harness.model.plan import Plan
from harness.model.verdict import Value

PASS, FAIL, UNKNOWN = Value.PASS, Value.FAIL, Value.UNKNOWN


def rows(*found: tuple[str, int, str]) -> Rows:
    return {("seconds", entity, at, "delay"): (before, f"{before}0") for entity, at, before in found}


def test_forty_runs_without_a_flake_bound_the_rate_at_seven_percent() -> None:
    assert flake_bound(40) == pytest.approx(0.0722, abs=1e-4)
    assert flake_bound(1) == pytest.approx(0.95)


def test_equal_rows_match() -> None:
    one = rows(("JFK", 1, "3"), ("JFK", 2, "4"), ("EWR", 1, "5"))
    shared = compare([one, dict(one), dict(one)])
    assert (shared.pairs, shared.both, shared.one_only, shared.different) == (3, 9, 0, [])


def test_only_the_common_stretch_of_each_entity_counts() -> None:
    one = rows(("JFK", 1, "3"), ("JFK", 2, "4"), ("JFK", 3, "4"), ("LGA", 9, "1"))
    other = rows(("JFK", 2, "4"), ("JFK", 3, "4"), ("JFK", 4, "5"))
    shared = compare([one, other])
    assert (shared.both, shared.one_only) == (2, 0)


def test_a_row_in_only_one_run_is_counted() -> None:
    one = rows(("JFK", 1, "3"), ("JFK", 2, "4"), ("JFK", 3, "4"))
    other = rows(("JFK", 1, "3"), ("JFK", 3, "4"))
    shared = compare([one, other])
    assert (shared.both, shared.one_only, shared.different) == (2, 1, [])


def test_a_row_with_other_values_is_different() -> None:
    shared = compare([rows(("JFK", 1, "3")), rows(("JFK", 1, "4"))])
    assert shared.different == ["seconds: JFK at 1, delay is another row in runs 1 and 2: 3 to 30, or 4 to 40"]


def plan(share: float) -> Plan:
    step = {"id": "seconds", "at": "3s", "for": "7s", "fault": "features.corrupt", "target": {"keyspace": "features"}}
    scenario = {"schema": 1, "scenario": "s", "summary": "s", "stack": "x", "expect": {}}
    scenario["timeline"] = [step | {"with": {"operation": "scale", "share": share}}]
    stack = {"name": "x", "services": {}, "alerts": [], "probe_units": {}, "freshness_s": {}, "integrity": []}
    stack["request_timeout_s"] = 1.0
    return Plan.model_validate({"run": "s", "scenario": scenario, "stack": stack, "seed": 1, "backend": "local"})


def test_a_row_that_the_seed_does_not_choose_must_not_be_hit() -> None:
    times = range(100)
    right = rows(*(("JFK", at, "1") for at in times if chosen(0.5, 1, "seconds", "JFK", at)))
    spared = next(at for at in times if not chosen(0.5, 1, "seconds", "JFK", at))
    assert right
    assert undecided(plan(0.5), [right, right]) == []
    found = undecided(plan(0.5), [right, right | rows(("JFK", spared, "1"))])
    assert found == [f"seconds: JFK at {spared}, delay was hit, and the seed does not choose it"]


def test_rows_of_other_faults_have_no_share() -> None:
    assert undecided(plan(0.001), [{("other", "JFK", 1, ""): (None, None)}]) == []


def test_an_unknown_verdict_and_a_changed_verdict_are_flakes() -> None:
    assert wrong_verdicts("s", [PASS, PASS], ["", ""]) == []
    assert wrong_verdicts("s", [FAIL, FAIL], ["late", "late"]) == []
    assert wrong_verdicts("s", [PASS, UNKNOWN], ["", "harness late"]) == ["s: run 2 is unknown: harness late"]
    assert wrong_verdicts("s", [PASS, FAIL], ["", "late"]) == ["s: the verdict changed: 1 pass, 1 fail; late"]
