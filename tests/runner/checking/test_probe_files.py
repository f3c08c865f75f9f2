"""Every kind of probe and of alert source is used by a scenario file."""

from __future__ import annotations

from scenario_files import DATA

from harness.model.alertsources import KINDS
from harness.model.probekinds import PROBE_KINDS
from harness.runner.checking.stacks import validated


def test_every_kind_of_probe_and_source_is_used_by_a_scenario_file() -> None:
    ((item, catalogue),) = validated([DATA / "every-probe.scenario.yaml"])
    expected = {getattr(clause, "probe", None) for clause in item.scenario.expect.clauses}
    assert {catalogue.stack.probes[name].kind for name in expected if name} == set(PROBE_KINDS)
    assert {source.kind for source in catalogue.stack.alert_sources} == set(KINDS)
