"""What ties a service to others besides links: names in its part of the compose file, and volumes in common.

A service goes by several names: that of its container, of its host, and those that a network gives it are as good.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from harness.model.stack import StackDescription

_PATH = (".", "/", "~")


def named_in(text: str, names: Iterable[str]) -> set[str]:
    """Return the names that stand in a text as whole words."""
    return {name for name in names if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)}


def names_of(stack: StackDescription) -> dict[str, tuple[str, ...]]:
    """Return all the names of each service."""
    return {service.name: (service.name, *service.aliases) for service in stack.services.values()}


def services_in(text: str, names: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the services that a text names; `names` has all the names of each."""
    return {service for service, own in names.items() if named_in(text, own)}


def services_named(body: Mapping[str, Any], own: str, names: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the other services that a service's part of the file names anywhere, in the order of the file."""
    found = services_in("\n".join(_texts(body)), names)
    return tuple(name for name in names if name in found and name != own)


def aliases(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the further names and addresses at which others reach a service: its container's, its host's, a network's.

    `body` is the service's part of the file.
    """
    networks = body.get("networks")
    found = [body.get("container_name"), body.get("hostname")]
    for network in networks.values() if isinstance(networks, dict) else ():
        if isinstance(network, dict):
            found += [*(network.get("aliases") or ()), network.get("ipv4_address"), network.get("ipv6_address")]
    return tuple(dict.fromkeys(str(name) for name in found if name))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield str(key)
            yield from _texts(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _texts(inside)
    else:
        yield str(value)


def inside(body: Mapping[str, Any], own: str, names: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the services whose network, processes, memory or volumes a service has as its own.

    `body` is the service's part of the file; `names` has all the names of each service.
    """
    volumes = body.get("volumes_from")
    given = [str(one).removeprefix("container:").partition(":")[0] for one in volumes or () if isinstance(one, str)]
    found = {*joined(body, own, names), *_services(given, own, names)}
    return tuple(name for name in names if name in found)


def joined(body: Mapping[str, Any], own: str, names: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the services whose network, processes or memory a service has as its own.

    It loses them for good once one of those is started again: it stays with what ended.
    """
    given = [str(body.get(key) or "") for key in ("network_mode", "pid", "ipc")]
    texts = [text.partition(":")[2] for text in given if text.startswith(("service:", "container:"))]
    return _services(texts, own, names)


def _services(given: Iterable[str], own: str, names: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    owners = {alias: service for service, own_names in names.items() for alias in own_names}
    found = {owners[name] for name in given if name in owners}
    return tuple(name for name in names if name in found and name != own)


def mounts(raw: Any, folder: Path, volumes: Any) -> tuple[str, ...]:
    """Return the sources of a service's volumes, paths in full; an anonymous one is its own, and has none.

    `folder` is where relative paths start; `volumes` are the named ones at the top of the file.
    """
    found = []
    for item in raw if isinstance(raw, list) else ():
        if isinstance(item, dict):
            source, bind = str(item.get("source") or item.get("src") or ""), item.get("type") == "bind"
        else:
            source, bind = str(item).partition(":")[0] if ":" in str(item) else "", False
        is_path = bind or source.startswith(_PATH)
        found.append(_path(source, folder) if source and is_path else _volume(source, folder, volumes))
    return tuple(dict.fromkeys(source for source in found if source))


def _path(source: str, folder: Path) -> str:
    # Two spellings of a folder, or a link to it, are the same folder.
    home, _, below = source.partition("/")
    return os.path.realpath(Path.home() / below if home == "~" else folder / source)


def _volume(name: str, folder: Path, volumes: Any) -> str:
    """Return what a named volume is: the folder that it stands for, or the name under which the engine keeps it."""
    spec = volumes.get(name) if isinstance(volumes, dict) else None
    if not isinstance(spec, dict):
        return name
    options = spec.get("driver_opts")
    device = str(options.get("device") or "") if isinstance(options, dict) else ""
    return _path(device, folder) if device.startswith(_PATH) else device or str(spec.get("name") or name)


def share(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether a source of one service's volumes is one of another's, or lies inside it."""
    pairs = [(PurePath(one), PurePath(other)) for one in some for other in others]
    return any(one.is_relative_to(other) or other.is_relative_to(one) for one, other in pairs)
