"""`container.cpu`: a container gets no more than a share of a processor.

The quota is set in the kernel's control group, because the engine cannot restore its own setting exactly. A container
that is restarted while the fault is in has its own quota again, and the fault counts as gone. A container that does
too little to be throttled is helped: a process works inside its quota until the kernel has throttled it once, a few
hundredths of a second.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from harness.faults.container_targets import CALL_LIMIT_S, ONE_OR_MORE, ContainerFault
from harness.faults.each_replica import EachReplica
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.seams import Seams

LEAST_US = 1000
PROVE_S = 1.0


class Parameters(Frozen):
    """How little."""

    cpus: Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False, description="processors, such as 0.1")]


class ContainerCpu(ContainerFault):
    """Containers with a processor quota."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._cpus = Parameters.model_validate(step.parameters).cpus
        self._wanted: dict[str, int] = {}
        self._throttled: dict[str, int] = {}
        self._own: dict[str, tuple[int, int]] = {}

    async def prepare(self) -> dict[str, Any]:
        """What their quotas were."""
        await self.all_running()
        reply = await self.each(lambda name: self.containers.ask(name, "cpu"))
        return {"quotas": {name: [found["quota_us"], found["period_us"]] for name, found in reply.items()}}

    async def inject(self) -> None:
        """Set the quotas."""
        reply = await self.each(lambda name: self.containers.ask(name, "cpu"))
        self._throttled = {name: found["throttled"] for name, found in reply.items()}
        for name, found in reply.items():
            period_us = found["period_us"]
            self._wanted[name] = max(LEAST_US, round(self._cpus * period_us))
            await self.containers.ask(name, "limit_cpu", quota_us=self._wanted[name], period_us=period_us)

    async def confirm(self) -> Confirmation:
        """Read quota and throttling from the kernel."""
        reply = await self.each(lambda name: self.containers.ask(name, "cpu"))
        evidence: dict[str, Any] = {}
        hit = []
        for name, found in reply.items():
            throttled = found["throttled"] - self._throttled.get(name, found["throttled"])
            set_ = found["quota_us"] == self._wanted.get(name)
            if set_ and throttled <= 0:
                throttled += (await self.containers.ask(name, "use_cpu", within_s=PROVE_S))["throttled"]
            evidence[name] = {"quota_us": found["quota_us"], "period_us": found["period_us"], "throttled": throttled}
            hit.append(set_ and throttled > 0)
        return Confirmation(all(hit), evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Set the quotas that were. A container that restarted has its own already."""
        self._wanted = {}
        states = await self.each(self.containers.state, list(undo["quotas"]))
        for name, (quota_us, period_us) in undo["quotas"].items():
            if states[name].pid:
                await self.containers.ask(name, "limit_cpu", quota_us=quota_us, period_us=period_us)
        self._own = {name: (pair[0], pair[1]) for name, pair in undo["quotas"].items()}

    async def absent(self) -> Confirmation:
        """Read from the kernel that no quota of ours is set."""
        states = await self.each(self.containers.state)
        running = [name for name, state in states.items() if state.pid]
        reply = await self.each(lambda name: self.containers.ask(name, "cpu"), running)
        left = {
            name: found["quota_us"]
            for name, found in reply.items()
            if name in self._wanted
            or (name in self._own and self._own[name] != (found["quota_us"], found["period_us"]))
        }
        return Confirmation(bool(left), {"quotas_left_us": left})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, ContainerCpu)


KIND = FaultKind(
    kind="container.cpu",
    summary="a container gets no more than a share of a processor",
    targets=ONE_OR_MORE,
    parameters=Parameters,
    confirmed_by="the kernel reports the quota as set, and has throttled the container since",
    restored="the quota that was set before",
    certifies="a service that gets too little processor time",
    not_certified="busy neighbours, and contention for memory or disks",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
    each_replica=True,
)
