"""Whether an alert is about what a fault hit, by the names in its labels.

A fault hits services and nodes. An alert that names a sibling of those instead, such as another replica, did not notice
the fault. One that names a service further down the line may well have: that is what the fault does to it. A service is
found in any label. The name of a node is often short, such as `a`, and is only read where a label is about a machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from harness.model.faultstep import Target
from harness.model.plan import StackFacts
from harness.model.reach import services_at

_NUMBER = re.compile(r"[-_.]?\d+$")
_OF_MACHINE = re.compile("node|host|instance|machine|zone", re.IGNORECASE)
"""In the names of labels that are about a machine: `node`, `hostname`, `kubernetes_node`, `availability_zone`."""
_OF_CONTAINER = re.compile("container|pod|replica|host|instance|^name$", re.IGNORECASE)
"""In the names of labels that are about one container."""


def names_untouched(labels: Mapping[str, str], target: Target, stack: StackFacts) -> str | None:
    """Return the sibling of what was hit that an alert's labels name; None where they may mean the fault.

    They may where they name what was hit, or a service that is no sibling of it, besides. Siblings are nodes, services
    whose names differ in a number at their end only, and the containers of one service.
    """
    if target.replica is not None and (other := _other_replica(labels, target, stack)) is not None:
        return other
    hit = services_at(target, _nodes(stack))
    families = {family(name) for name in hit}
    nodes = {node for node in stack.services.values() if node is not None} if target.node is not None else set()
    services: set[str] = set()
    machines: set[str] = set()
    for label, value in labels.items():
        known = nodes if _OF_MACHINE.search(label) else set()
        named = _names(value, {*stack.services, *known})
        services |= named & set(stack.services)
        machines |= named & known
    if services & hit or target.node in machines:
        return None
    siblings = {name for name in services if family(name) in families}
    if services - siblings:
        return None
    return min(siblings | machines, default=None)


def _other_replica(labels: Mapping[str, str], target: Target, stack: StackFacts) -> str | None:
    """Return the container of another replica that labels name, as compose calls it; None where the one hit may be."""
    pattern = re.compile(rf"(?<![A-Za-z0-9])({re.escape(str(target.service))}[-_](\d{{1,3}}))(?!\w|\.\d)")
    # `scorer` is the end of another service's name, too, where that is `my-scorer`.
    longer = [name for name in stack.services if name != target.service and str(target.service) in name]
    told = [value for label, value in labels.items() if _OF_CONTAINER.search(label)]
    told = [value for value in told if not any(name in value for name in longer)]
    named = {int(found[2]): found[1] for value in told for found in pattern.finditer(value)}
    return None if target.replica in named else next(iter(named.values()), None)


def _names(value: str, known: Iterable[str]) -> set[str]:
    """Return the names in the value of a label: alone, in an address, or in the name of a container or a link."""
    found = {name for name in known if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", value)}
    return {name for name in found if not any(name != other and name in other for other in found)}


def _nodes(stack: StackFacts) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, node in stack.services.items():
        if node is not None:
            found.setdefault(node, []).append(name)
    return found


def family(name: str) -> str:
    """Return what the names of a service's siblings have in common: all but a number at the end."""
    return _NUMBER.sub("", name)
