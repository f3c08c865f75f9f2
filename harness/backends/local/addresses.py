"""The address block of a local stack, how `service:port` in its configuration is rewritten, and its planned links.

The i-th service has the address .(10+i), the k-th planned link .(110+k), the fault proxy .2. Ports stay as they are, so
that two services may share a port number and a link can replace its service by its address alone. The proxy is one more
process, driven through its Toxiproxy API alone; it runs before the consumers start, so no connection misses the link.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from harness.backends.http_request import request
from harness.model.backend import LinkEndpoint
from harness.model.errors import BackendError, did_you_mean
from harness.model.stack import Link, StackDescription, reference_pattern

PROXY_PORT = 8474
MOST_LINKS = 140
_FIRST_SERVICE = 10
_FIRST_LINK = 110


class Addresses:
    """The addresses of one stack."""

    def __init__(self, block: str, description: StackDescription, links: tuple[Link, ...] = ()) -> None:
        self.block = block
        self.proxy = f"{block}.2"
        self.services: Mapping[str, str] = {
            name: f"{block}.{_FIRST_SERVICE + service.index}" for name, service in description.services.items()
        }
        self.links: Mapping[Link, str] = {link: f"{block}.{_FIRST_LINK + k}" for k, link in enumerate(links)}
        self._ports = {name: service.port for name, service in description.services.items()}
        self._pattern = reference_pattern(description.services)

    def rewrite(self, text: str, consumer: str | None = None) -> str:
        """Put addresses for names: the service's own, or for a consumer its planned link's."""
        return self._pattern.sub(lambda match: f"{self._address(match[1], int(match[2]), consumer)}:{match[2]}", text)

    def _address(self, service: str, port: int, consumer: str | None) -> str:
        if consumer is not None and port == self._ports[service]:
            linked = self.links.get(Link(consumer, service))
            if linked is not None:
                return linked
        return self.services[service]

    def resolve(self, url: str, consumer: str | None = None) -> str:
        """Return the reachable form of a URL or of `host:port`. Raises BackendError for a host that is no service."""
        host = urlsplit(url if "://" in url else f"//{url}").hostname or ""
        known = {name.lower(): name for name in self.services}
        if host not in known:
            if "." in host or ":" in host or host == "localhost":
                return url
            raise BackendError(f"{url!r}: unknown service {host!r}", remedy=did_you_mean(host, self.services))
        resolved = self.rewrite(url, consumer)
        if resolved == url:
            raise BackendError(f"{url!r} has no port", remedy=f"write {known[host]}:<port>")
        return resolved


POLL_S = 0.01
READY_WITHIN_S = 10.0


def proxy_command(addresses: Addresses, seed: int) -> list[str]:
    """Return the command of the fault proxy."""
    where = ["--host", addresses.proxy, "--port", str(PROXY_PORT)]
    return ["python", "-m", "harness.proxy", "serve", *where, "--seed", str(seed), "--die-with-parent"]


def link_endpoints(addresses: Addresses) -> dict[str, LinkEndpoint]:
    """Return where each planned link can be disturbed."""
    api = f"http://{addresses.proxy}:{PROXY_PORT}"
    return {
        link.name: LinkEndpoint(link.name, api, f"{number}-{link.consumer}-{link.service}")
        for number, link in enumerate(addresses.links)
    }


async def create_proxies(addresses: Addresses, description: StackDescription) -> None:
    """Wait for the fault proxy and create every link in it. Raises BackendError."""
    await _wait_for_api(addresses.proxy)
    endpoints = link_endpoints(addresses)
    await asyncio.gather(*(_create(addresses, description, link, endpoints) for link in addresses.links))


async def _create(
    addresses: Addresses, description: StackDescription, link: Link, endpoints: Mapping[str, LinkEndpoint]
) -> None:
    port = description.services[link.service].port
    body = {
        "name": endpoints[link.name].proxy_name,
        "listen": f"{addresses.links[link]}:{port}",
        "upstream": f"{addresses.services[link.service]}:{port}",
        "enabled": True,
    }
    try:
        status, text = await request("POST", addresses.proxy, PROXY_PORT, "/proxies", body, within_s=5.0)
    except (OSError, ValueError) as error:
        raise BackendError(f"the fault proxy did not answer when the link {link.name} was made: {error}") from error
    if status != 201:
        raise BackendError(f"the fault proxy refused the link {link.name}: {status} {_error_in(text)}")


async def _wait_for_api(address: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            if (await request("GET", address, PROXY_PORT, "/version"))[0] == 200:
                return
        except (OSError, ValueError, IndexError):
            if time.monotonic() > deadline:
                raise BackendError(f"the fault proxy did not answer within {READY_WITHIN_S:g} s") from None
        await asyncio.sleep(POLL_S)


def _error_in(text: str) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, LookupError, TypeError):
        return text.strip()
