"""What ties a service to others besides links: names in its part of the compose file, and volumes in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def named_in(text: str, names: Iterable[str]) -> set[str]:
    """Return the names that stand in a text as whole words."""
    return {name for name in names if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)}


def services_named(body: Mapping[str, Any], own: str, services: Iterable[str]) -> tuple[str, ...]:
    """Return the other services that a service's part of the file names anywhere, in the order of the file."""
    found = named_in("\n".join(_texts(body)), services)
    return tuple(name for name in services if name in found and name != own)


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


def mounts(raw: Any) -> tuple[str, ...]:
    """Return the sources of a service's volumes; an anonymous one is its own, and has none."""
    found = []
    for item in raw if isinstance(raw, list) else ():
        if isinstance(item, dict):
            found.append(str(item.get("source") or item.get("src") or ""))
        elif ":" in str(item):
            found.append(str(item).partition(":")[0])
    return tuple(dict.fromkeys(source for source in found if source))
