"""`network.reset`: connections over links are broken off by a reset (RST) in the middle of an exchange.

The reset comes a while after the first byte of a request, which is lost (`lose: request`), or after the first byte of
the answer (`lose: response`): then the service has done the work, and its consumer cannot know. Connections that are
open already are reset at their next byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from harness.faults.links import DOES, LINK_TARGETS, LinkFault
from harness.model.fault import FaultKind
from harness.model.faultstep import FaultStep
from harness.model.fields import Frozen
from harness.model.units import WallSeconds
from harness.seams import Seams
from harness.seams.toxiproxy import ToxicSpec

if TYPE_CHECKING:
    from harness.seams.link import Exchange

GRACE_S = 2.0
"""How much later than it should the reset may arrive on a busy machine."""


class Parameters(Frozen):
    """When, and what is lost."""

    after: WallSeconds = Field(0.0, le=4.0, description="how long after the first byte; `4s` at most")
    lose: Literal["request", "response"] = Field("request", description="what never arrives")


class NetworkReset(LinkFault):
    """A reset_peer toxic on links."""

    def __init__(self, step: FaultStep, seams: Seams) -> None:
        given = Parameters.model_validate(step.parameters)
        self._after_s = given.after
        stream = "upstream" if given.lose == "request" else "downstream"
        toxic = ToxicSpec(f"harness-{step.id}", "reset_peer", stream, {"timeout": round(given.after * 1e3)})
        super().__init__(step, seams, (toxic,), timeout_s=given.after + GRACE_S)

    def expected(self) -> dict[str, Any]:
        """How long after the first byte a reset must come."""
        return {"reset_after_ms": round(self._after_s * 1e3)}

    def judge(self, through: Exchange, direct: Exchange) -> tuple[bool | None, str]:
        """Demand a reset, and not before its time."""
        if through.outcome != "reset":
            return False if through.outcome == "answered" else None, f"the link {DOES[through.outcome]}"
        return through.time_s >= self._after_s, f"the link was reset after only {through.time_s * 1e3:.0f} ms"


def _make(step: FaultStep, seams: Seams, seed: int) -> NetworkReset:
    return NetworkReset(step, seams)


KIND = FaultKind(
    kind="network.reset",
    summary="connections over links are reset in the middle of an exchange",
    targets=LINK_TARGETS,
    parameters=Parameters,
    confirmed_by=(
        "an exchange over each link ends in a reset, not sooner than `after`, while the service answers a direct "
        "exchange, and the consumer sent something over the link; a link that refuses, closes or is silent does not "
        "confirm it"
    ),
    restored="the toxics are removed; consumers connect anew by themselves, or do not",
    certifies="reconnecting, retries, and with `lose: response` whether work is done twice",
    not_certified="silent loss (`node.loss`, `network.partition`), and resets of only some connections",
    make=_make,
    by_answers=True,
    changes="nothing",
)
