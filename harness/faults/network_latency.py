"""`network.latency`: every answer over the links comes later, by a latency and a uniform jitter.

Confirmed by timing a small exchange over each link and directly beside it: the difference is the latency really added.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from harness.faults.links import Toxic, Toxics, as_milliseconds, links_of, round_trips
from harness.model.fault import Confirmation, FaultKind
from harness.model.frozen import Frozen
from harness.model.scenario import FaultStep
from harness.model.units import PositiveWallSeconds, WallSeconds
from harness.seams import Seams

LONGEST_S = 6.0
"""How long an answer over the link is waited for: less than `confirm` may take."""
NEARLY = 0.8
"""Share of the asked latency that must be measured: timers and scheduling take a little either way."""


class LatencyParameters(Frozen):
    """How much later."""

    # The toxics count in whole milliseconds.
    latency: Annotated[PositiveWallSeconds, Field(ge=0.001, le=60.0)]
    jitter: WallSeconds = Field(0.0, description="uniform, either way")

    @model_validator(mode="after")
    def _some_is_left(self) -> Self:
        if self.jitter > 0 and self.jitter >= self.latency:
            raise ValueError("a jitter as large as the latency leaves nothing that could be measured; make it smaller")
        return self


class NetworkLatency:
    """Latency toxics on links."""

    def __init__(self, seams: Seams, links: tuple[str, ...], toxics: tuple[Toxic, ...], least_s: float) -> None:
        self._seams = seams
        self._toxics = Toxics(seams, links, toxics)
        self._least_s = least_s

    async def prepare(self) -> dict[str, Any]:
        """The toxics' names are all there is to undo."""
        await self._toxics.ready()
        return {"links": [link.name for link in self._toxics.links]}

    async def inject(self) -> None:
        """Put the toxics on."""
        await self._toxics.on()

    async def confirm(self) -> Confirmation:
        """Ask the proxy for the toxics, and time an exchange over each link and beside it."""
        timeout_s = min(4 * self._least_s + 1.0, LONGEST_S)
        missing = await self._toxics.missing()
        if missing:
            return Confirmation(False, {"why": "toxics are not on", "toxics_missing": missing})
        direct = await round_trips(self._toxics.links, self._seams, timeout_s, direct=True)
        through = await round_trips(self._toxics.links, self._seams, timeout_s)
        evidence = {
            "added_at_least_ms": round(self._least_s * 1e3, 1),
            "through_ms": as_milliseconds(through),
            "direct_ms": as_milliseconds(direct),
        }
        added = []
        for name, beside in direct.items():
            slowed = through[name]
            if beside is None:
                return Confirmation(None, evidence | {"why": f"{name}: the service itself does not answer"})
            # No answer within as long as can be waited: the link is at least that slow.
            added.append(slowed is None or slowed - beside >= NEARLY * self._least_s)
        return Confirmation(all(added), evidence)

    async def revert(self, undo: dict[str, Any]) -> None:
        """Take the toxics off."""
        await self._toxics.off()

    async def absent(self) -> Confirmation:
        """Ask the proxy which of ours are still on."""
        left = await self._toxics.still_on()
        return Confirmation(bool(left), {"toxics_left": left})

    def manifest(self) -> list[dict[str, Any]]:
        """A slow link changes no data."""
        return []


def _make(step: FaultStep, seams: Seams, seed: int) -> NetworkLatency:
    asked = LatencyParameters.model_validate(step.parameters)
    attributes = {"latency": round(asked.latency * 1e3), "jitter": round(asked.jitter * 1e3)}
    toxic = Toxic(f"harness-{step.id}", "latency", "downstream", attributes)
    return NetworkLatency(seams, links_of(step.target, seams), (toxic,), max(0.0, asked.latency - asked.jitter))


KIND = FaultKind(
    kind="network.latency",
    summary="answers over links come later",
    targets=("link", "links", "service"),
    parameters=LatencyParameters,
    make=_make,
)
