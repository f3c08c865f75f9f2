"""What faults on containers share: which services a target means, sizes, and what they all do alike.

None of them changes data by rows, so none has a manifest. Their calls go to a container engine and may start things,
so they take longer than others. Some restart a container with one thing changed, as a stand-in: the original is stopped
and renamed, not removed, and comes back as it was, with its own layer. Each fault says what is changed, and what of it
the kernel or the engine must tell of the container that now runs.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, WithJsonSchema

from harness.model.containers import Containers, ContainerState, Replacement
from harness.model.errors import FaultError, did_you_mean
from harness.model.fault import Confirmation
from harness.model.faultstep import FaultStep
from harness.model.replicas import replica_of
from harness.model.wording import written
from harness.seams import Seams

CALL_LIMIT_S = 75.0
"""How long one call may take: a stop with its grace, or a helper container on a machine that is busy."""
ENGINE_S = 5.0
"""How long an engine may take for what it was asked, besides the grace of a stop."""
REPLACING_S = 3.0 + ENGINE_S
"""The same for a replacement, which begins with a stop."""
ONE_OR_MORE = ("service", "services", "node")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|kB|KB|KiB|MB|MiB|GB|GiB)\s*")
_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}
T = TypeVar("T")


def _size(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{written(value)} is no size; write a number with its unit, such as 64MiB or 1GB")
    return round(float(found[1]) * _UNITS[found[2]])


Size = Annotated[
    int, BeforeValidator(_size), WithJsonSchema({"type": "string", "pattern": _SIZE.pattern.replace(r"\s*", "")})
]
"""Bytes, written with a unit."""


def services_of(step: FaultStep, seams: Seams) -> tuple[str, ...]:
    """Return the services that a target means. Raises FaultError with the nearest valid name."""
    target = step.target
    if target.node is not None:
        if target.node not in seams.stack.nodes:
            raise FaultError(f"no node {target.node!r}", remedy=did_you_mean(target.node, seams.stack.nodes))
        return tuple(seams.stack.nodes[target.node])
    for name in target.service_names:
        seams.service(name)
    return target.service_names


class ContainerFault:
    """A fault on the containers of some services."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        self.services = services_of(step, seams)
        self.containers: Containers = seams.containers()
        # Replicas may have a volume in common: each has a tag of its own.
        numbers = [number for name in self.services if (number := replica_of(name)[1]) is not None]
        self.tag = "-".join(map(str, ("harness", step.id, *numbers)))

    async def each(self, call: Callable[[str], Awaitable[T]], services: Sequence[str] | None = None) -> dict[str, T]:
        """Make a call for every service at once; all are waited for before the first error is raised."""
        import asyncio  # here and not above: to list or check faults needs no event loop

        names = self.services if services is None else services
        found = await asyncio.gather(*(call(name) for name in names), return_exceptions=True)
        for outcome in found:
            if isinstance(outcome, BaseException):
                raise outcome
        return {name: value for name, value in zip(names, found, strict=True) if not isinstance(value, BaseException)}

    async def statuses(self, services: Sequence[str] | None = None) -> dict[str, str]:
        """Ask the engine what each container does."""
        return {name: state.status for name, state in (await self.each(self.containers.state, services)).items()}

    async def all_running(self) -> None:
        """Raise FaultError where one of them does not run."""
        for name, status in (await self.statuses()).items():
            if status != "running":
                message = f"the container of {name!r} is {status} and not running"
                raise FaultError(message, remedy="let the fault begin when it runs: see steady_state")

    def manifest(self) -> list[dict[str, Any]]:
        """Nothing here changes rows."""
        return []


class StandIn(ContainerFault):
    """One container, replaced by another that differs in one thing."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self.service = self.services[0]
        self._undo: dict[str, Any] | None = None
        self._change: Replacement | None = None

    async def change(self) -> Replacement:
        """Look at the container and return how the stand-in differs. Raises FaultError."""
        raise NotImplementedError

    async def effect(self, state: ContainerState, undo: dict[str, Any]) -> Confirmation:
        """Measure the change in the container that runs now."""
        raise NotImplementedError

    async def prepare(self) -> dict[str, Any]:
        """How to put the original back."""
        await self.all_running()
        self._change = await self.change()
        self._undo = await self.containers.plan_replacement(self.service, self._change)
        return self._undo

    async def inject(self) -> None:
        """Let the stand-in take its place."""
        assert self._change is not None
        assert self._undo is not None
        await self.containers.replace(self.service, self._change, self._undo)

    async def confirm(self) -> Confirmation:
        """Ask whether it runs, and with what was changed."""
        if self._undo is None or not await self.containers.replaced(self._undo):
            return Confirmation(False, {"why": "nothing stands in for it"})
        state = await self.containers.state(self.service)
        if not state.pid:
            # It may not be able to live with the change; whether it does is not ours to judge.
            return Confirmation(
                None, {"status": state.status, "exit_code": state.exit_code, "restarts": state.restarts}
            )
        return await self.effect(state, self._undo)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Put the original back."""
        self._undo = undo
        await self.containers.put_back(undo)

    async def absent(self) -> Confirmation:
        """The original is in its place and runs."""
        if self._undo is not None and await self.containers.replaced(self._undo):
            return Confirmation(True, {"why": "another stands in for it"})
        states = await self.statuses()
        return Confirmation(states[self.service] != "running", {"containers": states})
