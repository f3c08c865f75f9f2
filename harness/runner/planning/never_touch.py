"""What a fault touches, directly or not, and what of it the stack description says must never be touched.

A fault on a node touches all that is on it; one on a service its data and its links; one on a link both ends, and the
data that lies behind it; one on data the service that holds it. In doubt it touches: a name can be taken off the list,
and lost data does not come back. What commands of one's own reach nobody knows; only what they name is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from harness.description.ties import named_in, share
from harness.faults.command import KIND as COMMAND
from harness.model.dependencies import reached
from harness.model.faultstep import TARGETS, FaultStep, Target
from harness.model.fields import Link
from harness.model.reach import data_in_common, services_named
from harness.model.stack import StackDescription
from harness.runner.planning.catalogue import Catalogue

_ON_VOLUMES = ("disk.", "volume.", "file.")
"""How the kinds of faults begin that act on a volume, which other services may mount."""
_COMMANDS = ("prepare", "inject", "confirm", "revert", "absent")
"""Parameters that are commands."""


class Touched:
    """What a fault touches, each with the way by which it does; the first way found is kept."""

    def __init__(self, stack: StackDescription) -> None:
        self._stack = stack
        self.ways: dict[tuple[str, str], str] = {}

    def _add(self, kind: str, name: str, way: str) -> None:
        self.ways.setdefault((kind, name), way)

    def service(self, name: str, way: str, *, whole: bool) -> None:
        """Add a service, and its node; if it is hit as a `whole`, its links and its data as well."""
        stack = self._stack
        self._add("service", name, way)
        if name in stack.services:
            self._add("node", stack.services[name].node, f"{way}, and {name!r} is on it")
        if whole:
            for link in stack.links:
                if name in (link.consumer, link.service):
                    self._add("link", link.name, f"{way}, and it is an end of the link")
            self._data_on(name, f"{way}, and {name!r} holds it")
            for other in self._one_with(name):
                self.service(other, f"{way}, and it has its network, processes or volumes in common", whole=False)

    def _one_with(self, name: str) -> Iterator[str]:
        """Return the services that are tied to one, directly or by others that both are tied to."""
        services = self._stack.services

        def tied(one: str) -> Iterator[str]:
            own = services[one].inside if one in services else ()
            return (other for other, spec in services.items() if other in own or one in spec.inside)

        found = reached([name], tied)
        return (other for other in services if other in found and other != name)

    def _data_on(self, service: str, way: str) -> None:
        for kind, specs in (("keyspace", self._stack.keyspaces), ("dataset", self._stack.datasets)):
            for name, spec in specs.items():
                if spec.service == service:
                    self._add(kind, name, way)

    def link(self, name: str, way: str) -> None:
        """Add a link, both its ends, and the data behind it."""
        self._add("link", name, way)
        ends = Link.parse(name)
        self.service(ends.consumer, f"{way}, and the link {name!r} leads from it", whole=False)
        self.service(ends.service, f"{way}, and the link {name!r} leads to it", whole=False)
        self._data_on(ends.service, f"{way}, and the link {name!r} leads to {ends.service!r}, which holds it")

    def node(self, name: str, way: str) -> None:
        """Add a node and all its services."""
        self._add("node", name, way)
        for service in self._stack.nodes.get(name, ()):
            self.service(service, f"{way}, and it is on the node {name!r}", whole=True)

    def data(self, kind: str, name: str, way: str) -> None:
        """Add a key space or a dataset, what lies in it or around it, and the service that holds it."""
        specs: Mapping[str, object] = self._stack.keyspaces if kind == "keyspace" else self._stack.datasets
        self._add(kind, name, way)
        what = "keys" if kind == "keyspace" else "objects"
        for other in specs:
            if other != name and data_in_common(kind, name, other, self._stack) is not None:
                self._add(kind, other, f"{way}, and both have {what} in common")
        spec = specs.get(name)
        if spec is not None:
            self.service(str(spec.service), f"{way}, and it holds {name!r}", whole=False)  # type: ignore[attr-defined]


def touched_by(step: FaultStep, catalogue: Catalogue) -> dict[tuple[str, str], str]:
    """Return everything that a fault touches: its kind and its name, with the way by which it does."""
    found = Touched(catalogue.stack)
    if step.fault == COMMAND.kind:
        return {}
    _by_target(step, step.target, catalogue, found)
    for name, value in step.parameters.items():
        if name in TARGETS and isinstance(value, str):
            _by_target(step, Target.model_validate({name: value}), catalogue, found)
    for service in services_named(step):
        found.service(service, f"{step.id!r} names it", whole=True)
    return found.ways


def _by_target(step: FaultStep, target: Target, catalogue: Catalogue, found: Touched) -> None:
    way = f"{step.id!r} acts on the {target}"
    aimed = step.model_copy(update={"target": target})
    if target.node is not None:
        found.node(target.node, way)
    elif target.keyspace is not None:
        found.data("keyspace", target.keyspace, way)
    elif target.dataset is not None:
        found.data("dataset", target.dataset, way)
    links = catalogue.links_of(aimed) if target.node is None else ()
    for name in links:
        found.link(name, way)
    for name in () if links else target.service_names:
        found.service(name, way, whole=True)
        if step.fault.startswith(_ON_VOLUMES):
            for other in _sharing(catalogue.stack, name):
                found.service(other, f"{way}, and shares a volume with it", whole=True)


def _sharing(stack: StackDescription, name: str) -> Iterator[str]:
    own = stack.services[name].mounts if name in stack.services else ()
    return (other.name for other in stack.services.values() if other.name != name and share(own, other.mounts))


def forbidden(step: FaultStep, catalogue: Catalogue) -> str | None:
    """Return what a fault touches of what must never be touched, and how; None where it touches none of it."""
    named = named_by_commands(step, catalogue)
    if named is not None:
        return named[1]
    for (kind, name), way in touched_by(step, catalogue).items() if catalogue.stack.never_touch else ():
        if name in catalogue.stack.never_touch:
            return f"{step.fault} touches the {_WORDS.get(kind, kind)} {name!r}: {way}"
    return None


def named_by_commands(step: FaultStep, catalogue: Catalogue) -> tuple[tuple[str | int, ...], str] | None:
    """Return where in a `command` fault something is named that must never be touched, and what; None where nowhere is.

    That a command names nothing proves nothing: it may reach what it does not name.
    """
    never = catalogue.stack.never_touch
    if step.fault != COMMAND.kind or not never:
        return None
    found = Touched(catalogue.stack)
    _by_target(step, step.target, catalogue, found)
    for (kind, name), way in found.ways.items():
        if name in never:
            how = f"it is the target of {step.id!r}" if name == getattr(step.target, step.target.kind) else way
            return ("target", step.target.kind), f"{step.fault} touches the {_WORDS.get(kind, kind)} {name!r}: {how}"
    for parameter in _COMMANDS:
        for index, word in enumerate(step.parameters.get(parameter) or ()):
            for what, name in _named_in(str(word), catalogue.stack):
                way = f"{step.id!r} names it in its command `{parameter}`"
                return ("with", parameter, index), f"{step.fault} touches the {what} {name!r}: {way}"
    return None


def _named_in(word: str, stack: StackDescription) -> Iterator[tuple[str, str]]:
    """Yield what a word of a command names of what must never be touched: by its name, or that of its container."""
    for name in stack.never_touch:
        if name in stack.services:
            # Compose calls a container PROJECT-SERVICE-NUMBER, or with `_` in older versions.
            container = rf"(?<![\w.-])[\w.-]+[-_]{re.escape(name)}[-_]\d+(?![\w-])"
            if named_in(word, (name, *stack.services[name].aliases)) or re.search(container, word):
                yield "service", name
        elif name in {link.name for link in stack.links} and named_in(word, (name,)):
            yield "link", name


_WORDS = {"keyspace": "key space"}
