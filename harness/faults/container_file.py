"""`container.file`: a service runs with a file changed, such as its configuration or its model.

The container is [replaced by a stand-in](#stand-ins). The file may come from the image or be mounted by itself; the
mounted original is never written to. A file in a mounted folder or volume is not the container's own, and is refused.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from harness.faults.container_targets import CALL_LIMIT_S, REPLACING_S, StandIn
from harness.faults.each_replica import EachReplica
from harness.model.containers import ContainerState, Replacement
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.seams import Seams


class Parameters(Frozen):
    """Which file, and what becomes of it."""

    path: str = Field(pattern="^/", description="the file in the container")
    content: str | None = Field(None, description="its new text")
    source: str | None = Field(None, description="a file on the harness's machine that takes its place")
    find: str | None = Field(None, min_length=1, description="a text in it that is replaced")
    put: str | None = Field(None, description="what stands there then")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(x is not None for x in (self.content, self.source, self.find)) != 1:
            raise ValueError("exactly one of content, source and find is needed")
        if (self.find is None) != (self.put is None):
            raise ValueError("find and put go together")
        return self


class ContainerFile(StandIn):
    """A service with another file."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._parameters = Parameters.model_validate(step.parameters)
        self._wanted = ""

    async def change(self) -> Replacement:
        """The file's new content."""
        content = await self._content()
        self._wanted = hashlib.sha256(content).hexdigest()
        return Replacement(files={self._parameters.path: content})

    async def _content(self) -> bytes:
        import asyncio  # here and not above: to list or check faults needs no event loop

        parameters = self._parameters
        if parameters.content is not None:
            return parameters.content.encode()
        if parameters.source is not None:
            try:
                return await asyncio.to_thread(Path(parameters.source).read_bytes)
            except OSError as error:
                raise FaultError(f"with.source: {parameters.source} cannot be read: {error.strerror}") from None
        assert parameters.find is not None
        assert parameters.put is not None
        there = await self.containers.read_file(self.service, parameters.path)
        if there is None:
            raise FaultError(f"there is no file {parameters.path} in the container of {self.service!r}")
        if parameters.find.encode() not in there:
            message = f"{parameters.path} of {self.service!r} does not hold {parameters.find!r}"
            raise FaultError(message, remedy="look at with.find: it is taken as it is written")
        return there.replace(parameters.find.encode(), parameters.put.encode())

    async def effect(self, state: ContainerState, undo: dict[str, Any]) -> Confirmation:
        """Ask for the file's digest inside."""
        reply = await self.containers.ask(self.service, "digest", path=self._parameters.path)
        return Confirmation(reply["sha256"] == self._wanted, {"path": self._parameters.path, "sha256": reply["sha256"]})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, ContainerFile)


KIND = FaultKind(
    kind="container.file",
    summary="a service runs with a file changed",
    targets=("service",),
    parameters=Parameters,
    confirmed_by="the digest of the file inside the container",
    restored="the original container is put back",
    certifies="a wrong file at the start of a service",
    not_certified="files that change while a service runs",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_flight_s=REPLACING_S,
    in_containers=True,
    each_replica=True,
    restarts=True,
)
