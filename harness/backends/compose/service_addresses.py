"""Where a running stack's services and links can be connected to from here.

Directly, by their fixed addresses, where the engine's networks are this machine's; else by the published ports.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from harness.backends.compose.engine import Engine
from harness.backends.compose.layout import Layout
from harness.model.errors import BackendError, did_you_mean
from harness.model.stack import Link, StackDescription, reference_pattern


class ServiceAddresses:
    """The places of one run."""

    def __init__(self, description: StackDescription, layout: Layout, engine: Engine) -> None:
        self.layout = layout
        self._description = description
        self._direct = engine.reached_directly
        self._engine_host = engine.host
        self._pattern = reference_pattern(description.services)

    def known(self, name: str) -> bool:
        """Tell whether a service or box can be reached at all."""
        return not self._direct or any(owner == name for owner, _ in self.layout.addresses)

    def host(self, name: str) -> str:
        """Return the address of a service or box. Raises BackendError for one without."""
        if not self._direct:
            return self._engine_host
        for (owner, _), address in self.layout.addresses.items():
            if owner == name:
                return address
        remedy = "scale it to one, on networks of the compose file, or reach it by a published port"
        raise BackendError(f"{name!r} has no fixed address", remedy=remedy)

    def place(self, name: str, port: int) -> str:
        """Return `host:port` of a port inside a service or box."""
        if self._direct:
            return f"{self.host(name)}:{port}"
        if (name, port) not in self.layout.published:
            raise BackendError(
                f"port {port} of {name!r} is not published", remedy=f"add it to x-harness.ports of {name!r}"
            )
        return f"{self._engine_host}:{self.layout.published[name, port]}"

    def health_place(self, name: str) -> tuple[str, int] | None:
        """Return where a service's own port is, None where it has none."""
        port = self._description.services[name].port
        if port is None:
            return None
        host, _, number = self.place(name, port).rpartition(":")
        return host, int(number)

    def rewrite(self, text: str, consumer: str | None = None) -> str:
        """Put places for `service:port`: the service's own, or for a consumer its planned link's."""
        return self._pattern.sub(lambda match: self._seen(match[1], int(match[2]), consumer), text)

    def _seen(self, service: str, port: int, consumer: str | None) -> str:
        if consumer is not None and port in self._description.services[service].ports:
            box = self.layout.box_of(Link(consumer, service))
            if box is not None:
                return self.place(box.name, port)
        return self.place(service, port)

    def resolve(self, url: str, consumer: str | None) -> str:
        """Return the reachable form of a URL or of `host:port` of a service. Raises BackendError."""
        host = urlsplit(url if "://" in url else f"//{url}").hostname or ""
        known = {name.lower(): name for name in self._description.services}
        if host not in known:
            raise BackendError(f"{url!r}: unknown service {host!r}", remedy=did_you_mean(host, known.values()))
        resolved = self.rewrite(url, consumer)
        if resolved == url:
            raise BackendError(f"{url!r} has no port", remedy=f"write {known[host]}:<port>")
        return resolved
