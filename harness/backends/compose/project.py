"""The compose file of one run: the user's own files, put together, with what keeps runs apart and links in reach.

Nothing of the user's is edited. Names that would collide are left out, networks get blocks of addresses of their own,
services fixed addresses in them, everything gets labels, and the consumer of a planned link gets the proxy's address
as its service's, so that names, ports and TLS stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.backends.compose.built_images import built_name
from harness.backends.compose.layout import Layout, ProxyBox, for_the_rest
from harness.description.composefields import replicas_of
from harness.description.composefile import filled_in, read_compose
from harness.model.backend import StackPlan
from harness.model.stack import StackDescription

Document = dict[str, Any]


def composed(description: StackDescription) -> tuple[Document, Path]:
    """Return the compose files as one, variables filled in, and the folder at which relative paths start."""
    paths = [Path(file) for file in description.files or (description.file,)]
    read = read_compose(paths)
    whole = filled_in(read.tree, read.tree.value, read.variables)
    services = {name: dict(whole["services"][name] or {}) for name in description.services}
    for body in services.values():
        for key in ("profiles", "x-harness"):
            body.pop(key, None)
        if isinstance(body.get("depends_on"), dict):
            body["depends_on"] = {
                name: how or {"condition": "service_started"}
                for name, how in body["depends_on"].items()
                if name in services
            }
    rest = {key: whole[key] for key in ("networks", "volumes", "secrets", "configs") if whole.get(key)}
    return {"services": services, **rest}, read.folder


def images_of(description: StackDescription, document: Document) -> dict[str, str]:
    """Return each service's image; one that is built and has no name gets one that all runs of the stack share."""
    found = {}
    for name, body in document["services"].items():
        found[name] = str(body.get("image") or built_name(description.name, name))
    return found


def has_address(body: Mapping[str, Any]) -> bool:
    """Return whether a service may have one fixed address: one container, on networks of its own."""
    return replicas_of(body) == 1 and not body.get("network_mode")


