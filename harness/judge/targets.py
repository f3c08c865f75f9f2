"""Whether an alert is about what a fault hit, by the names in its labels.

A fault hits services and nodes. An alert that names a sibling of those instead, such as another replica, did not notice
the fault. One that names a service further down the line may well have: that is what the fault does to it.
"""

from __future__ import annotations

import re

from harness.model.faultstep import Target
from harness.model.fields import Link
from harness.model.plan import StackFacts
from harness.model.readings import Alert

_NUMBER = re.compile(r"[-_.]?\d+$")


def names_untouched(alert: Alert, target: Target, stack: StackFacts) -> str | None:
    """Return the sibling of what was hit that an alert's labels name; None where they name none, or what was hit too.

    Siblings are nodes, and services whose names differ in a number at their end only. A label such as `instance` may
    have a port after the name.
    """
    hit = _services_hit(target, stack)
    families = {_family(name) for name in hit}
    nodes = {node for node in stack.services.values() if node is not None}
    untouched = None
    for value in alert.labels.values():
        name = value.partition(":")[0]
        if name in hit or (target.node is not None and name == target.node):
            return None
        sibling = name in stack.services and _family(name) in families
        if sibling or (target.node is not None and name in nodes):
            untouched = untouched or name
    return untouched


def _services_hit(target: Target, stack: StackFacts) -> set[str]:
    """Return the services that a fault acts on; both ends of a link."""
    if target.node is not None:
        return {name for name, node in stack.services.items() if node == target.node}
    names = target.links or (() if target.link is None else (target.link,))
    links = [Link.parse(name) for name in names]
    ends = {end for link in links for end in (link.consumer, link.service)}
    return ends | set(target.services or ()) | ({target.service} if target.service is not None else set())


def _family(name: str) -> str:
    return _NUMBER.sub("", name)
