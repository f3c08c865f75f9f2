"""The layout of one run: its compose project, subnets, fixed addresses, the proxies of its links and published ports.

Decided before anything starts, so that a consumer starts with the addresses of its links, and a container that
is started again is where it was. Addresses are taken from 10.200.0.0/13, from blocks that no network there uses. From
here they are reached directly where the engine's networks are this machine's; else by the published ports.
"""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from harness.backends.compose.engine import Engine
from harness.backends.compose.snapshots import ContainerSnapshot
from harness.model.errors import BackendError, did_you_mean
from harness.model.fields import Link
from harness.model.stack import StackDescription, reference_pattern

POOL = ipaddress.ip_network("10.200.0.0/13")
BLOCK_BITS = 23
FIRST_SERVICE, FIRST_PROXY = 10, 200
MOST_SERVICES, MOST_PROXIES = FIRST_PROXY - FIRST_SERVICE, 50
API_PORT = 18474
FIRST_HOST_PORT, LAST_HOST_PORT = 20000, 31999


@dataclass(frozen=True)
class ProxyBox:
    """One container with a fault proxy: the links that run through it, no two on the same port."""

    name: str
    links: Mapping[Link, tuple[int, ...]]
    """Each link with the ports over which it may run, the main port of its service first."""
    networks: tuple[str, ...]
    """Networks that it is on: for each link one that its consumer and its service share."""


@dataclass(frozen=True)
class Layout:
    """One run's places."""

    project: str
    subnets: Mapping[str, str]
    """Each network of the run with its block, for those that are the run's own."""
    addresses: Mapping[tuple[str, str], str]
    """The fixed address of each (service or proxy box, network)."""
    boxes: tuple[ProxyBox, ...] = ()
    published: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """Port on the engine's host for each (service or proxy box, port), where containers are not reached directly."""
    chosen_by_engine: tuple[tuple[str, int], ...] = ()
    """Each (service with several replicas, port) that the engine publishes at a port of its own choice."""
    not_running: Mapping[str, str] = field(default_factory=dict)
    """What each container without an address is instead of running, where others started the stack."""
    replicated: Mapping[str, int] = field(default_factory=dict)
    """Each service that has several replicas, with their number: none of them has an address that stays its own."""

    def box_of(self, link: Link) -> ProxyBox | None:
        """Return the box that a link runs through."""
        return next((box for box in self.boxes if link in box.links), None)


def project_name(stack: str, chance: random.Random) -> str:
    """Return a name for a compose project that no other run has."""
    plain = re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-") or "stack"
    return f"mlch-{plain[:30]}-{chance.getrandbits(40):010x}"


def boxes_for(description: StackDescription, links: Sequence[Link]) -> tuple[ProxyBox, ...]:
    """Put the links into as few boxes as their ports allow. Raises BackendError for a link that cannot be proxied."""
    boxes: list[tuple[dict[Link, tuple[int, ...]], set[int], set[str]]] = []
    for link in links:
        service, consumer = description.services[link.service], description.services[link.consumer]
        shared = [name for name in service.networks if name in consumer.networks]
        if not shared:
            remedy = "put both on one network of the compose file; network_mode host has no links"
            raise BackendError(f"the link {link.name!r}: the services share no network", remedy=remedy)
        ports = description.ports_of(link)
        if not ports:
            remedy = f"add x-harness.port to {link.service!r}"
            raise BackendError(f"the link {link.name!r}: no port of {link.service!r} is known", remedy=remedy)
        if API_PORT in ports:
            raise BackendError(f"the link {link.name!r}: port {API_PORT} is that of the fault proxy's own API")
        box = next((one for one in boxes if not one[1] & set(ports)), None)
        if box is None:
            box = ({}, set(), set())
            boxes.append(box)
        box[0][link] = ports
        box[1].update(ports)
        box[2].add(shared[0])
    if len(boxes) > MOST_PROXIES:
        raise BackendError(f"{len(links)} links need {len(boxes)} proxies, and {MOST_PROXIES} is the most")
    return tuple(
        ProxyBox(f"harness-proxy-{k}", inside, tuple(sorted(networks)))
        for k, (inside, _, networks) in enumerate(boxes, start=1)
    )


def free_blocks(count: int, taken: Sequence[str], chance: random.Random) -> list[str]:
    """Choose so many blocks that overlap with none that is taken. Raises BackendError where there is no room."""
    used = [ipaddress.ip_network(text, strict=False) for text in taken if ":" not in text]
    free = [block for block in POOL.subnets(new_prefix=BLOCK_BITS) if not any(block.overlaps(u) for u in used)]
    if len(free) < count:
        raise BackendError(
            f"no {count} free address blocks in {POOL}",
            remedy="`harness down PROJECT` removes the networks of a killed run; `docker network ls` names them",
        )
    return [str(block) for block in chance.sample(free, count)]


