"""Where a misfire puts the faults of a scenario: at targets of the same sort where they cannot matter.

A scenario declares them. Where it does not, one is taken only if the description of the stack proves that nothing which
is judged depends on it; else there is none, and the misfire says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from harness.model.faultstep import TARGETS, FaultStep, Misfire, Target
from harness.model.guardrails import strictest
from harness.model.plan import Meant
from harness.model.reach import data_in_common, services_hit, whole_services
from harness.model.scenario import Scenario
from harness.runner.planning.bystanders import bystanders
from harness.runner.planning.catalogue import Catalogue
from harness.runner.planning.limits import beyond_share
from harness.runner.planning.never_touch import forbidden
from harness.runner.planning.timeline import overlaps, touched


@dataclass(frozen=True)
class Aimed:
    """The timeline of a misfire, with what the scenario means instead; `missing` is why there is none."""

    timeline: tuple[FaultStep, ...]
    meant: tuple[Meant, ...]
    missing: str | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets at which the faults cannot matter; none where one fault has none."""
        return tuple(step.target for step in self.timeline) if self.missing is None else ()


def aim(scenario: Scenario, catalogue: Catalogue) -> Aimed:
    """Return the timeline with each fault at its other target; the timeline as it is where one of them has none."""
    steps: list[FaultStep] = []
    meant: list[Meant] = []
    missing: list[str] = []
    for step in scenario.timeline:
        found = step.misfire or _found(step, scenario, catalogue, steps)
        if found is None:
            missing.append(_none_found(step, catalogue))
            continue
        steps.append(step.aimed_at(found))
        meant.append(Meant(fault=step.id, target=step.target, how="declared" if step.misfire else "found"))
    if not missing:
        missing += [message for _, message, _ in overlaps(steps, catalogue)]
    if missing:
        return Aimed(scenario.timeline, (), "; ".join(missing))
    return Aimed(tuple(steps), tuple(meant))


def _none_found(step: FaultStep, catalogue: Catalogue) -> str:
    kind = step.target.kind
    return (
        f"{step.id}: no other {kind} of the stack {catalogue.stack.name!r} is proven not to matter: "
        f"declare one in the timeline, `misfire: {{target: {{{kind}: …}}}}`"
    )


def _found(step: FaultStep, scenario: Scenario, catalogue: Catalogue, before: list[FaultStep]) -> Misfire | None:
    """Return the first target of the same sort among the bystanders of the stack that no fault before it has."""
    # A parameter that names something of the stack would have to be aimed elsewhere as well.
    if any(name in TARGETS for name in step.parameters):
        return None
    taken = {thing for other in before for thing in touched(other, catalogue)}
    share = strictest([catalogue.stack.guardrails.limits, scenario.limits]).share_of_replicas
    for target in _candidates(step, set(bystanders(catalogue.stack, scenario)), catalogue):
        misfire = Misfire(target=target)
        aimed = step.aimed_at(misfire)
        apart = in_common(step, aimed, catalogue) is None and not touched(aimed, catalogue) & taken
        allowed = forbidden(aimed, catalogue) is None and beyond_share(aimed, catalogue, share) is None
        if apart and allowed:
            return misfire
    return None


def _candidates(step: FaultStep, idle: set[str], catalogue: Catalogue) -> Iterator[Target]:
    stack, kind = catalogue.stack, step.target.kind
    links = [link.name for link in stack.links if {link.consumer, link.service} <= idle]
    names: dict[str, list[str]] = {
        "service": [name for name in stack.services if name in idle and _is_reached(step, name, catalogue)],
        "node": [node for node, services in stack.nodes.items() if set(services) <= idle],
        "link": links,
        "keyspace": [name for name, spec in stack.keyspaces.items() if spec.service in idle],
        "dataset": [name for name, spec in stack.datasets.items() if spec.service in idle],
    }
    given: Any = getattr(step.target, kind)
    if kind in names:
        yield from (Target.model_validate({kind: name}) for name in names[kind])
        return
    several = tuple(islice(names[kind.removesuffix("s")], len(given)))
    if len(several) == len(given):
        yield Target.model_validate({kind: several})


def _is_reached(step: FaultStep, service: str, catalogue: Catalogue) -> bool:
    """Whether a fault on a service would act on anything: one on links acts on those that lead to it."""
    on_links = "link" in catalogue.faults[step.fault].targets
    return not on_links or any(link.service == service for link in catalogue.stack.links)


def in_common(step: FaultStep, aimed: FaultStep, catalogue: Catalogue) -> str | None:
    """Return what both targets of a fault have in common, so that it would matter at the other one too."""
    shared = touched(step, catalogue) & touched(aimed, catalogue)
    if shared:
        return min(shared)
    stack, one, other = catalogue.stack, step.target, aimed.target
    services = services_hit(one, stack) & set(whole_services(other, stack.nodes))
    if services:
        return f"service {min(services)}"
    keys = data_in_common("keyspace", one.keyspace, other.keyspace, stack)
    return keys or data_in_common("dataset", one.dataset, other.dataset, stack)
