"""`network.disconnect`: a container is disconnected from its networks, or from some of them.

Its interfaces are removed, so that connections break at once and names are not found. Ports published through the
network are unreachable meanwhile. A port or an address that the engine chose may be another one afterwards, as after
every restart; one that the compose file fixes is the same.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.faults.container_targets import CALL_LIMIT_S, ONE_OR_MORE, ContainerFault
from harness.faults.each_replica import EachReplica
from harness.model.errors import FaultError, did_you_mean
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.seams import Seams

SHARED = ("host", "none")


class Parameters(Frozen):
    """Off which networks."""

    networks: tuple[str, ...] = Field((), description="as in the compose file; by default all of the container's")


class NetworkDisconnect(ContainerFault):
    """Containers without some of their networks."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._wanted = Parameters.model_validate(step.parameters).networks
        self._off: dict[str, dict[str, Any]] = {}

    async def prepare(self) -> dict[str, Any]:
        """How each is connected, to connect it so again."""
        await self.all_running()
        self._off = {}
        for name, networks in (await self.each(self.containers.networks)).items():
            if not networks or set(networks) & set(SHARED):
                message = f"the container of {name!r} has no network of its own to be taken off"
                raise FaultError(message, remedy="its network_mode must be none of host, none and service:…")
            self._off[name] = {net: networks[net]["endpoint"] for net in self._chosen(name, networks)}
        return {"networks": self._off}

    def _chosen(self, service: str, networks: dict[str, dict[str, Any]]) -> list[str]:
        """Return the engine's names for the networks that are meant: compose puts the project's name before its own."""
        if not self._wanted:
            return list(networks)
        chosen = []
        for wanted in self._wanted:
            found = [net for net in networks if net == wanted or net.endswith(f"_{wanted}")]
            if not found:
                message = f"the container of {service!r} is not on the network {wanted!r}"
                raise FaultError(message, remedy=did_you_mean(wanted, networks))
            chosen += found
        return chosen

    async def inject(self) -> None:
        """Take them off, all containers at once."""

        async def off(name: str) -> None:
            for network in self._off[name]:
                await self.containers.disconnect(name, network)

        await self.each(off)

    async def confirm(self) -> Confirmation:
        """Ask the engine for the networks and the kernel for the interfaces."""
        evidence: dict[str, Any] = {}
        hit = []
        for name in self.services:
            networks = await self.containers.networks(name)
            state = await self.containers.state(name)
            if not state.pid:
                return Confirmation(None, {name: state.status, "why": "it does not run"})
            there = (await self.containers.ask(name, "interfaces"))["interfaces"]
            evidence[name] = {"networks": sorted(networks), "interfaces": there}
            hit.append(not set(networks) & set(self._off.get(name, ())) and len(there) == len(networks))
        return Confirmation(all(hit) and bool(self._off), evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Connect each as it was, with its names and fixed addresses."""
        self._off = undo["networks"]
        for name, networks in undo["networks"].items():
            for network, endpoint in networks.items():
                await self.containers.connect(name, network, endpoint)

    async def absent(self) -> Confirmation:
        """Every network is there again, by the engine."""
        left = {}
        for name in self.services:
            networks = await self.containers.networks(name)
            left[name] = sorted(set(self._off.get(name, ())) - set(networks))
        return Confirmation(any(left.values()), {"networks_missing": left})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, NetworkDisconnect)


KIND = FaultKind(
    kind="network.disconnect",
    summary="a container is disconnected from its networks",
    targets=ONE_OR_MORE,
    parameters=Parameters,
    confirmed_by="the engine lists no such network for the container, and the kernel has no interface for it",
    restored="each container is connected with the same names and fixed addresses",
    certifies="connections that break at once, and names that are not found",
    not_certified="silent loss (`network.partition`)",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
    each_replica=True,
)
