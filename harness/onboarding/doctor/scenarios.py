"""What is missing for which scenario: what it rests on and the stack does not give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.model.answers import ANSWER_PROBES
from harness.model.errors import ScenarioError
from harness.model.expectations import AlertClause, Bound
from harness.model.scenario import Scenario
from harness.onboarding.doctor.findings import Finding
from harness.runner.catalogue import Catalogue, Faults
from harness.runner.check import check
from harness.runner.load import Loaded, load_each
from harness.runner.stacks import with_stacks


def scenarios(paths: Sequence[Path], stack: str, backend: str, broken: Mapping[str, Finding]) -> list[Finding]:
    """Say of every scenario whether it can run on this stack as it is now. Raises ScenarioError for no path."""
    if not paths:
        return []
    loaded, wrong = load_each(paths)
    found, unknown = with_stacks(loaded, stack)
    refused = [_refused(problem) for problem in (*wrong, *unknown)]
    return [*refused, *(finding for item, catalogue in found for finding in _one(item, catalogue, backend, broken))]


def _refused(problem: ScenarioError) -> Finding:
    name = Path(problem.file).name if problem.file else "scenarios"
    return Finding("scenario", name, "wrong", str(problem))


def _one(item: Loaded, catalogue: Catalogue, backend: str, broken: Mapping[str, Finding]) -> Iterator[Finding]:
    problems = check(item, catalogue)
    missing = [str(problem) for problem in problems]
    if not problems:
        missing = list(dict.fromkeys(_missing(item.scenario, catalogue, backend, broken)))
    if missing:
        yield Finding("scenario", item.name, "wrong", "; ".join(missing))
    elif not item.scenario.expect.clauses and item.scenario.expect.quiet is None:
        told = "it expects nothing, so that it judges next to nothing"
        yield Finding(
            "scenario", item.name, "note", told, "say under `expect` what must stay, come back, or be noticed"
        )
    else:
        yield Finding("scenario", item.name, "ok", "nothing is missing")


def _missing(scenario: Scenario, catalogue: Catalogue, backend: str, broken: Mapping[str, Finding]) -> Iterator[str]:
    for step in scenario.timeline:
        if backend == "local" and getattr(Faults()[step.fault], "in_containers", False):
            yield f"{step.fault} needs containers: --backend compose"
        for name in (*catalogue.links_of(step), step.target.service or ""):
            if name in broken:
                yield f"{broken[name].area} {name}: {broken[name].says}"
    for clause in (*scenario.steady_state, *scenario.expect.clauses):
        probe = clause.probe if isinstance(clause, Bound) else None
        if probe is not None and probe not in ANSWER_PROBES and probe in broken:
            yield f"probe {probe}: {broken[probe].says}"
    expect = scenario.expect
    named = {clause.alert for clause in expect.clauses if isinstance(clause, AlertClause)}
    for name in sorted(named & set(broken)):
        yield f"alert {name}: {broken[name].says}"
    if named or expect.quiet is not None:
        for source in catalogue.stack.alert_sources:
            if source.name in broken:
                yield f"alert source {source.name}: {broken[source.name].says}"
