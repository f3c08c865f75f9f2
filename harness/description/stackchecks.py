"""Names inside a stack description that must be names of its services.

A URL whose host is one plain word, a switch, a store, a dependency: each must name a service, and dependencies must
not run in a circle. Met here, before anything starts, rather than as a probe that never answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from harness.description.yamltree import Tree
from harness.model.errors import StackError, StackProblemsError, did_you_mean
from harness.model.fields import Link
from harness.model.stack import StackDescription

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
PLACEHOLDERS = ("address", "port", "dir", "data")
_TOP = "x-harness"


def check_names(description: StackDescription, tree: Tree) -> None:
    """Raise StackError for every name that is not a service's, and for what else does not fit together."""
    services = description.services
    found = list(_overridden(tree)) if len(description.files) > 1 else []
    unknown = dict.fromkeys((tuple(path), name) for path, name in _service_names(description) if name not in services)
    found += [tree.error(path, *_not_there(name, services, tree)) for path, name in unknown]
    if not unknown:
        found += [*_conditions(description, tree), *_circles(description, tree)]
        found += [*_unused_links(description, tree), *_never_touch(description, tree)]
    found += [*_steady_state(description, tree), *_event_times(description, tree), *_placeholders(description, tree)]
    if found:
        raise StackProblemsError(found)


def _overridden(tree: Tree) -> Iterator[StackError]:
    """Yield each service of an override that no base file has: nothing but our fields is known of it."""
    services = tree.value.get("services")
    for name, body in services.items() if isinstance(services, dict) else ():
        if isinstance(body, dict) and set(body) == {_TOP}:
            known = [other for other, its in services.items() if isinstance(its, dict) and set(its) != {_TOP}]
            message = f"unknown service {name!r}: the files under `base` have none of this name"
            yield tree.error(("services", name), message, did_you_mean(name, known))


def _not_there(name: str, services: Iterable[str], tree: Tree) -> tuple[str, str]:
    """Say why a service is not there, and what to do about it."""
    body = tree.value["services"].get(name)
    profiles = body.get("profiles") if isinstance(body, dict) else None
    if not profiles:
        return f"unknown service {name!r}", did_you_mean(name, services)
    behind = ", ".join(map(str, profiles))
    remedy = f"add {profiles[0]} to {_TOP}.profiles, or to COMPOSE_PROFILES"
    return f"the service {name!r} is off: it is behind the profile {behind}", remedy


def _service_names(description: StackDescription) -> Iterator[tuple[Sequence[str | int], str]]:
    """Yield every place where a service is named, and the name."""
    small = {name.lower(): name for name in description.services}  # hosts of URLs come in small letters
    for service in description.services.values():
        for name in service.depends_on:
            yield ("services", service.name, "depends_on", name), name
    for index, link in enumerate(description.more_links):
        ends = Link.parse(link)
        for name in (ends.consumer, ends.service):
            yield (_TOP, "links", index), name
    for field in ("alerts", "recoveries"):
        for key, item in getattr(description, field).items():
            if item.off is not None:
                yield (_TOP, field, key, "off", "service"), item.off.service
    for field in ("datasets", "keyspaces"):
        for key, item in getattr(description, field).items():
            yield (_TOP, field, key, "service"), item.service
    if description.integrity.store is not None:
        yield (_TOP, "integrity", "store", "service"), description.integrity.store.service
    for path, url in _texts_called("url", description, (_TOP,)):
        host = host_of(url)
        if host is not None and _is_plain(host):
            yield path, small.get(host, host)
    for name, probe in description.probes.items():
        yield from _texts_called("service", probe, (_TOP, "probes", name))
        for field in ("address", "bootstrap"):
            for path, host in _plain_hosts(field, probe, (_TOP, "probes", name)):
                yield path, small.get(host, host)


def host_of(url: str) -> str | None:
    """Return the host that a URL names; None for one that is a secret, or that names a file."""
    if not url or url.startswith(("${secret:", "sqlite")):
        return None
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _plain_hosts(field: str, value: Any, path: Sequence[str | int]) -> Iterator[tuple[Sequence[str | int], str]]:
    """Yield each host of one plain word in fields that hold `host:port`, or several of them."""
    for place, addresses in _texts_called(field, value, path):
        for address in addresses.split(","):
            host = host_of(f"//{address.strip()}")
            if host is not None and _is_plain(host):
                yield place, host


def _is_plain(host: str) -> bool:
    """Whether a host is one plain word, which must be the name of a service."""
    return "." not in host and ":" not in host and host != "localhost"


