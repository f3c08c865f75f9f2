"""What a scenario may refer to on its stack: each wrong name with file, line, field and the nearest valid one."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from scenario_files import DATA, GOOD, STACK, changed, check_problems, line_of, written

from harness.faults.installed import Faults
from harness.faults.table import FAULTS
from harness.model.errors import ScenarioError
from harness.runner.checking.stacks import validated
from harness.runner.loading.explain import problems_of

TARGET = "target: {link: trainer -> object-store}"
PROBE = "probe: training_lag, at_most: 8h event"


def test_a_good_scenario_has_no_problem(tmp_path: Path) -> None:
    assert check_problems(tmp_path, GOOD) == ()


@pytest.mark.parametrize(
    ("old", "new", "field", "message", "remedy"),
    [
        ("fault: network.latency", "fault: network.latncy", "timeline.0.fault", "unknown fault 'network.latncy'",
         "did you mean 'network.latency'?"),
        (TARGET, "target: {link: trainer -> objectstore}", "timeline.0.target.link",
         "unknown link 'trainer -> objectstore'", "did you mean 'trainer -> object-store'?"),
        (TARGET, "target: {links: [trainer -> object-store, server -> onlin]}", "timeline.0.target.links.1",
         "unknown link 'server -> onlin'", "did you mean 'server -> online'?"),
        (TARGET, "target: {links: []}", "timeline.0.target.links", "this is empty", "at least one"),
        (TARGET, "target: {links: [trainer -> object-store, trainer -> object-store]}", "timeline.0.target.links.1",
         "is listed twice", ""),
        (TARGET, "target: {service: object-stor}", "timeline.0.target.service", "unknown service 'object-stor'",
         "did you mean 'object-store'?"),
        (TARGET, "target: {service: trainer}", "timeline.0.target.service", "acts on the links that lead to 'trainer'",
         "links: "),
        (TARGET, "target: {node: a}", "timeline.0.target.node", "network.latency does not act on a node",
         "it acts on: link, links, service"),
        ("jitter: 100ms", "jiter: 100ms", "timeline.0.with.jiter", "unknown field 'jiter'", "did you mean 'jitter'?"),
        ("jitter: 100ms", "jitter: 100", "timeline.0.with.jitter", "100 is not a duration", "write one with its unit"),
        ('{latency: "${latency}", jitter: 100ms}', "{jitter: 100ms}", "timeline.0.with.latency",
         "the field 'latency' is missing", ""),
        ("id: up, probe: availability", "id: up, probe: availabilty", "steady_state.0.probe",
         "unknown probe 'availabilty'", "did you mean 'availability'?"),
        ("probe: training_lag", "probe: trainig_lag", "expect.recovered.0.probe", "unknown probe 'trainig_lag'",
         "did you mean 'training_lag'?"),
        ("at: 5s", "after: {probe: {id: p, probe: replica_up, at_least: 1}}", "timeline.0.after.probe.probe",
         "unknown probe 'replica_up'", "did you mean 'replicas_up'?"),
        ("at: 5s", "after: {alert: ObjectStorSlow}", "timeline.0.after.alert", "unknown alert 'ObjectStorSlow'",
         "did you mean 'ObjectStoreSlow'?"),
        ("id: seen, alert: ObjectStoreSlow", "id: seen, alert: ObjectStoreSlw", "expect.detected.0.alert",
         "unknown alert 'ObjectStoreSlw'", "did you mean 'ObjectStoreSlow'?"),
        ("id: quiet-again, alert: ObjectStoreSlow", "id: quiet-again, alert: Slow", "expect.cleared.0.alert",
         "unknown alert 'Slow'", "valid here: FeaturesStale, ObjectStoreSlow, ServiceDown"),
        ("quiet: others", "quiet: {except: [ServceDown]}", "expect.quiet.except.0", "unknown alert 'ServceDown'",
         "did you mean 'ServiceDown'?"),
        ("alert: ObjectStoreSlow, within: 10s", "alert: ObjectStoreSlow, within: 10s, fault: slw",
         "expect.cleared.0.fault", "unknown fault id 'slw'", "did you mean 'slow'?"),
        ("  cleared:", "  noticed: [{id: n, probe: replica_up, equals: 2, within: 5s}]\n  cleared:",
         "expect.noticed.0.probe", "unknown probe 'replica_up'", "did you mean 'replicas_up'?"),
        ("  cleared:", "  noticed: [{id: n, probe: availability, at_least: 0.9, within: 5s}]\n  cleared:",
         "expect.noticed.0.probe", "'availability' is what clients get", "x-harness.probes"),
        ("  cleared:", "  noticed: [{id: n, probe: replicas_up, equals: 2s, within: 5s}]\n  cleared:",
         "expect.noticed.0.equals", "measures a bare number, and 2s is not one", "bare"),
        ("  cleared:", "  noticed: [{id: n, probe: replicas_up, equals: 2, within: 5s, fault: slw}]\n  cleared:",
         "expect.noticed.0.fault", "unknown fault id 'slw'", "did you mean 'slow'?"),
        ("may_die: [server]", "may_die: [sever]", "may_die.0", "unknown service 'sever'", "did you mean 'server'?"),
        ("retries: [caught-up]", "retry: [caught-up]", "sabotage.retry", "unknown recovery 'retry'",
         "did you mean 'retries'?"),
        ("retries: [caught-up]", "failover: [caught-up]", "sabotage.failover", "does not define how 'failover'",
         "`off`"),
        ("retries: [caught-up]", "retries: [cought-up]", "sabotage.retries.0", "unknown clause 'cought-up'",
         "did you mean 'caught-up'?"),
        ("retries: [caught-up]", "retries: []", "sabotage.retries", "no clause is listed", "list the clauses"),
        ("id: serving", "id: nothing_poisoned", "expect.stays.0.id", "is reserved for a check that every run has", ""),
        ("id: serving", "id: control", "expect.stays.0.id", "the id 'control' is reserved", "choose another id"),
        ("id: serving", "id: expectations", "expect.stays.0.id", "the id 'expectations' is reserved", ""),
        (PROBE, "probe: training_lag, at_most: 8h", "expect.recovered.0.at_most",
         "measures an event-time duration, and 8h is not one", "90min event"),
        (PROBE, "probe: training_lag, at_most: 8", "expect.recovered.0.at_most", "measures an event-time duration",
         "90min event"),
        (PROBE, "probe: availability, at_least: 99", "expect.recovered.0.at_least",
         "measures a ratio between 0 and 1, and 99 is outside",
         "between 0 and 1"),
        (PROBE, "probe: availability, at_least: 99s", "expect.recovered.0.at_least", "measures a ratio",
         "between 0 and"),
        (PROBE, "probe: availability, at_least: -0.1", "expect.recovered.0.at_least", "measures a ratio",
         "between 0 and"),
        (PROBE, "probe: latency_p99, at_most: 0.2", "expect.recovered.0.at_most", "measures a wall-clock duration",
         "250ms"),
        (PROBE, "probe: latency_p99, at_most: 2s event", "expect.recovered.0.at_most",
         "measures a wall-clock duration", "250ms"),
        (PROBE, "probe: store_latency, at_most: 2", "expect.recovered.0.at_most", "measures a wall-clock duration",
         "250ms"),
        (PROBE, "probe: failed_requests, at_most: -1", "expect.recovered.0.at_most", "measures a count", "from 0 on"),
        (PROBE, "probe: replicas_up, at_least: 2s", "expect.recovered.0.at_least", "measures a bare number", "bare"),
        ("  cleared:", "  integrity: [checkpoints_restorable]\n  cleared:", "expect.integrity.0",
         "has no evidence for checkpoints_restorable", "it has evidence for: promotion_monotonic"),
    ],
)  # fmt: skip
def test_one_wrong_reference(tmp_path: Path, old: str, new: str, field: str, message: str, remedy: str) -> None:
    (problem,) = check_problems(tmp_path, changed(old, new))
    assert problem.field == field
    assert message in problem.message
    assert remedy in (problem.remedy or "")
    assert problem.file == str(tmp_path / "one.scenario.yaml")
    assert problem.line == line_of(GOOD, old)


def test_no_fault_acts_on_a_link_that_nobody_uses(tmp_path: Path) -> None:
    stack = tmp_path / "stack.compose.yaml"
    unused = "  schema: 1\n  unused_links: [trainer -> object-store]\n"
    stack.write_text(changed("  schema: 1\n", unused, STACK.read_text("utf-8")))
    with pytest.raises(ScenarioError) as caught:
        validated([written(tmp_path)], stack=str(stack))
    (problem,) = problems_of(caught.value)
    assert problem.field == "timeline.0.target.link"
    assert problem.message == "nobody uses the link 'trainer -> object-store', as x-harness.unused_links says"
    assert problem.remedy == "take it out there if it is used"


def test_an_unknown_stack_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        validated([written(tmp_path, changed("stack: small", "stack: referense"))])
    (problem,) = problems_of(caught.value)
    assert problem.message == "unknown stack 'referense'"
    assert "did you mean 'reference'?" in (problem.remedy or "")
    assert (problem.field, problem.line) == ("stack", 7)


def test_a_stack_that_is_a_path_is_seen_from_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text(STACK.read_text("utf-8"), "utf-8")
    ((item, _),) = validated([written(tmp_path, changed("stack: small", "stack: ./here.yaml"))])
    assert item.scenario.stack == str(tmp_path / "here.yaml")
    with pytest.raises(ScenarioError) as caught:
        validated([written(tmp_path, changed("stack: small", "stack: ./there.yaml"))])
    assert (caught.value.line, caught.value.field) == (7, "stack")
    assert "there.yaml" in caught.value.message


def test_a_broken_stack_is_reported_with_its_place(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("services: {}\n", "utf-8")
    with pytest.raises(ScenarioError) as caught:
        validated([written(tmp_path)], stack=str(broken))
    assert caught.value.file == str(broken)


def test_errors_of_loading_and_of_checking_are_reported_together(tmp_path: Path) -> None:
    written(tmp_path, changed("owner:", "ownr:"), "a.scenario.yaml")
    text = changed("scenario: slow-store", "scenario: other", changed("may_die: [server]", "may_die: [sever]"))
    written(tmp_path, text, "b.scenario.yaml")
    with pytest.raises(ScenarioError) as caught:
        validated([tmp_path], stack=str(STACK))
    assert [p.field for p in problems_of(caught.value)] == ["ownr", "may_die.0"]


def test_runs_of_one_matrix_share_their_errors(tmp_path: Path) -> None:
    text = changed("vars: {latency: 800ms, share: 0.5}", "matrix: {latency: [1s, 2s, 3s]}")
    assert len(check_problems(tmp_path, changed("may_die: [server]", "may_die: [sever]", text))) == 1


def test_answers_need_a_workload_and_alerts_a_source(tmp_path: Path) -> None:
    lines = [line for line in STACK.read_text("utf-8").splitlines() if not line.startswith(("  workload", "  alert_s"))]
    (tmp_path / "bare.yaml").write_text("\n".join(lines), "utf-8")
    with pytest.raises(ScenarioError) as caught:
        validated([written(tmp_path)], stack=str(tmp_path / "bare.yaml"))
    messages = [p.message for p in problems_of(caught.value)]
    assert sum("the stack has no workload" in m for m in messages) == 2
    assert sum("alerts cannot be read" in m for m in messages) == 3


class _Entry:
    """An entry point as another package might offer it."""

    def __init__(self, name: str, found: object) -> None:
        self.name, self.value, self._found = name, "theirs:FAULT", found

    def load(self) -> object:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def test_faults_of_other_packages_are_imported_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = next(iter(FAULTS.values()))
    entries = [_Entry(theirs.kind, RuntimeError("not imported, for the table has it")), _Entry("x.bad", OSError("no"))]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries if "faults" in group else [])
    faults = Faults()
    assert faults[theirs.kind] is theirs
    assert "x.bad" in faults
    assert set(faults) == {*FAULTS, "x.bad"}
    (problem,) = check_problems(tmp_path, changed("fault: network.latency", "fault: x.bad"))
    assert "the fault 'x.bad' cannot be imported" in problem.message
    assert (problem.field, problem.line) == ("timeline.0.fault", line_of(GOOD, "fault: network.latency"))


def test_a_fault_of_another_package_has_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [_Entry("x.odd", "words")])
    with pytest.raises(ScenarioError, match=r"'theirs:FAULT' is not the fault 'x\.odd'"):
        Faults()["x.odd"]


def test_a_parameter_that_names_a_target_is_looked_up(tmp_path: Path) -> None:
    text = changed("fault: network.latency", "fault: data.stale", changed(TARGET, "target: {service: trainer}"))
    text = changed('{latency: "${latency}", jitter: 100ms}', "{keyspace: live-featurs}", text)
    (problem,) = check_problems(tmp_path, text)
    assert (problem.field, problem.message) == ("timeline.0.with.keyspace", "unknown keyspace 'live-featurs'")
    assert problem.remedy == "did you mean 'live-features'?"


def test_a_recovery_by_itself_comes_before_the_revert(tmp_path: Path) -> None:
    (problem,) = check_problems(tmp_path, changed("within: 15s}", "within: 15s, from: injection}"))
    assert problem.field == "expect.recovered.0.within"
    assert "until then nobody sees whether the stack recovers by itself within 15 s" in problem.message
    assert problem.remedy == "write `for: 19s` or longer, or a shorter `within`"
    assert not check_problems(tmp_path, changed("within: 15s}", "within: 8s, from: injection}"))


def test_the_data_of_these_tests_is_in_order() -> None:
    names = [f"{name}.{what}.yaml" for name in ("every-probe",) for what in ("compose", "scenario")]
    assert sorted(path.name for path in DATA.iterdir()) == [*names, "good.scenario.yaml", "stack.compose.yaml"]
