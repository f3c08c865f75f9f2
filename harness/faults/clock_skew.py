"""`clock.skew`: a service runs with a clock that is ahead or behind.

Linux has no wall clock per container (time namespaces have only the monotonic clocks), so the container is [replaced
by a stand-in](#stand-ins) that loads `libfaketime`: from its image where it is installed (Debian: `libfaketime`), or
from `library`, a file on the harness's machine, built for the image's C library. Programs that are linked statically,
as those in Go often are, do not load it: then the fault is not confirmed. Only the calendar changes; intervals stay as
they are. Known: with libfaketime 0.9.10, `time.sleep` of Python 3.11 and later fails with `Invalid argument`; waits on
locks, queues, sockets and event loops work.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from harness.faults.container_targets import CALL_LIMIT_S, REPLACING_S, StandIn
from harness.faults.each_replica import EachReplica
from harness.model.containers import ContainerState, Replacement
from harness.model.errors import FaultError
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.model.units import format_seconds, parse_wall_s
from harness.seams import Seams

FOLDERS = (
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib/faketime",
    "/usr/lib64/faketime",
    "/usr/local/lib/faketime",
)
LIBRARIES = tuple(f"{folder}/{name}" for folder in FOLDERS for name in ("libfaketimeMT.so.1", "libfaketime.so.1"))
BROUGHT = "/harness-libfaketime.so"
CLOCKS = (("date", "+%s"), ("python3", "-c", "import time; print(time.time())"))
NEARLY_S = 2.0
"""A program's start and whole seconds lie between two readings."""
RUN_S = 10.0


def _signed_s(raw: str) -> str:
    parse_wall_s(re.sub(r"^\s*[+-]", "", raw))
    return raw


class Parameters(Frozen):
    """How far off."""

    offset: Annotated[str, AfterValidator(_signed_s)] = Field(
        description="ahead, such as 2h, or behind, such as -30min"
    )
    library: str | None = Field(None, description="libfaketime on the harness's machine, for images without it")


class ClockSkew(StandIn):
    """A service whose clock is off."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        super().__init__(step, seams)
        self._parameters = Parameters.model_validate(step.parameters)
        text = self._parameters.offset.strip()
        self._offset_s = parse_wall_s(text.lstrip("+-")) * (-1 if text.startswith("-") else 1)

    async def change(self) -> Replacement:
        """Start it with the library before all others."""
        import asyncio  # here and not above: to list or check faults needs no event loop

        files: dict[str, bytes] = {}
        if self._parameters.library is not None:
            try:
                files[BROUGHT] = await asyncio.to_thread(Path(self._parameters.library).read_bytes)
            except OSError as error:
                raise FaultError(f"with.library: {self._parameters.library}: {error.strerror}") from None
            library = BROUGHT
        else:
            library = await self._found()
        reply = await self.containers.ask(self.service, "process", names=["LD_PRELOAD"])
        others = reply["environment"]["LD_PRELOAD"]
        environment = {
            "LD_PRELOAD": f"{library}:{others}" if others else library,
            "FAKETIME": f"{self._offset_s:+.3f}",
            # Time-outs and intervals go on as they are: only the calendar is wrong.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        return Replacement(set_environment=environment, files=files)

    async def _found(self) -> str:
        for path in LIBRARIES:
            if await self.containers.read_file(self.service, path) is not None:
                return path
        message = f"the image of {self.service!r} has no libfaketime, and the kernel has no wall clock per container"
        raise FaultError(message, remedy="install libfaketime in the image, or bring one along: with.library")

    async def effect(self, state: ContainerState, undo: dict[str, Any]) -> Confirmation:
        """Read the clock inside and the engine's, and whether the service itself has the library."""
        reply = await self.containers.ask(self.service, "process", names=[], maps="faketime")
        evidence: dict[str, Any] = {"offset": format_seconds(abs(self._offset_s)), "loaded": reply["maps"]}
        if not reply["maps"]:
            return Confirmation(
                False, evidence | {"why": "the main process has not loaded it: perhaps it is linked statically"}
            )
        for argv in CLOCKS:
            before_s = (await self.containers.ask(self.service, "clock"))["at_s"]
            done = await self.containers.run(self.service, argv, RUN_S)
            after_s = (await self.containers.ask(self.service, "clock"))["at_s"]
            if done.exit_code == 0:
                read_s = float(done.stdout.strip())
                evidence["ahead_s"] = round(read_s - before_s, 1)
                early_s, late_s = before_s + self._offset_s - NEARLY_S, after_s + self._offset_s + NEARLY_S
                return Confirmation(early_s <= read_s <= late_s, evidence)
        return Confirmation(None, evidence | {"why": "the image has no program that prints the time"})


def _make(step: FaultStep, seams: Seams, seed: int) -> EachReplica:
    return EachReplica(step, seams, seed, ClockSkew)


KIND = FaultKind(
    kind="clock.skew",
    summary="a service runs with a clock that is ahead or behind",
    targets=("service",),
    parameters=Parameters,
    confirmed_by="the main process has the library loaded, and a program inside reads the time with the offset",
    restored="the original container is put back",
    certifies="wrong calendar time in one service: tokens, certificates, event times, leases by wall clock",
    not_certified="drift, jumps while a service runs, and monotonic clocks",
    make=_make,
    changes="nothing",
    call_limit_s=CALL_LIMIT_S,
    in_flight_s=REPLACING_S,
    in_containers=True,
    each_replica=True,
    restarts=True,
)
