"""What single fields of a compose file come to: ports, whether health is checked, values as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.model.stack import ServiceFields


def container_ports(own: ServiceFields, body: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the TCP ports inside the container: ours, the published, the exposed. Ranges are not known."""
    published = [target for _, target in _published(body)]
    named = [one.removesuffix("/tcp") for one in (*published, *(str(one) for one in body.get("expose") or []))]
    known = [own.port, *own.ports, *(int(one) for one in named if one.isdigit())]
    return tuple(dict.fromkeys(port for port in known if port is not None and 0 < port < 65536))


def host_ports(body: Mapping[str, Any]) -> set[int]:
    """Return the ports of the host that are published of a service, and are no ports inside its container."""
    hosts = {int(host) for host, _ in _published(body) if host.isdigit()}
    return hosts - set(container_ports(ServiceFields.model_validate({}), body))


def _published(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return port of the host and port of the container for each of `ports`, the latter with its protocol."""
    found = []
    for one in body.get("ports") or []:
        if isinstance(one, dict):
            ending = "/udp" if one.get("protocol") == "udp" else ""
            found.append((str(one.get("published") or ""), f"{one.get('target')}{ending}"))
        else:
            rest, _, target = str(one).rpartition(":")
            found.append((rest.rpartition(":")[2], target))
    return found


def checks_health(raw: Any) -> bool:
    """Whether a `healthcheck` checks anything."""
    return isinstance(raw, dict) and not raw.get("disable") and raw.get("test") not in ("NONE", ["NONE"])


def replicas_of(body: Mapping[str, Any]) -> int:
    """Return how many containers compose starts of a service. Raises ValueError for what is no such number."""
    deploy = body.get("deploy")
    given = body.get("scale")
    if given is None and isinstance(deploy, Mapping):
        given = deploy.get("replicas")
    if given is None:
        return 1
    if isinstance(given, bool) or not str(given).isdigit():
        raise ValueError(f"{given!r} is no number of replicas; write a whole number, such as 3")
    return int(given)


def text(value: Any) -> str:
    """Return a value as a command or an environment has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def texts(raw: Any) -> Any:
    """Write out the numbers in commands and environments, which are text however they look."""
    if not isinstance(raw, dict):
        return raw
    found: dict[str, Any] = {}
    for key, value in raw.items():
        if key in ("command", "make", "argv") and isinstance(value, list):
            found[key] = [text(word) for word in value]
        elif key in ("env", "environment", "labels", "headers") and isinstance(value, dict):
            found[key] = {
                name: text(word) if not isinstance(word, dict | list) else word for name, word in value.items()
            }
        else:
            found[key] = texts(value)
    return found
