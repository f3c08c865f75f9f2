"""Which services of a stack have no part in what a scenario judges, as far as the description proves it.

What is judged rests on the services that the workload, the probes, the alerts and the evidence of integrity name, on
those that the scenario names, and on all that is tied to them, in either direction: a service that only writes into a
store that others read matters to them. Ties are links, names in the compose file, volumes and nodes in common. What
cannot be seen there (the sender of alerts outside of the stack, a probe of the whole machine) proves nothing, so that
then there is no bystander. A service is named by any name that others reach it by, and folders are in common where one
lies inside the other.
"""

from __future__ import annotations

from typing import Any

from harness.description.ties import named_in, names_of, services_in, share
from harness.model.dependencies import reached
from harness.model.scenario import Scenario
from harness.model.stack import StackDescription

_SAYS_NOTHING = {"scenario", "summary", "covers", "owner", "tags", "runbook", "stack", "known_weakness"}
"""Fields of a scenario that name nothing that is judged."""
_OF_THE_STACK = {
    "services",
    "keyspaces",
    "datasets",
    "more_links",
    "unused_links",
    "name",
    "stack",
    "file",
    "files",
    "base",
    "never_touch",
}
"""Fields of a stack that do not say by themselves what is judged."""


def bystanders(stack: StackDescription, scenario: Scenario) -> tuple[str, ...]:
    """Return the services that cannot matter to what the scenario judges, in the order of the stack."""
    if not _all_is_inside(stack):
        return ()
    matter = reached(_judged(stack, scenario), ties(stack).__getitem__)
    return tuple(name for name in stack.services if name not in matter)


def _all_is_inside(stack: StackDescription) -> bool:
    """Whether everything that is measured names a service of the stack. What a summary names is not what is asked."""
    probes = [probe.settings for probe in stack.probes.values()]
    measured: list[Any] = [stack.workload, stack.event_clock, *probes, *stack.alert_sources]
    names = names_of(stack)
    return all(services_in(one.model_dump_json(), names) for one in measured if one is not None)


def _judged(stack: StackDescription, scenario: Scenario) -> set[str]:
    """Return the services that are named by what is measured, or by the scenario."""
    names = names_of(stack)
    found = services_in(stack.model_dump_json(exclude=_OF_THE_STACK), names)
    written = scenario.model_dump_json(exclude={*_SAYS_NOTHING, "timeline"})
    written += "".join(step.model_dump_json(exclude={"misfire"}) for step in scenario.timeline)
    found |= services_in(written, names)
    for node in named_in(written, stack.nodes):
        found |= set(stack.nodes[node])
    for name in named_in(written, stack.keyspaces):
        found.add(stack.keyspaces[name].service)
    for name in named_in(written, stack.datasets):
        found.add(stack.datasets[name].service)
    return found


def ties(stack: StackDescription) -> dict[str, set[str]]:
    """Return for each service those that it is tied to."""
    tied: dict[str, set[str]] = {name: set() for name in stack.services}
    groups = [{consumer, other} for consumer, used in stack.may_use.items() for other in used]
    groups += [set(names) for names in stack.nodes.values()]
    for service in stack.services.values():
        shared = {other.name for other in stack.services.values() if share(other.mounts, service.mounts)}
        groups.append(shared | {service.name})
    for group in groups:
        for name in group:
            tied[name] |= group - {name}
    return tied
