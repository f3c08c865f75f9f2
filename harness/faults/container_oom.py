"""`container.oom`: a container's memory is filled up to its limit until the kernel kills one of its processes.

A process of the harness joins the container's control group and allocates memory; the kernel is set to prefer the
container's own processes, and kills the largest of them. Without a memory limit in the compose file, give `limit`; it
is set in the kernel and lasts until revert or until the container is restarted. With control groups of version 1 the
kernel refuses a limit below what is in use. A limit that the machine could not fill without harm is refused.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.faults.container_targets import CALL_LIMIT_S, ContainerFault, Size
from harness.faults.each_replica import EachReplica
from harness.model.containers import ContainerState
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.seams import Seams

WITHIN_S = 10.0


class Parameters(Frozen):
    """Inside which limit."""

    limit: Size | None = Field(None, description="a limit for as long as it takes; by default the container's own")


class ContainerOom(ContainerFault):
    """A container that runs out of memory."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._service = self.services[0]
        self._limit = Parameters.model_validate(step.parameters).limit
        self._before: tuple[ContainerState, int, int] | None = None

    async def prepare(self) -> dict[str, Any]:
        """What its limit was."""
        await self.all_running()
        reply = await self.containers.ask(self._service, "memory")
        if self._limit is None and reply["limit"] < 0:
            message = f"the container of {self._service!r} has no memory limit that could be reached"
            raise FaultError(message, remedy="give `mem_limit` in its compose file, or with.limit")
        return {"service": self._service, "limit": reply["limit"]}

    async def inject(self) -> None:
        """Fill its memory until the kernel kills."""
        own = await self.containers.ask(self._service, "memory")
        state = await self.containers.state(self._service)
        kills = (await self.containers.ask(self._service, "oom_log"))["kills"]
        if self._limit is not None:
            reply = await self.containers.ask(self._service, "limit_memory", limit=self._limit)
            if "refused" in reply:
                message = (
                    f"the kernel refuses a limit of {self._limit} bytes ({reply['refused']}): {own['used']} are used"
                )
                raise FaultError(message, remedy="give a limit above what is used")
        self._before = (state, own["kills"], kills)
        await self.containers.ask(self._service, "fill_memory", within_s=WITHIN_S)

    async def confirm(self) -> Confirmation:
        """Ask the engine and the kernel for the kill."""
        if self._before is None:
            return Confirmation(False, {"why": "not injected"})
        state, kills, logged = self._before
        now = await self.containers.state(self._service)
        log = await self.containers.ask(self._service, "oom_log")
        evidence: dict[str, Any] = {
            "status": now.status,
            "oom_killed": now.oom_killed,
            "exit_code": now.exit_code,
            "kernel_log": log["last"] if log["kills"] > logged else None,
        }
        hit = log["kills"] > logged or (now.oom_killed and now.finished_at != state.finished_at)
        if now.started_at == state.started_at and now.pid:
            counted = (await self.containers.ask(self._service, "memory"))["kills"] - kills
            evidence["kernel_count"] = counted
            hit = hit or counted > 0
        return Confirmation(hit, evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Give it the limit that it had, and start it where it does not run."""
        self._before = None
        service = undo["service"]
        await self.containers.start(service)
        reply = await self.containers.ask(service, "memory")
        if reply["limit"] != undo["limit"]:
            await self.containers.ask(service, "limit_memory", limit=undo["limit"])

    async def absent(self) -> Confirmation:
        """The container runs; a limit of ours ends with its revert or with the container's restart."""
        states = await self.statuses()
        return Confirmation(any(status != "running" for status in states.values()), {"containers": states})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, ContainerOom)


KIND = FaultKind(
    kind="container.oom",
    summary="a container's memory is filled until the kernel kills one of its processes",
    targets=("service",),
    parameters=Parameters,
    confirmed_by="the kernel's count of such kills or its log, or the engine's `OOMKilled`",
    restored="the container has its own limit again, and is started where it is down",
    certifies="restart and recovery of state after an out-of-memory kill",
    not_certified="leaks over hours, and the slowness before a kill",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
    each_replica=True,
    restarts=True,
)
