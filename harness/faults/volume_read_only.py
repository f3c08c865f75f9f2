"""`volume.read_only`: a volume mounted at a path of a container refuses writes.

`how: remount` changes the mount for this container only, while it runs. The kernel refuses that while a file there is
open for writing, as databases have them; then `how: recreate` starts a stand-in with the mount read-only.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.faults.container_targets import CALL_LIMIT_S, REPLACING_S, ContainerFault
from harness.faults.each_replica import EachReplica
from harness.model.containers import Replacement
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.seams import Seams

SOME = 4096


class Parameters(Frozen):
    """Where, and by which way."""

    path: str = Field(pattern="^/", description="where it is mounted in the container")
    how: Literal["remount", "recreate"] = Field("remount", description="while it runs, or in a stand-in")


class VolumeReadOnly(ContainerFault):
    """A mount that takes no writes."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._service = self.services[0]
        self._parameters = Parameters.model_validate(step.parameters)
        self._change = Replacement(read_only=(self._parameters.path,))
        self._undo: dict[str, Any] | None = None

    async def prepare(self) -> dict[str, Any]:
        """See that it is mounted there, and takes writes."""
        await self.all_running()
        path = self._parameters.path
        mounts = {mount.target: mount for mount in await self.containers.mounts(self._service)}
        if path not in mounts:
            remedy = f"mounted are: {', '.join(sorted(mounts)) or 'none'}"
            raise FaultError(f"nothing is mounted at {path} of {self._service!r}", remedy=remedy)
        if "refused" in (tried := await self._try()):
            raise FaultError(f"{path} of {self._service!r} takes no writes as it is ({tried['refused']})")
        undo: dict[str, Any] = {"service": self._service, "path": path}
        if self._parameters.how == "recreate":
            undo["replaced"] = await self.containers.plan_replacement(self._service, self._change)
        self._undo = undo
        return undo

    async def _try(self) -> dict[str, Any]:
        path = self._parameters.path
        return await self.containers.ask(self._service, "try_write", path=path, name=f".{self.tag}-try", size=SOME)

    async def inject(self) -> None:
        """Make it read-only."""
        if self._parameters.how == "recreate":
            assert self._undo is not None
            await self.containers.replace(self._service, self._change, self._undo["replaced"])
            return
        reply = await self.containers.ask(self._service, "remount", path=self._parameters.path, read_only=True)
        if "refused" in reply:
            where = f"{self._parameters.path} of {self._service!r}"
            message = f"the kernel refuses to make {where} read-only ({reply['refused']})"
            remedy = "a file there is open for writing: let it be recreated, with.how: recreate"
            raise FaultError(message, remedy=remedy if reply["refused"] == "EBUSY" else None)

    async def confirm(self) -> Confirmation:
        """Write."""
        state = await self.containers.state(self._service)
        if not state.pid:
            return Confirmation(None, {"status": state.status, "why": "it does not run, so nothing can be written"})
        tried = await self._try()
        return Confirmation(tried.get("refused") == "EROFS", {"write_refused": tried.get("refused")})

    async def revert(self, undo: dict[str, Any]) -> None:
        """Make it writable. A container that restarted has its own mounts already."""
        if "replaced" in undo:
            await self.containers.put_back(undo["replaced"])
            return
        state = await self.containers.state(undo["service"])
        if state.pid and (await self.containers.ask(undo["service"], "space", path=undo["path"]))["read_only"]:
            reply = await self.containers.ask(undo["service"], "remount", path=undo["path"], read_only=False)
            if "refused" in reply:
                raise FaultError(f"{undo['path']} of {undo['service']!r} stays read-only ({reply['refused']})")

    async def absent(self) -> Confirmation:
        """Write again."""
        state = await self.containers.state(self._service)
        if not state.pid:
            return Confirmation(None, {"status": state.status})
        tried = await self._try()
        return Confirmation("refused" in tried, {"write_refused": tried.get("refused")})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, VolumeReadOnly)


KIND = FaultKind(
    kind="volume.read_only",
    summary="a volume of a container refuses writes",
    targets=("service",),
    parameters=Parameters,
    confirmed_by="a write inside the container is refused with `EROFS`",
    restored="the mount is writable again, or the original container is put back",
    certifies="how a service handles writes that are refused",
    not_certified="errors on reads, and damaged file systems",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_flight_s=REPLACING_S,
    in_containers=True,
    each_replica=True,
    restarts=lambda step: step.parameters.get("how") == "recreate",
)
