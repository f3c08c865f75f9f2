"""`node.loss`: every process of a node is killed at once, and its links fall silent instead of refusing.

A lost machine closes nothing: connections to it stay open without an answer, and new ones are not refused. So the
links are silenced first and the processes killed with SIGKILL right after; restarts are held back until revert. Where
the stack runs in containers, the node's disks may go with it (`volumes: lost`): its volumes are emptied while it is
down. That cannot be undone, so it is done only to volumes that the harness made for this run and that no other node
uses.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.faults.links import Toxics, exchanges
from harness.model.errors import FaultError, did_you_mean
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen, Link
from harness.seams import Seams
from harness.seams.toxiproxy import ToxicSpec

SILENCE_S = 0.3
CALL_LIMIT_S = 60.0
"""Containers, and the emptying of volumes, take their time."""


class Parameters(Frozen):
    """What is lost with it."""

    volumes: Literal["kept", "lost"] = Field("kept", description="`lost`: emptied; for stacks in containers")


class NodeLoss:
    """All services of one node."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        node = str(step.target.node)
        nodes = seams.stack.nodes
        if node not in nodes:
            raise FaultError(f"no node {node!r}", remedy=did_you_mean(node, nodes))
        self._seams = seams
        self._services = nodes[node]
        planned = [Link.parse(name) for name in seams.backend.links]
        touching = tuple(k.name for k in planned if {k.consumer, k.service} & set(self._services))
        toxics = tuple(
            ToxicSpec(f"harness-{step.id}-{way}", "timeout", way, {"timeout": 0}) for way in ("upstream", "downstream")
        )
        self._toxics = Toxics(seams, touching, toxics)
        self._lossy = Parameters.model_validate(step.parameters).volumes == "lost"
        self._volumes: tuple[str, ...] = ()

    async def prepare(self) -> dict[str, Any]:
        """Which services to bring back."""
        if self._lossy:
            self._volumes = await self._own_volumes()
        await self._toxics.ready()
        return {"services": list(self._services), "links": [link.name for link in self._toxics.links]}

    async def _own_volumes(self) -> tuple[str, ...]:
        """Return the node's volumes. Raises FaultError for one that others use, or that is not of this run."""
        containers = self._seams.containers()
        found = tuple(await containers.owned_volumes(self._services))
        for other in set(self._seams.stack.services) - set(self._services):
            shared = {mount.source for mount in await containers.mounts(other)} & set(found)
            if shared:
                message = f"the volume {min(shared)!r} is used by {other!r} too, which is not on the node"
                raise FaultError(message, remedy="let the node keep its volumes: with.volumes: kept")
        for volume in found:
            await containers.volume_entries(volume)  # what it takes to look into them is there
        return found

    async def inject(self) -> None:
        """Silence the links, then kill everything on the node at once."""
        await self._toxics.on()
        await self._seams.backend.kill(self._services, suppress_restart=True)
        for volume in self._volumes:
            await self._seams.containers().empty_volume(volume)

    async def confirm(self) -> Confirmation:
        """Ask the kernel for the processes, and the links to the node for an answer."""
        states = dict(await self._seams.backend.process_states(self._services))
        to_node = [link for link in self._toxics.links if link.link.service in self._services]
        outcomes = {name: e.outcome for name, e in (await exchanges(to_node, self._seams, SILENCE_S)).items()}
        silent = all(outcome == "silent" for outcome in outcomes.values())
        gone = all(state == "absent" for state in states.values())
        missing = await self._toxics.missing()
        evidence = {"processes": states, "links_to_node": outcomes, "toxics_missing": missing}
        if self._volumes:
            containers = self._seams.containers()
            entries = {volume: await containers.volume_entries(volume) for volume in self._volumes}
            gone = gone and not any(entries.values())
            evidence["volume_entries"] = entries
        return Confirmation(gone and silent and not missing, evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Let the links speak and start what was on the node."""
        try:
            await self._toxics.off()
        finally:
            await self._seams.backend.restore(undo.get("services", self._services))

    async def absent(self) -> Confirmation:
        """Every process runs again and no link is silenced."""
        states = dict(await self._seams.backend.process_states(self._services))
        left = await self._toxics.still_on()
        missing = [service for service, state in states.items() if state in ("absent", "Z")]
        return Confirmation(bool(missing or left), {"processes": states, "toxics_left": left})

    def manifest(self) -> list[dict[str, Any]]:
        """A lost node changes no data."""
        return []


def _make(step: FaultStep, seams: Seams, seed: int) -> NodeLoss:
    return NodeLoss(step, seams)


KIND = FaultKind(
    kind="node.loss",
    summary="every process of a node is killed and its links fall silent",
    targets=("node",),
    parameters=Parameters,
    confirmed_by=(
        "every process of the node is absent, each link to it accepts connections and stays silent, and lost "
        "volumes are empty"
    ),
    restored="the toxics are removed and the services started; emptied volumes stay empty, as on a new machine",
    certifies="failover, leases and recovery when a machine disappears without closing its connections",
    not_certified="processes that live on beyond a cut network (`network.partition`), and machines that are only slow",
    make=_make,
    restarts=True,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
)
