"""The workload as a stack describes it: where requests go, where they come from, and when an answer is too late.

Requests are made by the stack's own tooling in event time, or read from a file of requests with the answers that are
expected. What such a file says of an answer decides which probes of answers can be measured.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from harness.model.fields import Command, Frozen, Url
from harness.model.units import PositiveWallSeconds
from harness.model.wording import written

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|min|h)")
_PER_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
HIGHEST_RATE = 5000.0
SLOW_S = 0.25
"""From when on an answer counts as slow, where the stack does not say."""
OF_FILES = ("rate", "repeat", "method", "headers", "flagged")
"""Fields that say how a file of requests is sent."""


def parse_rate(raw: object) -> float:
    """Read `50/s` or `30/min` as requests a second. Raises ValueError with what would be right."""
    match = _RATE.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if match is None:
        raise ValueError(f"{written(raw)} is not a rate; write one such as 50/s or 30/min")
    per_s = float(match[1]) / _PER_S[match[2]]
    if not 0 < per_s <= HIGHEST_RATE:
        raise ValueError(f"{raw!r} is not a rate between 0 and {HIGHEST_RATE:g}/s")
    return per_s


def valid_method(value: str) -> str:
    """Return an HTTP method in capitals. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z]{3,10}", value):
        raise ValueError(f"{value!r} is not an HTTP method such as GET or POST")
    return value.upper()


Rate = Annotated[float, BeforeValidator(parse_rate)]
Method = Annotated[str, AfterValidator(valid_method)]


class WorkloadSpec(Frozen):
    """Where requests go, where they come from, and when an answer is too late."""

    make: Command | None = None
    requests: str | None = Field(None, description="a file of requests, relative to the compose file's folder")
    rate: Rate | None = Field(None, description="requests a second; without it, the lines' own times")
    peak: Rate | None = Field(None, description="for a workload that is made: no more requests a second than this")
    repeat: bool = Field(False, description="whether the file is begun anew when it is over")
    method: Method = "POST"
    headers: dict[str, str] = Field(default_factory=dict, description="sent with every request")
    flagged: str | None = Field(None, description="where an answer in JSON says that a fallback was taken")
    url: Url
    timeout_s: PositiveWallSeconds = Field(1.0, alias="timeout")
    slow_s: PositiveWallSeconds = Field(SLOW_S, alias="slow")

    @property
    def most_per_s(self) -> float | None:
        """The most requests a second that there can be; None where that is not known."""
        return self.rate if self.rate is not None else self.peak

    @model_validator(mode="before")
    @classmethod
    def _one_origin(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        given = [name for name in ("make", "requests") if raw.get(name) is not None]
        if len(given) != 1:
            raise ValueError("exactly one of `make` (a command) and `requests` (a file) is needed")
        if given == ["requests"] and "peak" in raw:
            raise ValueError("`peak` is of a workload that is made; a file of `requests` has a `rate`")
        for name in OF_FILES if given == ["make"] else ():
            if name in raw:
                raise ValueError(f"`{name}` says how a file of `requests` is sent, and this workload is made")
        return raw
