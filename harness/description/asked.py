"""Which services a probe or an address asks: by its host, and not by what a query or a key happens to be called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from harness.description.ties import services_in
from harness.model.probekinds import ProbeSpec

_PLACES = ("service", "address", "bootstrap")
"""Settings that hold names and addresses, and nothing else."""


def services_asked(spec: ProbeSpec, names: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the services that a probe asks, or whose series it asks a monitor for.

    `names` has all the names of each. Where no setting is an address, as for a command, whoever any of them names.
    """
    settings = spec.settings.model_dump(mode="json", by_alias=True)
    told = list(_addresses(settings))
    if spec.kind == "promql":
        told.append(str(settings["query"]))
    return services_in("\n".join(told or _texts(settings)), names)


def service_at(url: str, names: Mapping[str, Iterable[str]]) -> str | None:
    """Return the service that an address leads to; None where it is none of the stack, or nobody knows.

    `names` has all the names of each.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return None
    return next((name for name, own in names.items() if host in map(str.lower, own)), None)


def _addresses(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        if name in _PLACES and value:
            yield str(value)
        elif isinstance(value, str) and "://" in value.partition(" ")[0]:
            yield _hosts(value)


def _hosts(url: str) -> str:
    """Return the hosts of a URL: a login, a path and what is asked for name no service."""
    place = url.partition("://")[2]
    return place.rpartition("@")[2].partition("/")[0].partition("?")[0]


def _texts(value: Any) -> Iterator[str]:
    """Yield the values of settings, without the names of these."""
    if isinstance(value, Mapping):
        for inside in value.values():
            yield from _texts(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _texts(inside)
    elif value is not None:
        yield str(value)
