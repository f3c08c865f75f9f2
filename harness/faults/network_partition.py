"""`network.partition`: packets between two groups of services are lost, both ways or one way.

They are dropped where they arrive, in the receiving container's network, so that the sender gets no refusal and no
error. `way: to` drops what the target sends to the others, `way: from` what they send to it. TCP needs both ways, so
no new connection is made either way round. Links between the two that run through a fault proxy are silenced in the
same direction. A container that is restarted has no rules any more, and the fault counts as gone.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.faults.container_targets import CALL_LIMIT_S, ONE_OR_MORE, ContainerFault
from harness.faults.link_traffic import LinkTraffic
from harness.faults.links import Toxics
from harness.model.errors import FaultError
from harness.model.fault import NO_TRAFFIC, Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen, Link
from harness.seams import Seams
from harness.seams.toxiproxy import ToxicSpec

PACKETS = 3
"""How many packets are sent to each address to see them dropped."""


class Parameters(Frozen):
    """From whom, and which way."""

    apart_from: tuple[str, ...] = Field(min_length=1, description="the services on the other side")
    way: Literal["both", "to", "from"] = Field("both", description="lost on the way to the others, from them, or both")


class NetworkPartition(ContainerFault):
    """Two groups of services that do not hear one another."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        parameters = Parameters.model_validate(step.parameters)
        self._others = tuple(seams.service(name).name for name in parameters.apart_from)
        both = set(self.services) & set(self._others)
        if both:
            raise FaultError(f"{min(both)!r} is on both sides of the partition", remedy="name it once")
        self._senders: dict[str, set[str]] = {}
        if parameters.way in ("both", "to"):
            self._senders |= {name: set(self.services) for name in self._others}
        if parameters.way in ("both", "from"):
            self._senders |= {name: set(self._others) for name in self.services}
        self._silenced = self._toxics(seams)
        self._traffic = LinkTraffic([link for toxics in self._silenced for link in toxics.links])
        self._probed: dict[str, int] = {}
        """How many of the dropped packets may be the harness's own, by the link that they took."""

    def _toxics(self, seams: Seams) -> list[Toxics]:
        """Return the silences for planned links: data towards the service, and answers, as each way is cut."""
        made = []
        for link in seams.backend.links:
            ends = Link.parse(link)
            ways = [("upstream", ends.consumer, ends.service), ("downstream", ends.service, ends.consumer)]
            toxics = tuple(
                ToxicSpec(f"{self.tag}-{stream}", "timeout", stream, {"timeout": 0})
                for stream, sender, receiver in ways
                if sender in self._senders.get(receiver, ())
            )
            if toxics:
                made.append(Toxics(seams, (link,), toxics))
        return made

    @property
    def _all(self) -> list[str]:
        return [*self.services, *self._others]

    async def _addresses(self) -> dict[str, dict[str, list[str]]]:
        """Return each service's addresses by network."""
        reply = await self.each(self.containers.networks, self._all)
        return {name: {net: found["addresses"] for net, found in nets.items()} for name, nets in reply.items()}

    async def prepare(self) -> dict[str, Any]:
        """See that there is a way between them at all, and that it can be cut here."""
        for name, numbers in (await self.each(self.containers.replicas, self._all)).items():
            if len(numbers) > 1:
                message = f"the service {name!r} has {len(numbers)} replicas, and a partition acts on one container"
                raise FaultError(message, remedy="name a service with one container")
        for name, status in (await self.statuses(self._all)).items():
            if status != "running":
                raise FaultError(f"the container of {name!r} is {status} and not running")
        addresses = await self._addresses()
        for receiver, senders in self._senders.items():
            for sender in senders:
                if not set(addresses[receiver]) & set(addresses[sender]):
                    message = f"{sender!r} and {receiver!r} share no network, so nothing can be cut between them"
                    raise FaultError(message, remedy="name services that talk to one another")
        await self.each(lambda name: self.containers.ask(name, "blocked", tag=self.tag), list(self._senders))
        for toxics in self._silenced:
            await toxics.ready()
        await self._traffic.begin()  # so that a proxy that does not count is found before anything is put in
        return {"services": list(self._senders), "tag": self.tag}

    async def inject(self) -> None:
        """Drop what arrives from the other side."""
        addresses = await self._addresses()

        async def block(receiver: str) -> None:
            sources = [a for s in sorted(self._senders[receiver]) for nets in addresses[s].values() for a in nets]
            await self.containers.ask(receiver, "block", sources=sources, tag=self.tag)

        for toxics in self._silenced:
            await toxics.on()
        await self.each(block, list(self._senders))
        await self._traffic.begin()

    async def confirm(self) -> Confirmation:
        """Send packets from the other side, and read from the kernel what it dropped: of these, and of the stack's."""
        addresses = await self._addresses()
        receivers = list(self._senders)
        before = await self._dropped(receivers)
        probes: dict[str, list[str]] = {}
        sent_by_us: dict[str, int] = {}
        for receiver, senders in self._senders.items():
            for sender in senders:
                shared = set(addresses[receiver]) & set(addresses[sender])
                reached = [a for net in sorted(shared) for a in addresses[receiver][net]]
                probes.setdefault(sender, []).extend(reached)
                sent_by_us[Link(sender, receiver).name] = PACKETS * len(reached)
        await self.each(
            lambda name: self.containers.ask(name, "probe_port", addresses=probes[name], packets=PACKETS), list(probes)
        )
        after = await self._dropped(receivers)
        grown: dict[str, int] = {}
        stack: dict[str, int] = {}
        for receiver, senders in self._senders.items():
            for sender in senders:
                own = [a for nets in addresses[sender].values() for a in nets]
                name = Link(sender, receiver).name
                grown[name] = sum(after[receiver].get(a, 0) - before[receiver].get(a, 0) for a in own)
                # What was dropped meanwhile beyond what was sent here is the stack's.
                self._probed[name] = self._probed.get(name, 0) + min(grown[name], sent_by_us[name])
                stack[name] = max(0, sum(after[receiver].get(a, 0) for a in own) - self._probed[name])
        missing = [one for toxics in self._silenced for one in await toxics.missing()]
        sent = await self._traffic.sent()
        evidence = {"dropped_of_3_packets": grown, "dropped_of_the_stack": stack, "consumer_bytes": sent}
        if missing or not all(grown.values()):
            return Confirmation(False, evidence | {"toxics_missing": missing})
        if not any(stack.values()) and not any(sent.values()):
            return Confirmation(False, evidence | {"why": f"{NO_TRAFFIC} {' or '.join(map(repr, self._all))} met it"})
        return Confirmation(True, evidence)

    async def _dropped(self, services: list[str]) -> dict[str, dict[str, int]]:
        reply = await self.each(lambda name: self.containers.ask(name, "blocked", tag=self.tag), services)
        return {name: found["packets"] for name, found in reply.items()}

    async def revert(self, undo: dict[str, Any]) -> None:
        """Take the rules away. A container that restarted has none any more."""
        import asyncio  # here and not above: to list or check faults needs no event loop

        offs = await asyncio.gather(*(toxics.off() for toxics in self._silenced), return_exceptions=True)
        states = await self.each(self.containers.state, undo["services"])
        running = [name for name, state in states.items() if state.pid]
        await self.each(lambda name: self.containers.ask(name, "unblock", tag=undo["tag"]), running)
        for outcome in offs:
            if isinstance(outcome, BaseException):
                raise outcome

    async def absent(self) -> Confirmation:
        """No rule of ours is there."""
        states = await self.each(self.containers.state, list(self._senders))
        left = await self._dropped([name for name, state in states.items() if state.pid])
        toxics = [one for each in self._silenced for one in await each.still_on()]
        return Confirmation(any(left.values()) or bool(toxics), {"rules_left": left, "toxics_left": toxics})


def _make(step: FaultStep, seams: Seams, seed: int) -> NetworkPartition:
    return NetworkPartition(step, seams)


KIND = FaultKind(
    kind="network.partition",
    summary="packets between two groups of services are lost, both ways or one way",
    targets=ONE_OR_MORE,
    parameters=Parameters,
    confirmed_by="the kernel drops packets that are sent from the other side, and traffic of the stack itself met it",
    restored="the rules and the toxics are removed",
    certifies="time-outs, leases and leadership while packets are lost without an error",
    not_certified="slow or lossy networks, and connections that are refused or reset",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
)
