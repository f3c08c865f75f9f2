"""A fault on containers of services that have several: one fault on each container, and all of them count as one.

It is confirmed where each of them is, and gone where each of them is. Which replicas there are, the engine is asked
before the fault goes in; the undo names each. Where every service has one container it is the plain fault, with the
plain fault's undo.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from harness.faults.container_targets import services_of
from harness.model.containers import ReplicaGoneError
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, Fault
from harness.model.faultstep import FaultStep, Target
from harness.model.replicas import chosen_replicas, replica_name, replica_of, replicas_named
from harness.seams import Seams

UNDO = "each_replica"
T = TypeVar("T")
_WITHOUT = {True: "it is still in", False: "it is not in", None: "it could not be measured"}
"""What is said of a container where the fault gives no reason."""


class EachReplica:
    """One fault, put into every container that its target means."""

    def __init__(self, step: FaultStep, seams: Seams, seed: int, make: Callable[[FaultStep, Seams], Fault]) -> None:
        """`make` gives the fault on the containers of a step whose target names each."""
        self._step = step
        self._seams = seams
        self._seed = seed
        self._make = make
        self.plain = make(step, seams)
        """The fault as it is where no service has several containers."""
        self._containers = seams.containers()
        self.parts: dict[str, Fault] = {}
        """Else the fault of each container, by the name of its replica."""

    async def prepare(self) -> dict[str, Any]:
        """Ask the engine for the replicas, and each fault for its undo."""
        names = await self._meant()
        self.parts = {}
        if all(replica_of(name)[1] is None for name in names):
            return await self.plain.prepare()
        self._take(names)
        undone = await self._all(lambda _, part: part.prepare())
        return {UNDO: dict(zip(self.parts, undone, strict=True))}

    def _take(self, names: Sequence[str]) -> None:
        targets = {name: Target.model_validate({"service": name}) for name in names}
        steps = {name: self._step.model_copy(update={"target": target}) for name, target in targets.items()}
        self.parts = {name: self._make(step, self._seams) for name, step in steps.items()}

    async def _meant(self) -> list[str]:
        """Return the names of the containers that the target means."""
        target = self._step.target
        found: list[str] = []
        for service in services_of(self._step, self._seams):
            numbers = await self._containers.replicas(service)
            if target.part is not None and len(numbers) == 1:
                message = f"the service {service!r} has one container, and `{target.part}` says which of several"
                raise FaultError(message, remedy=f"leave `{target.part}` out, or scale the service before the run")
            if target.replica is not None and target.replica not in numbers:
                message = f"the service {service!r} has no replica {target.replica}"
                raise FaultError(message, remedy=f"its replicas: {', '.join(map(str, numbers))}")
            if target.replica is not None:
                found.append(replica_name(service, target.replica))
            elif target.share is not None:
                chosen = chosen_replicas(target.share, numbers, self._seed, self._step.id, service)
                found += [replica_name(service, number) for number in chosen]
            else:
                found += replicas_named(service, numbers)
        return found

    async def inject(self) -> None:
        """Put it into all of them at once."""
        if not self.parts:
            await self.plain.inject()
        await self._all(lambda _, part: part.inject())

    async def confirm(self) -> Confirmation:
        """Demand it of every one, and that none has come that it was not put into."""
        missed = await self._not_hit()
        if missed:
            return Confirmation(False, {"why": f"started meanwhile, and not hit: {', '.join(missed)}"})
        if not self.parts:
            return await self.plain.confirm()
        return self._together(await self._all(lambda _, part: _where_it_is(part.confirm)), True)

    async def _not_hit(self) -> list[str]:
        """Return the replicas that a target which means them all was not put into."""
        if self._step.target.part is not None:
            return []
        hit = {replica_of(name) for name in self.parts}
        missed = []
        for service in services_of(self._step, self._seams):
            numbers = await self._containers.replicas(service)
            mine = [number for of, number in hit if of == service]
            # Where a service had one container when it was hit, that is the one with the lowest number.
            had_one = not mine or None in mine
            others = numbers[1:] if had_one else [number for number in numbers if number not in mine]
            missed += [replica_name(service, number) for number in others]
        return missed

    def _together(self, found: Sequence[Confirmation], wanted: bool) -> Confirmation:
        """Return one confirmation for all: `wanted` where each has it, None where one could not be measured."""
        evidence: dict[str, Any] = {"replicas": {n: c.evidence for n, c in zip(self.parts, found, strict=True)}}
        values = [one.landed for one in found]
        landed = (not wanted) if (not wanted) in values else None if None in values else wanted
        for name, one in zip(self.parts, found, strict=True):
            if one.landed is not wanted and "why" not in evidence:
                evidence["why"] = f"{name}: {one.evidence.get('why', _WITHOUT[one.landed])}"
        return Confirmation(landed, evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Take it out of each that is named in the undo. A replica that is not there any more has taken it along."""
        if UNDO not in undo:
            await self.plain.revert(undo)
            return
        if set(self.parts) != set(undo[UNDO]):
            self._take(list(undo[UNDO]))

        async def out(name: str, part: Fault) -> None:
            try:
                await part.revert(undo[UNDO][name])
            except ReplicaGoneError:
                return

        await self._all(out)

    async def absent(self) -> Confirmation:
        """Measure that it is gone from every one."""
        if not self.parts:
            return await self.plain.absent()
        return self._together(await self._all(lambda _, part: _where_it_is(part.absent)), False)

    async def _all(self, call: Callable[[str, Fault], Awaitable[T]]) -> list[T]:
        """Make a call for every container at once; all are waited for before the first error is raised."""
        import asyncio  # here and not above: to list or check faults needs no event loop

        calls = (call(name, part) for name, part in self.parts.items())
        found = await asyncio.gather(*calls, return_exceptions=True)
        for outcome in found:
            if isinstance(outcome, BaseException):
                raise outcome
        return [one for one in found if not isinstance(one, BaseException)]

    def manifest(self) -> list[dict[str, Any]]:
        """Nothing that acts on containers changes rows."""
        return []


async def _where_it_is(measure: Callable[[], Awaitable[Confirmation]]) -> Confirmation:
    """Measure at a replica; at one that is not there any more there is no fault."""
    try:
        return await measure()
    except ReplicaGoneError as error:
        return Confirmation(False, {"why": error.message})
