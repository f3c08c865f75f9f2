"""`disk.full`: the file system mounted at a path of a container has no space left.

A file of the harness takes the space. The disk of the engine or of its machine is never filled, whatever `at_most`
says: a path in the container's own layer, or a volume or bind mount on that disk, is refused. It fills tmpfs mounts
(`tmpfs: ["/data:size=64m"]`), volumes of tmpfs, and other disks; these only up to `at_most`, so that a shared disk is
not filled by mistake. In memory, `at_most` is 1 GB unless given. The volume of a container that has ended meanwhile,
on a disk of its own, cannot be cleaned: the error names the file.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.faults.container_targets import CALL_LIMIT_S, ContainerFault, Size
from harness.faults.each_replica import EachReplica
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.seams import Seams

MEMORY_AT_MOST = 10**9
"""How much is filled without `at_most`; only on file systems in memory."""
IN_MEMORY = ("tmpfs", "ramfs")
SLACK = 1 << 17
"""File systems keep account in blocks; a little is left or taken by it."""


class Parameters(Frozen):
    """Where, and how full."""

    path: str = Field(pattern="^/", description="where it is mounted in the container")
    leave: Size = Field(0, description="bytes left free")
    at_most: Size | None = Field(None, description="bytes that may be written; needed on disks, 1GB in memory")


class DiskFull(ContainerFault):
    """A file system with no space left."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._service = self.services[0]
        self._parameters = Parameters.model_validate(step.parameters)
        self._filler = f".{self.tag}-full"
        self._ends_with_it = False
        """Whether the file system is the container's own, and gone when that ends."""
        self._in = False

    async def prepare(self) -> dict[str, Any]:
        """Refuse what must not be filled."""
        await self.all_running()
        path = self._parameters.path
        reply = await self.containers.ask(self._service, "space", path=path)
        at_most = self._at_most(reply)
        if reply["read_only"]:
            raise FaultError(f"{path} of {self._service!r} is read-only and cannot fill up", remedy="choose another")
        if reply["free"] - self._parameters.leave > at_most:
            message = f"{reply['free']} bytes are free at {path} of {self._service!r}, more than the {at_most} allowed"
            raise FaultError(message, remedy="limit the mount's size, or allow more with.at_most")
        mounts = {mount.target: mount for mount in await self.containers.mounts(self._service)}
        mounted = mounts.get(reply["mount_point"])
        self._ends_with_it = mounted is not None and mounted.kind == "tmpfs"
        return {
            "service": self._service,
            "path": path,
            "file": self._filler,
            "file_system": reply["file_system"],
            "ends_with_it": self._ends_with_it,
            "mount_point": reply["mount_point"],
            "source": mounted.source if mounted is not None and not self._ends_with_it else None,
        }

    def _at_most(self, reply: dict[str, Any]) -> int:
        path, kind = self._parameters.path, reply["file_system"]
        where = f"{path} of {self._service!r} lies on {reply['mount_point']} ({kind})"
        if reply["engines_own"] or kind == "overlay":
            remedy = "mount a tmpfs or a volume of limited size there, such as `tmpfs: [/path:size=64m]`"
            raise FaultError(f"{where}, which is the disk of the engine itself: it is never filled", remedy=remedy)
        if self._parameters.at_most is not None:
            return self._parameters.at_most
        if kind in IN_MEMORY:
            return MEMORY_AT_MOST
        raise FaultError(f"{where}, a disk that others may use", remedy="say how much may be written: with.at_most")

    async def inject(self) -> None:
        """Write the file that takes the space."""
        reply = await self.containers.ask(self._service, "space", path=self._parameters.path)
        at_most = self._at_most(reply)
        await self.containers.ask(
            self._service,
            "fill",
            path=self._parameters.path,
            name=self._filler,
            leave=self._parameters.leave,
            at_most=at_most,
        )
        self._in = True

    async def confirm(self) -> Confirmation:
        """Ask for the free space inside, and write more than that."""
        if not self._in:
            return Confirmation(False, {"why": "not injected"})
        path, leave = self._parameters.path, self._parameters.leave
        reply = await self.containers.ask(self._service, "space", path=path)
        evidence: dict[str, Any] = {"free": reply["free"], "size": reply["size"], "file_system": reply["file_system"]}
        if reply["free"] > leave + SLACK:
            return Confirmation(False, evidence)
        size = leave + 2 * SLACK
        tried = await self.containers.ask(self._service, "try_write", path=path, name=f".{self.tag}-try", size=size)
        evidence |= {"write_refused": tried.get("refused"), "written": tried["written"]}
        return Confirmation(tried.get("refused") in ("ENOSPC", "EDQUOT"), evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Remove the file. What was in the container's own memory is gone where it has ended."""
        self._in = False
        self._ends_with_it = bool(undo.get("ends_with_it"))
        state = await self.containers.state(undo["service"])
        if not state.pid and not self._ends_with_it:
            message = f"the file that fills {undo['path']} of {undo['service']!r} is still there: it does not run"
            raise FaultError(message, remedy=f"remove {undo['file']} from its volume")
        await self._expect_mounted(undo)
        if state.pid:
            await self.containers.ask(undo["service"], "remove", path=undo["path"], name=undo["file"])

    async def _expect_mounted(self, undo: dict[str, Any]) -> None:
        """Raise FaultError where the file cannot be seen: the container was made anew, without what it lies on."""
        if undo.get("source") is None:
            return
        mounts = await self.containers.mounts(undo["service"])
        if (undo["mount_point"], undo["source"]) not in [(mount.target, mount.source) for mount in mounts]:
            message = f"{undo['source']!r}, with the file that fills it, is not mounted in {undo['service']!r} any more"
            raise FaultError(message, remedy=f"remove {undo['file']} from {undo['source']!r}")

    async def absent(self) -> Confirmation:
        """The file is gone."""
        state = await self.containers.state(self._service)
        if not state.pid:
            # A file system in memory may be the host's, and mounted elsewhere too.
            return Confirmation(False if self._ends_with_it else None, {"status": state.status})
        reply = await self.containers.ask(self._service, "exists", path=self._parameters.path, name=self._filler)
        return Confirmation(bool(reply["exists"]), {"filler": reply["exists"]})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, DiskFull)


KIND = FaultKind(
    kind="disk.full",
    summary="a file system of a container has no space left",
    targets=("service",),
    parameters=Parameters,
    confirmed_by="inside the container no more than `leave` is free, and a write is refused with `ENOSPC`",
    restored="the file that takes the space is removed",
    certifies="how a service handles writes that fail with `ENOSPC`",
    not_certified="slow or failing disks, exhausted inodes, and a full disk of the engine's machine",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
    each_replica=True,
)
