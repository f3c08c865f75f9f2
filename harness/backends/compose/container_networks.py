"""A container's networks, in a form from which it can be connected again exactly as it was.

The engine adds the container's short id to its aliases by itself, and reports an address that was requested
(`IPAMConfig`) apart from one that it chose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import docker

SHORT = 12


def networks_of(reply: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the networks in the output of `inspect`: id, addresses now, and the endpoint to connect with."""
    found = {}
    for name, endpoint in reply["NetworkSettings"]["Networks"].items():
        addresses = [a for a in (endpoint.get("IPAddress"), endpoint.get("GlobalIPv6Address")) if a]
        found[name] = {
            "id": endpoint.get("NetworkID", ""),
            "addresses": addresses,
            "endpoint": endpoint_of(endpoint, reply["Id"]),
        }
    return found


def endpoint_of(endpoint: Mapping[str, Any], container: str) -> dict[str, Any]:
    """Return the requested part of an endpoint, in the engine's own words."""
    aliases = [alias for alias in endpoint.get("Aliases") or () if alias != container[:SHORT]]
    return {
        "IPAMConfig": endpoint.get("IPAMConfig"),
        "Links": endpoint.get("Links"),
        "Aliases": aliases or None,
        "DriverOpts": endpoint.get("DriverOpts"),
    }


def disconnect(client: docker.DockerClient, container: str, network: str) -> None:
    """Take a container off a network, at once."""
    client.api.disconnect_container_from_network(container, network, force=True)


def connect(client: docker.DockerClient, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
    """Put a container on a network with the endpoint that it had."""
    ipam = endpoint.get("IPAMConfig") or {}
    client.api.connect_container_to_network(
        container,
        network,
        aliases=endpoint.get("Aliases"),
        links=endpoint.get("Links"),
        ipv4_address=ipam.get("IPv4Address"),
        ipv6_address=ipam.get("IPv6Address"),
        link_local_ips=ipam.get("LinkLocalIPs"),
        driver_opt=endpoint.get("DriverOpts"),
    )
