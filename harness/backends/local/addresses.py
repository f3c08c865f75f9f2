"""Who lives where in a stack's address block, and how `service:port` in its configuration is rewritten.

The i-th service has the address .(10+i), the k-th planned link .(110+k), the fault proxy .2. Ports stay as they are, so
that two services may share a port number and a link can stand in for its service by its address alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from harness.model.errors import BackendError
from harness.model.nearest import did_you_mean
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
