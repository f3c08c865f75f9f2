"""Whether anything that a scenario measures could feel its fault, as far as the stack's description tells.

What is measured elsewhere feels nothing: a health page beside a slow link, a probe of a service that nothing ties to
the target. Ties are those by which bystanders are found, so that a fault is only called unfelt where none leads to what
is measured. An alert may be about anything, and so may a probe that names no service.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.description.asked import services_asked
from harness.description.ties import names_of, services_in
from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound, Noticed
from harness.model.dependencies import reached
from harness.model.expectations import Churn, Expect
from harness.model.faultstep import FaultStep
from harness.model.reach import services_hit, services_named
from harness.model.scenario import Scenario
from harness.model.stack import StackDescription
from harness.runner.planning.bystanders import ties
from harness.runner.planning.catalogue import Catalogue

NOBODY_KNOWS = "command"
"""The kind of fault that acts on what its commands say."""
KEEPS_PORTS = "container.pause"
"""The kind of fault under which the system goes on taking connections for a server that does nothing."""
BETWEEN = "network.partition"
"""The kind of fault on what services send each other, which leaves alone what the harness asks them."""


def unfelt(step: FaultStep, scenario: Scenario, catalogue: Catalogue) -> str | None:
    """Return why no clause of a scenario could feel a fault; None where one could, or nobody can tell."""
    stack, expect = catalogue.stack, scenario.expect
    if step.fault == NOBODY_KNOWS or _looks_everywhere(expect, catalogue):
        return None
    if any(clause.fault in (None, step.id) for clause in expect.noticed):  # a run that does not feel it fails
        return None
    direct, consumers = _acts_on(step, catalogue)
    tied, may_use = ties(stack), stack.may_use
    around = reached(services_hit(step.target, stack) | direct | consumers, lambda name: tied.get(name, ()))
    upstream = reached(direct | consumers, lambda name: [who for who, used in may_use.items() if name in used])
    perhaps: list[str] = []
    for name, where, health in _measured(expect, stack):
        if step.fault == KEEPS_PORTS and name in stack.probes and stack.probes[name].kind == "tcp":
            continue
        if not where or where & (direct if health else around):
            return None
        if health and where & upstream:
            perhaps.append(name)
    if perhaps:
        names = ", ".join(dict.fromkeys(perhaps))
        return f"only health checks could feel this ({names}), and those may answer as before"
    return "nothing measured could feel this"


def noticed_by_its_end(clause: Noticed, scenario: Scenario, catalogue: Catalogue) -> bool:
    """Whether a probe that must notice a fault reads the same where the fault takes its own service away."""
    spec: Any = catalogue.stack.probes[clause.probe]
    if spec.kind not in ("http", "grpc", "tcp") or spec.settings.read != "up":
        return False
    step = scenario.fault(clause.fault) if clause.fault else scenario.timeline[0]
    return bool(services_asked(spec, names_of(catalogue.stack)) & _acts_on(step, catalogue)[0])


def _looks_everywhere(expect: Expect, catalogue: Catalogue) -> bool:
    """Whether alerts are judged, or guarantees about data: they may be about anything."""
    alerts = expect.quiet is not None or any(hasattr(clause, "alert") for clause in expect.clauses)
    return alerts or bool(catalogue.integrity if expect.integrity is None else expect.integrity)


def _acts_on(step: FaultStep, catalogue: Catalogue) -> tuple[set[str], set[str]]:
    """Return the services on which a fault acts, and for one on links or data alone those that meet it there."""
    stack, things = catalogue.stack, catalogue.things_hit(step)
    named = set(services_named(step))
    if step.fault == BETWEEN or step.target.keyspace is not None or step.target.dataset is not None:
        return set(), named | services_hit(step.target, stack)
    if things.keys() <= {"link"}:
        ends = {link.consumer for link in stack.links if link.name in things.get("link", ())}
        return named, ends
    return named | services_hit(step.target, stack), set()


def _measured(expect: Expect, stack: StackDescription) -> Iterator[tuple[str, set[str], bool]]:
    """Yield what is measured: its name, the services that it names, and whether it is no more than a health check."""
    names = names_of(stack)
    if stack.workload is not None:  # every run has a guard on its answers
        yield "the workload", services_in(stack.workload.model_dump_json(), names), False
    for clause in expect.clauses:
        if isinstance(clause, Churn) and clause.service is not None:
            yield clause.service, {clause.service}, False
        probe: Any = clause.probe if isinstance(clause, Bound | Churn) else None
        if probe is not None and probe not in ANSWER_PROBES:
            spec = stack.probes[probe]
            # That a container runs needs none of its work either.
            yield probe, services_asked(spec, names), spec.asks_health or spec.kind == "container"
