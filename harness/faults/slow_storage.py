"""`storage.slow`: a store answers late and passes few bytes a second, on every link to it or on those named.

The same seam as `network.latency`; the bandwidth is limited both ways, for writes and for reads.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.faults.links import LINK_TARGETS
from harness.faults.network_latency import LatencyParameters, NetworkLatency
from harness.model.fault import FaultKind
from harness.model.faultstep import FaultStep
from harness.seams import Seams
from harness.seams.toxiproxy import ToxicSpec


class Parameters(LatencyParameters):
    """How slow."""

    bandwidth_kb_s: Annotated[int, Field(ge=1)] | None = Field(None, description="kilobytes a second, each way")


def _make(step: FaultStep, seams: Seams, seed: int) -> NetworkLatency:
    slow = Parameters.model_validate(step.parameters)
    toxics = [slow.toxic(f"harness-{step.id}-latency")]
    if slow.bandwidth_kb_s is not None:
        rate = {"rate": slow.bandwidth_kb_s}
        toxics += [ToxicSpec(f"harness-{step.id}-{way}", "bandwidth", way, rate) for way in ("upstream", "downstream")]
    return NetworkLatency(step, seams, slow, toxics)


KIND = FaultKind(
    kind="storage.slow",
    summary="a store answers late and passes few bytes a second",
    targets=LINK_TARGETS,
    parameters=Parameters,
    confirmed_by="as `network.latency`; the bandwidth is not measured",
    restored="the toxics are removed",
    certifies="consumers of a store of which every operation is slow",
    not_certified="single slow operations, errors of the store, contention inside it",
    make=_make,
    by_answers=True,
    changes="nothing",
)
