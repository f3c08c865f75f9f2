"""What a fault hits, by its target and the description of the stack: the one place that answers it.

Whoever asks wants more or less of it. A stack is healed, and an alert is read, by the services at a target. A timeline,
a misfire and a preview want each thing that is hit. What a fault touches beyond that, as the node of a service, is in
`harness/runner/planning/never_touch.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from harness.model.faultstep import FaultStep, Target

if TYPE_CHECKING:
    from harness.model.stack import StackDescription

Nodes = Mapping[str, Iterable[str]]
"""The services on each node."""
OF_SERVICES = ("apart_from",)
"""Parameters that name services, besides those that are called like a kind of target."""


def whole_services(target: Target, nodes: Nodes) -> tuple[str, ...]:
    """Return the services that a target is made of: those that it names, or all on its node."""
    return tuple(nodes.get(target.node, ())) if target.node is not None else target.service_names


def services_at(target: Target, nodes: Nodes) -> frozenset[str]:
    """Return the services that a target is made of, and both ends of its links."""
    ends = {end for link in target.parsed_links for end in (link.consumer, link.service)}
    return frozenset({*whole_services(target, nodes), *ends})


def services_named(step: FaultStep) -> tuple[str, ...]:
    """Return the services that a fault hits besides its target: those on the other side of a partition."""
    named = [step.parameters.get(name) for name in OF_SERVICES]
    return tuple(str(one) for value in named if isinstance(value, list | tuple) for one in value)


def services_hit(target: Target, stack: StackDescription) -> frozenset[str]:
    """Return the services at a target, the one that holds its data included."""
    found = services_at(target, stack.nodes)
    if target.keyspace in stack.keyspaces:
        found |= {stack.keyspaces[str(target.keyspace)].service}
    if target.dataset in stack.datasets:
        found |= {stack.datasets[str(target.dataset)].service}
    return found


def links_hit(target: Target, stack: StackDescription, *, acts_on_links: bool) -> tuple[str, ...]:
    """Return the links that a fault disturbs, in the order of the stack.

    A node's are all that touch it; a service's, for a fault that acts on links, all that lead to it.
    """
    if target.node is not None:
        inside = stack.nodes.get(target.node, ())
        return tuple(k.name for k in stack.links if k.consumer in inside or k.service in inside)
    if target.service is not None and acts_on_links:
        return tuple(k.name for k in stack.links if k.service == target.service)
    return tuple(k.name for k in stack.links if k.name in target.link_names)


def things_hit(target: Target, stack: StackDescription, *, acts_on_links: bool) -> dict[str, tuple[str, ...]]:
    """Return what a fault acts on itself, by the kind of target that it is: services, links, a node, data.

    A service that is hit by its links alone is not among its services.
    """
    links = links_hit(target, stack, acts_on_links=acts_on_links)
    only_links = bool(links) and target.node is None
    found = {
        "service": () if only_links else whole_services(target, stack.nodes),
        "link": links or target.link_names,
        "node": (target.node,) if target.node is not None else (),
        "keyspace": (target.keyspace,) if target.keyspace is not None else (),
        "dataset": (target.dataset,) if target.dataset is not None else (),
    }
    return {kind: names for kind, names in found.items() if names}


def data_in_common(kind: str, one: str | None, other: str | None, stack: StackDescription) -> str | None:
    """Return what two key spaces, or two datasets, have in common; None where it is nothing, or either is unknown."""
    if one is None or other is None:
        return None
    if kind == "keyspace" and one in stack.keyspaces and other in stack.keyspaces:
        a, b = stack.keyspaces[one], stack.keyspaces[other]
        return _inner("keys", a.prefix, b.prefix) if (a.service, a.db) == (b.service, b.db) else None
    if kind == "dataset" and one in stack.datasets and other in stack.datasets:
        c, d = stack.datasets[one], stack.datasets[other]
        return _inner("objects", c.prefix, d.prefix) if (c.service, c.bucket) == (d.service, d.bucket) else None
    return None


def _inner(what: str, one: str, other: str) -> str | None:
    nested = one.startswith(other) or other.startswith(one)
    return f"{what} under {max(one, other, key=len)}" if nested else None
