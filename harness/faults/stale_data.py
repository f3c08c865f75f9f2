"""`data.stale`: a producer's output stops, or old output is written again with new timestamps.

`mode: stop` freezes the producing service with SIGSTOP: it keeps its connections and produces nothing. `mode: replay`
lets it write, and puts the values of the moment of injection under every new timestamp: the rows only look fresh.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from harness.model.errors import FaultError
from harness.model.fault import Confirmation, FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen, refuse_unused
from harness.model.units import Quantity, Unit
from harness.seams import Seams
from harness.seams.stored import Change, Row

if TYPE_CHECKING:
    from harness.faults.rewriting import Rewriting


class Parameters(Frozen):
    """How the data goes stale."""

    mode: Literal["stop", "replay"] = Field("stop", description="`stop` a service, or `replay` rows of a key space")
    keyspace: str | None = Field(None, description="for `stop`, needed: where the missing output shows")
    older_than: Quantity = Field(Quantity(1800, Unit.EVENT), description="for `stop`: the age that confirms it")

    @model_validator(mode="after")
    def _an_age(self) -> Parameters:
        if self.older_than.unit is not Unit.EVENT:
            raise ValueError("older_than is an age in event time, such as 30min event")
        refuse_unused(self, "mode", {"stop": ("keyspace", "older_than")})
        return self


class Stopped:
    """A producer that puts nothing out."""

    def __init__(self, step: FaultStep, seams: Seams, parameters: Parameters) -> None:
        if step.target.service is None or parameters.keyspace is None:
            raise FaultError("mode stop needs target.service and, to prove it by its age, with.keyspace")
        self._backend = seams.backend
        self._seams = seams
        self._service = seams.service(step.target.service).name
        self._keyspace = seams.keyspace(parameters.keyspace)
        self._older_s = parameters.older_than.value

    async def prepare(self) -> dict[str, Any]:
        """Which service to let go on."""
        return {"service": self._service}

    async def inject(self) -> None:
        """Freeze the producer."""
        await self._backend.pause([self._service])

    async def confirm(self) -> Confirmation:
        """Read the process's state from the kernel and the newest stamps from the key space."""
        states = await self._backend.process_states([self._service])
        now_event = self._seams.now_event()
        assert self._seams.clock is not None
        youngest: dict[str, float] = {}
        for key, row in (await self._keyspace.rows()).items():
            try:
                stamps = [float(row[f]) for f in self._keyspace.spec.stamps.values() if f in row]
                if stamps:
                    youngest[key] = self._seams.clock.age_s(now_event, max(stamps))
            except ValueError:
                return Confirmation(None, {"why": f"{key} carries a stamp that is no event time"})
        evidence = {"process": _told(states), "age_event_s": {k: round(v) for k, v in youngest.items()}}
        if not youngest:
            return Confirmation(None, evidence | {"why": "the key space is empty"})
        frozen = set(states.values()) == {"T"}
        return Confirmation(frozen and min(youngest.values()) >= self._older_s, evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Let the producer go on."""
        await self._backend.resume([undo.get("service", self._service)])

    async def absent(self) -> Confirmation:
        """The kernel says that the process is not stopped."""
        states = await self._backend.process_states([self._service])
        return Confirmation("T" in states.values(), {"process": _told(states)})

    def manifest(self) -> list[dict[str, Any]]:
        """Nothing is changed; it only does not come."""
        return []


def _told(states: Mapping[str, str]) -> Any:
    """Return the state of a producer, or of each of its replicas."""
    return dict(states) if len(states) > 1 else next(iter(states.values()), "absent")


class _OldValues:
    """Puts the values that a row had at injection under each new stamp of it."""

    def __init__(self, stamps: dict[str, str]) -> None:
        self._stamps = stamps
        self._old: dict[str, Row] = {}

    def remember(self, rows: dict[str, Row]) -> None:
        self._old = {key: {f: row[f] for f in self._stamps if f in row} for key, row in rows.items()}

    def decide(self, key: str, row: Row) -> Change | None:
        old = {f: v for f, v in self._old.get(key, {}).items() if f in row and self._stamps[f] in row}
        differing = {field: value for field, value in old.items() if row[field] != value}
        return Change({field: row[field] for field in differing}, differing) if differing else None


def _make(step: FaultStep, seams: Seams, seed: int) -> Stopped | Rewriting:
    from harness.faults.rewriting import Rewriting  # brings asyncio, which a check does not need

    parameters = Parameters.model_validate(step.parameters)
    if parameters.mode == "stop":
        return Stopped(step, seams, parameters)
    if step.target.keyspace is None:
        raise FaultError("mode replay needs target.keyspace: it is there that old values are written again")
    keyspace = seams.keyspace(step.target.keyspace)
    old = _OldValues(keyspace.spec.stamps)
    return Rewriting(keyspace, old.decide, before=old.remember, kept=seams.kept(step.id))


KIND = FaultKind(
    kind="data.stale",
    summary="a producer's output stops, or old output is written again with new timestamps",
    targets=("service", "keyspace"),
    parameters=Parameters,
    confirmed_by=(
        "`stop`: the kernel reports the process as stopped, and every row of the key space is older than "
        "`older_than`; `replay`: rows are read back with a new timestamp and old values"
    ),
    restored="`stop`: the process continues; `replay`: rows that still are as changed get their values back",
    certifies="monitoring of the age and the content of data, not only of its producer's health",
    not_certified="a producer that crashes, and data that arrives late with its true timestamps",
    make=_make,
    changes="rows",
)
