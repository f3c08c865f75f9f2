"""`node.loss`: every process of a node dies at once, and its links go silent instead of refusing.

A lost machine sends no farewell: connections to it stay open and answer nothing, and new ones are not refused. So the
links are black-holed first and the processes killed with SIGKILL in the same breath; restarts are held back until the
node is brought back. Confirmed by the kernel's word that the processes are gone and by links that accept and never
answer.
"""

from __future__ import annotations

from typing import Any

from harness.faults.links import Toxic, Toxics, round_trips
from harness.model.errors import FaultError
from harness.model.fault import FaultKind, Landing, NoParameters
from harness.model.nearest import did_you_mean
from harness.model.scenario import FaultStep
from harness.seams import Seams

SILENCE_S = 0.3


class NodeLoss:
    """All services of one node."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        node = str(step.target.node)
        nodes = seams.stack.nodes
        if node not in nodes:
            raise FaultError(f"no node {node!r}", remedy=did_you_mean(node, nodes))
        self._seams = seams
        self._services = nodes[node]
        touching = tuple(name for name in seams.backend.links if set(name.split(" -> ")) & set(self._services))
        toxics = tuple(
            Toxic(f"harness-{step.id}-{way}", "timeout", way, {"timeout": 0}) for way in ("upstream", "downstream")
        )
        self._toxics = Toxics(seams, touching, toxics)

    async def prepare(self) -> dict[str, Any]:
        """Which services to bring back."""
        return {"services": list(self._services), "links": [link.name for link in self._toxics.links]}

    async def inject(self) -> None:
        """Silence the links, then kill everything on the node at once."""
        await self._toxics.on()
        await self._seams.backend.kill(self._services, suppress_restart=True)

    async def confirm(self) -> Landing:
        """Ask the kernel for the processes, and the links to the node for a word."""
        states = dict(await self._seams.backend.process_states(self._services))
        to_node = [link for link in self._toxics.links if link.name.partition(" -> ")[2] in self._services]
        answers = await round_trips(to_node, self._seams, SILENCE_S)
        spoke = [name for name, time_s in answers.items() if time_s is not None]
        gone = all(state == "absent" for state in states.values())
        # A link that is not silenced says nothing either while its service is gone: it refuses.
        missing = await self._toxics.missing()
        evidence = {"processes": states, "silent_links": sorted(answers), "spoke": spoke, "toxics_missing": missing}
        return Landing(gone and not spoke and not missing, evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Let the links speak and start what was on the node."""
        try:
            await self._toxics.off()
        finally:
            await self._seams.backend.restore(undo.get("services", self._services))

    async def absent(self) -> Landing:
        """Every process runs again and no link is silenced."""
        states = dict(await self._seams.backend.process_states(self._services))
        left = await self._toxics.still_on()
        missing = [service for service, state in states.items() if state in ("absent", "Z")]
        return Landing(bool(missing or left), {"processes": states, "toxics_left": left})

    def manifest(self) -> list[dict[str, Any]]:
        """A lost node changes no data."""
        return []


def _make(step: FaultStep, seams: Seams, seed: int) -> NodeLoss:
    return NodeLoss(step, seams)


KIND = FaultKind(
    kind="node.loss",
    summary="every process of a node dies at once and its links go silent",
    targets=("node",),
    parameters=NoParameters,
    make=_make,
)