def fixed_addresses(
    description: StackDescription,
    pinned: Mapping[str, Sequence[str]],
    boxes: Sequence[ProxyBox],
    own: Mapping[str, str],
    foreign: Mapping[str, str],
) -> dict[tuple[str, str], str]:
    """Give every service and box an address on each of its networks.

    `pinned`: the networks of each service that may have a fixed address. `own`: the blocks that were chosen here, which
    are known to be free; in a `foreign` one, which the stack itself chose, only boxes are placed, from its end.
    """
    found = {}
    for name, networks in pinned.items():
        for network in networks:
            if network in own:
                found[name, network] = _at(own[network], FIRST_SERVICE + description.services[name].index)
    for k, box in enumerate(boxes):
        for network in box.networks:
            if network in own:
                found[box.name, network] = _at(own[network], FIRST_PROXY + k)
            elif network in foreign:
                found[box.name, network] = _at(foreign[network], -3 - k)
    return found


def _at(block: str, place: int) -> str:
    return str(ipaddress.ip_network(block, strict=False)[place])


def for_the_rest(block: str) -> str:
    """Return the half of a block from which the engine itself may give addresses."""
    return str(list(ipaddress.ip_network(block).subnets())[1])


def host_ports(wanted: Sequence[tuple[str, int]], chance: random.Random) -> dict[tuple[str, int], int]:
    """Choose a port on the engine's host for each (container, port)."""
    chosen = chance.sample(range(FIRST_HOST_PORT, LAST_HOST_PORT + 1), len(wanted))
    return dict(zip(wanted, chosen, strict=True))


class ComposeAddresses:
    """The places of one run."""

    def __init__(self, description: StackDescription, layout: Layout, engine: Engine) -> None:
        self.layout = layout
        self._description = description
        self._direct = engine.reached_directly
        self._engine_host = engine.host
        self._pattern = reference_pattern(description.services)

    def known(self, name: str) -> bool:
        """Return whether a service or box can be reached at all."""
        if name in self.layout.replicated:
            return False
        return not self._direct or any(owner == name for owner, _ in self.layout.addresses)

    def host(self, name: str) -> str:
        """Return the address of a service or box. Raises BackendError for one without."""
        self._expect_one(name)
        if not self._direct:
            return self._engine_host
        for (owner, _), address in self.layout.addresses.items():
            if owner == name:
                return address
        state = self.layout.not_running.get(name)
        if state is not None:
            remedy = f"see its log: `docker compose logs {name}`"
            raise BackendError(f"{name!r} has no address while its container is {state}", remedy=remedy)
        remedy = "put it on networks of the compose file, or reach it by a published port"
        raise BackendError(f"{name!r} has no fixed address", remedy=remedy)

    def api_address(self, box: ProxyBox) -> str | None:
        """Return the one address at which a box's API is reached; None where it is by a published port, or unknown."""
        return self.host(box.name) if self._direct and self.known(box.name) else None

    def place(self, name: str, port: int) -> str:
        """Return `host:port` of a port inside a service or box."""
        self._expect_one(name)
        if self._direct:
            return f"{self.host(name)}:{port}"
        if (name, port) not in self.layout.published:
            raise BackendError(
                f"port {port} of {name!r} is not published", remedy=f"add it to x-harness.ports of {name!r}"
            )
        return f"{self._engine_host}:{self.layout.published[name, port]}"

    def _expect_one(self, name: str) -> None:
        """Raise BackendError for a service of which several replicas could be meant."""
        replicas = self.layout.replicated.get(name)
        if replicas is not None:
            message = f"{name!r} has {replicas} replicas, each at an address of its own"
            remedy = "an `http` or `container` probe asks each of them, or one with `replica`; others ask what balances"
            raise BackendError(message, remedy=remedy)

    def health_place(self, seen: ContainerSnapshot) -> tuple[str, int] | None:
        """Return where the port of a container is at which its health is asked, None where it has none."""
        port = self._description.services[seen.service].port
        if port is None:
            return None
        if seen.service in self.layout.replicated:
            found = self.place_of(seen, port)
            if found is None:
                return None
        else:
            found = self.place(seen.service, port)
        host, _, number = found.rpartition(":")
        return host, int(number)

    def place_of(self, seen: ContainerSnapshot, port: int) -> str | None:
        """Return `host:port` of a port of a container as the engine has it now; None where it has no address now."""
        if seen.state != "running":
            return None
        if self._direct:
            address = next(iter(seen.addresses.values()), None)
            return f"{address}:{port}" if address is not None else None
        return f"{self._engine_host}:{seen.ports[port]}" if port in seen.ports else None

    def rewrite(self, text: str, consumer: str | None = None) -> str:
        """Put places for `service:port`: the service's own, or for a consumer its planned link's."""
        return self._pattern.sub(lambda match: self._seen(match[1], int(match[2]), consumer), text)

    def _seen(self, service: str, port: int, consumer: str | None) -> str:
        if consumer is not None:
            link = Link(consumer, service)
            box = self.layout.box_of(link)
            if box is not None and port in box.links[link]:
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