def networks_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the networks that a service is on."""
    return () if body.get("network_mode") else tuple(body.get("networks") or ("default",))


def own_networks(document: Document) -> tuple[list[str], dict[str, str]]:
    """Return the networks whose block may be chosen here, and those for which the stack itself has chosen one."""
    declared = document.get("networks") or {}
    used = dict.fromkeys(name for body in document["services"].values() for name in networks_of(body))
    own, foreign = [], {}
    for name in used:
        body = declared.get(name) or {}
        blocks = [str(one["subnet"]) for one in (body.get("ipam") or {}).get("config") or [] if one.get("subnet")]
        if blocks:
            foreign[name] = blocks[0]
        elif not body.get("external"):
            own.append(name)
    return own, foreign


class RunFile:
    """Writes the document of one run."""

    def __init__(
        self,
        document: Document,
        plan: StackPlan,
        layout: Layout,
        labels: Mapping[str, str],
        keep_ports: bool,
        loopback: bool,
    ) -> None:
        self._document = document
        self._plan = plan
        self._layout = layout
        self._labels = dict(labels)
        self._keep_ports = keep_ports
        self._bind = "127.0.0.1:" if loopback else ""
        self._images = images_of(plan.description, document)

    def document(self, proxy_service: Any) -> Document:
        """Return it. `proxy_service(box)` is the service of a proxy box, but for networks and ports."""
        services = {name: self._service(name, body) for name, body in self._document["services"].items()}
        for box in self._layout.boxes:
            services[box.name] = self._box(box, proxy_service(box))
        used = dict.fromkeys(name for body in services.values() for name in networks_of(body))
        declared = self._document.get("networks") or {}
        networks = {name: self._network(name, declared.get(name) or {}) for name in used}
        volumes = {name: self._volume(body or {}) for name, body in (self._document.get("volumes") or {}).items()}
        whole: Document = {"services": services, "networks": networks}
        whole |= {key: self._document[key] for key in ("secrets", "configs") if key in self._document}
        return whole | ({"volumes": volumes} if volumes else {})

    def _service(self, name: str, body: Mapping[str, Any]) -> Document:
        service = {key: value for key, value in body.items() if key not in ("container_name", "ports")}
        service["image"] = self._images[name]
        service["labels"] = {**(body.get("labels") or {}), **self._labels}
        settings = dict(body.get("environment") or {})
        if self._plan.start_at is not None:
            settings["START_AT"] = self._plan.start_at
        settings |= {key: text.replace("$", "$$") for key, text in self._plan.environment.get(name, {}).items()}
        if settings:
            service["environment"] = settings
        ports = list(body.get("ports") or []) if self._keep_ports else []
        ports += self._published(name)
        if ports:
            service["ports"] = ports
        hosts = self._hosts(name)
        if hosts:
            service["extra_hosts"] = {**(body.get("extra_hosts") or {}), **hosts}
        if networks_of(body):
            service["networks"] = self._places(name, body.get("networks") or {"default": None})
        return service

    def _places(self, name: str, networks: Mapping[str, Any]) -> Document:
        placed = {}
        for network, given in networks.items():
            address = self._layout.addresses.get((name, network))
            own = dict(given or {})
            placed[network] = {
                **own,
                **({"ipv4_address": address} if address and "ipv4_address" not in own else {}),
            } or None
        return placed

    def _hosts(self, consumer: str) -> dict[str, str]:
        """The names of the services that this one reaches by a proxy, with the proxy's address."""
        found = {}
        for box in self._layout.boxes:
            for link in box.links:
                if link.consumer != consumer:
                    continue
                shared = next(n for n in box.networks if n in networks_of(self._document["services"][consumer]))
                for name in self._names(link.service):
                    found[name] = self._layout.addresses[box.name, shared]
        return found

    def _names(self, service: str) -> list[str]:
        """Every name by which a service is known on its networks."""
        body = self._document["services"][service]
        networks = body.get("networks")
        inside = networks.values() if isinstance(networks, dict) else ()
        aliases = [alias for given in inside for alias in (given or {}).get("aliases") or []]
        own = [body[key] for key in ("container_name", "hostname") if body.get(key)]
        return list(dict.fromkeys([service, *map(str, own), *map(str, aliases)]))

    def _published(self, name: str) -> list[str]:
        ports = self._layout.published
        found = [f"{self._bind}{ports[name, port]}:{port}" for owner, port in ports if owner == name]
        # No two replicas can have one port of the host: the engine chooses one for each, and tells which.
        chosen = [port for owner, port in self._layout.chosen_by_engine if owner == name]
        return found + [f"{self._bind}:{port}" if self._bind else str(port) for port in chosen]

    def _box(self, box: ProxyBox, service: Document) -> Document:
        networks = {n: {"ipv4_address": self._layout.addresses[box.name, n]} for n in box.networks}
        ports = self._published(box.name)
        return {
            **service,
            "labels": {**(service.get("labels") or {}), **self._labels},
            "networks": networks,
            **({"ports": ports} if ports else {}),
        }

    def _network(self, name: str, declared: Mapping[str, Any]) -> Document:
        if declared.get("external"):
            return dict(declared)
        body = {key: value for key, value in declared.items() if key != "name"}
        block = self._layout.subnets.get(name)
        if block is not None:
            body["ipam"] = {"config": [{"subnet": block, "ip_range": for_the_rest(block)}]}
        return {**body, "labels": {**_mapping(body.get("labels")), **self._labels}}

    def _volume(self, declared: Mapping[str, Any]) -> Document:
        if declared.get("external"):
            return dict(declared)
        body = {key: value for key, value in declared.items() if key != "name"}
        return {**body, "labels": {**_mapping(body.get("labels")), **self._labels}}


def _mapping(labels: Any) -> dict[str, Any]:
    if isinstance(labels, list):
        return {key: value for key, _, value in (str(label).partition("=") for label in labels)}
    return dict(labels or {})
