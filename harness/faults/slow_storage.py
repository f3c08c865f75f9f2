"""`storage.slow`: a store that answers late and passes few bytes a second, on every link to it or on those named.

The same seam and the same proof as `network.latency`; the bandwidth is limited both ways, for writes and for reads.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.faults.links import Toxic, links_of
from harness.faults.network_latency import LatencyParameters, NetworkLatency
from harness.model.fault import FaultKind
from harness.model.scenario import FaultStep
from harness.seams import Seams


class Parameters(LatencyParameters):
    """How slow."""

    bandwidth_kb_s: Annotated[int, Field(ge=1)] | None = Field(None, description="kilobytes a second, each way")


def _make(step: FaultStep, seams: Seams, seed: int) -> NetworkLatency:
    asked = Parameters.model_validate(step.parameters)
    attributes = {"latency": round(asked.latency * 1e3), "jitter": round(asked.jitter * 1e3)}
    toxics = [Toxic(f"harness-{step.id}-latency", "latency", "downstream", attributes)]
    if asked.bandwidth_kb_s is not None:
        rate = {"rate": asked.bandwidth_kb_s}
        toxics += [Toxic(f"harness-{step.id}-{way}", "bandwidth", way, rate) for way in ("upstream", "downstream")]
    return NetworkLatency(seams, links_of(step.target, seams), tuple(toxics), max(0.0, asked.latency - asked.jitter))


KIND = FaultKind(
    kind="storage.slow",
    summary="a store answers late and passes few bytes a second",
    targets=("service", "link", "links"),
    parameters=Parameters,
    make=_make,
)
