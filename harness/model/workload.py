"""The workload as a stack describes it: where requests go, where they come from, and when an answer is too late."""

from __future__ import annotations

from pydantic import Field

from harness.model.fields import Command, Frozen, Url
from harness.model.units import PositiveWallSeconds


class WorkloadSpec(Frozen):
    """Where requests go, what makes them, and when an answer is too late."""

    make: Command | None = None
    url: Url
    timeout_s: PositiveWallSeconds = Field(1.0, alias="timeout")
    slow_s: PositiveWallSeconds = Field(0.25, alias="slow")
