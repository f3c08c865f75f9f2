"""`container.file`: a service runs with a file changed, such as its configuration or its model.

The container is [replaced by a stand-in](#stand-ins). The file may come from the image or be mounted by itself; the
mounted original is never written to. A file in a mounted folder or volume is not the container's own, and is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from harness.faults.container_targets import CALL_LIMIT_S
from harness.faults.stand_in import StandIn
from harness.model.containers import ContainerState, Replacement
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, FaultKind
from harness.model.frozen import Frozen
from harness.model.scenario import FaultStep
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
        self._asked = Parameters.model_validate(step.parameters)
        self._wanted = ""

    async def change(self) -> Replacement:
        """The file's new content."""
        content = await self._content()
        self._wanted = hashlib.sha256(content).hexdigest()
        return Replacement(files={self._asked.path: content})

    async def _content(self) -> bytes:
        asked = self._asked
        if asked.content is not None:
            return asked.content.encode()
        if asked.source is not None:
            try:
                return await asyncio.to_thread(Path(asked.source).read_bytes)
            except OSError as error:
                raise FaultError(f"with.source: {asked.source} cannot be read: {error.strerror}") from None
        assert asked.find is not None
        assert asked.put is not None
        there = await self.containers.read_file(self.service, asked.path)
        if there is None:
            raise FaultError(f"there is no file {asked.path} in the container of {self.service!r}")
        if asked.find.encode() not in there:
            message = f"{asked.path} of {self.service!r} does not hold {asked.find!r}"
            raise FaultError(message, remedy="look at with.find: it is taken as it is written")
        return there.replace(asked.find.encode(), asked.put.encode())

    async def effect(self, state: ContainerState, undo: dict[str, Any]) -> Confirmation:
        """Ask for the file's digest inside."""
        told = await self.containers.ask(self.service, "digest", path=self._asked.path)
        return Confirmation(told["sha256"] == self._wanted, {"path": self._asked.path, "sha256": told["sha256"]})


def _make(step: FaultStep, seams: Seams, seed: int) -> ContainerFile:
    return ContainerFile(step, seams)


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
    call_limit_s=CALL_LIMIT_S,
    in_containers=True,
)