def _texts_called(wanted: str, value: Any, path: Sequence[str | int]) -> Iterator[tuple[Sequence[str | int], str]]:
    """Yield every text in a field of that name, with its place in the file."""
    if isinstance(value, BaseModel):
        probe_kind = getattr(value, "kind", None) if hasattr(value, "settings") else None
        for name, field in type(value).model_fields.items():
            if name == "services":
                continue
            inside = getattr(value, name)
            key = str(probe_kind) if probe_kind and name == "settings" else field.alias or name
            if name == wanted and isinstance(inside, str):
                yield (*path, key), inside
            else:
                yield from _texts_called(wanted, inside, (*path, key))
    elif isinstance(value, dict):
        for key, inside in value.items():
            yield from _texts_called(wanted, inside, (*path, str(key)))
    elif isinstance(value, tuple):
        for index, inside in enumerate(value):
            yield from _texts_called(wanted, inside, (*path, index))


def _never_touch(description: StackDescription, tree: Tree) -> Iterator[StackError]:
    """Refuse a name that protects nothing: a typing error would let faults through."""
    links = [link.name for link in description.links] if description.never_touch else []
    known = {*description.services, *description.nodes, *description.keyspaces, *description.datasets, *links}
    for index, name in enumerate(description.never_touch):
        if name in description.unused_links:
            message = f"no fault touches the link {name!r}: x-harness.unused_links says that nobody uses it"
            yield tree.error((_TOP, "never_touch", index), message, "take it out of one of the two")
        elif name not in known:
            message = f"there is no service, node, link, key space or dataset {name!r}"
            yield tree.error((_TOP, "never_touch", index), message, did_you_mean(name, known))


def _unused_links(description: StackDescription, tree: Tree) -> Iterator[StackError]:
    """Refuse a name that takes no link away, and a link that is declared and taken away at once."""
    shown = [link.name for link in description.shown_links] if description.unused_links else []
    for index, name in enumerate(description.unused_links):
        if name in description.more_links:
            message = f"the link {name!r} is in x-harness.links, too"
            yield tree.error((_TOP, "unused_links", index), message, "take it out of one of the two")
        elif name not in shown:
            message = f"there is no link {name!r} that could be taken away"
            ends = Link.parse(name)
            back = Link(ends.service, ends.consumer).name
            remedy = f"did you mean {back!r}?" if back in shown else did_you_mean(name, shown)
            yield tree.error((_TOP, "unused_links", index), message, remedy)


def _steady_state(description: StackDescription, tree: Tree) -> Iterator[StackError]:
    """Refuse two bounds of one id: they are the keys of history."""
    ids = [bound.id for bound in description.steady_state]
    for index, id_ in enumerate(ids):
        if id_ in ids[:index]:
            yield tree.error((_TOP, "steady_state", index, "id"), f"the id {id_!r} is used twice", "give each its own")


def _event_times(description: StackDescription, tree: Tree) -> Iterator[StackError]:
    """Refuse an age in event time for a stack without an event clock: it would never be read."""
    for name, probe in description.probes.items():
        for field in ("as_", "read"):
            if description.event_clock is None and getattr(probe.settings, field, None) == "event_age":
                path = (_TOP, "probes", name, probe.kind, field.rstrip("_"))
                remedy = "describe x-harness.event_clock, or use the wall clock: age"
                yield tree.error(path, "the stack has no event clock to measure an age with", remedy)


def _conditions(description: StackDescription, tree: Tree) -> Iterator[StackError]:
    for service in description.services.values():
        for name, condition in service.depends_on.items():
            other = description.services[name]
            if condition == "service_healthy" and other.health is None and not other.healthcheck:
                path = ("services", service.name, "depends_on", name)
                remedy = "add a healthcheck, or x-harness.health, to it"
                yield tree.error(path, f"{name!r} has no health check to wait for", remedy)


def _circles(description: StackDescription, tree: Tree) -> Iterator[StackError]:
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> Iterator[StackError]:
        if name in trail:
            circle = " -> ".join([*trail[trail.index(name) :], name])
            yield tree.error(("services", name, "depends_on"), f"circular dependency: {circle}")
            done.update(trail[trail.index(name) :])
        elif name not in done:
            for other in description.services[name].depends_on:
                yield from visit(other, (*trail, name))
            done.add(name)

    for name in description.services:
        yield from visit(name, ())


def _placeholders(description: StackDescription, tree: Tree) -> Iterator[StackError]:
    for service in description.services.values():
        texts = {("environment", key): value for key, value in service.local.environment.items()}
        texts |= {("command", str(i)): word for i, word in enumerate(service.local.command or ())}
        for where, text in texts.items():
            path = ("services", service.name, _TOP, "local", *where)
            for name in _PLACEHOLDER.findall(text):
                if name not in PLACEHOLDERS:
                    yield tree.error(path, f"unknown placeholder {{{name}}}", did_you_mean(name, PLACEHOLDERS))
                if name == "port" and service.port is None:
                    yield tree.error(path, "{port} is used, but the service has no port")
                if name == "data" and description.data is None:
                    yield tree.error(path, "{data} is used, but x-harness.data is missing")
