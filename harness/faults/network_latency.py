"""`network.latency`: answers over links arrive later, by a latency and a uniform jitter.

A toxic on the link's fault proxy delays every byte of an answer. Requests and new connections are not delayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from harness.faults.links import DOES, LINK_TARGETS, LinkFault
from harness.model.fault import FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.model.units import PositiveWallSeconds, WallSeconds
from harness.seams import Seams
from harness.seams.toxiproxy import ToxicSpec

if TYPE_CHECKING:
    from harness.seams.link import Exchange

NEARLY = 0.8
"""Share of the requested latency that must be measured: timers and scheduling take a little either way."""


class LatencyParameters(Frozen):
    """How much later."""

    # The toxics count in whole milliseconds.
    latency: Annotated[PositiveWallSeconds, Field(ge=0.001, le=60.0, description="how much later, at the mean")]
    jitter: WallSeconds = Field(0.0, description="uniform, in both directions; less than `latency`")

    @model_validator(mode="after")
    def _some_is_left(self) -> Self:
        if self.jitter > 0 and self.jitter >= self.latency:
            raise ValueError("a jitter as large as the latency leaves nothing that could be measured; make it smaller")
        return self

    def toxic(self, name: str) -> ToxicSpec:
        """Return the toxic that delays answers so."""
        attributes = {"latency": round(self.latency * 1e3), "jitter": round(self.jitter * 1e3)}
        return ToxicSpec(name, "latency", "downstream", attributes)


class NetworkLatency(LinkFault):
    """Latency toxics on links, and others beside them."""

    def __init__(self, step: FaultStep, seams: Seams, delay: LatencyParameters, toxics: Sequence[ToxicSpec]) -> None:
        self._least_s = delay.latency - delay.jitter
        self._most_s = delay.latency + delay.jitter
        super().__init__(step, seams, toxics, timeout_s=4 * self._most_s + 1.0)

    def expected(self) -> dict[str, Any]:
        """The least latency that an exchange can have had added."""
        return {"added_at_least_ms": round(self._least_s * 1e3, 1)}

    def judge(self, through: Exchange, direct: Exchange) -> tuple[bool | None, str]:
        """Compare the time of the answer with that of the service itself."""
        does = f"the link {DOES[through.outcome]}"
        if through.outcome == "answered":
            added_s, least_s = through.time_s - direct.time_s, NEARLY * self._least_s
            # An answer that comes sooner than the latency has not been delayed by it. One that comes late enough, but
            # hardly later than that of a slow service or on a busy machine, shows nothing either way.
            landed = None if through.time_s >= least_s > added_s else added_s >= least_s
            return landed, f"{does}, and only {added_s * 1e3:.0f} ms later than the service"
        if through.outcome == "silent":
            # A latency that is longer than any wait shows itself as silence; a shorter one does not.
            return self._most_s >= self.timeout_s or None, f"{does} for {self.timeout_s:g} s, longer than the latency"
        return None, f"{does}, so that no latency can be measured"


def _make(step: FaultStep, seams: Seams, seed: int) -> NetworkLatency:
    delay = LatencyParameters.model_validate(step.parameters)
    return NetworkLatency(step, seams, delay, (delay.toxic(f"harness-{step.id}"),))


KIND = FaultKind(
    kind="network.latency",
    summary="answers over links arrive later",
    targets=LINK_TARGETS,
    parameters=LatencyParameters,
    confirmed_by=(
        "an exchange over each link takes longer than a direct exchange, by 80 % of `latency` minus `jitter` or "
        "more, and the consumer sent something over the link; a link that refuses, resets or closes connections does "
        "not confirm it"
    ),
    restored="the toxics are removed",
    certifies="time-outs, retries, queues and alerts of a consumer whose requests are all answered late",
    not_certified="lost or reset connections; a service that is busy, for its own metrics stay good",
    make=_make,
    by_answers=True,
    changes="nothing",
)
