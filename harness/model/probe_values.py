"""Which values the readings of a probe can have: only what its kind rules out for certain, whatever the stack does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.model.clauses import Bound
from harness.model.probekinds import ProbeSpec


@dataclass(frozen=True, slots=True)
class Values:
    """All values from `lo` to `hi`, or only the whole ones among them."""

    lo: float
    hi: float
    whole: bool = False

    def __str__(self) -> str:
        what = "whole numbers " if self.whole else ""
        if math.isinf(self.hi):
            return f"{what}from {self.lo:g} on"
        if self.hi == self.lo:
            return f"{self.lo:g} or no answer"
        if self.whole and self.hi == self.lo + 1:
            return f"{self.lo:g} or {self.hi:g}"
        return f"{what}{self.lo:g} to {self.hi:g}"

    def may_meet(self, bound: Bound) -> bool:
        """Whether one of them keeps a bound."""
        limit = bound.limit.value
        if bound.equals is not None:
            return self.lo <= limit <= self.hi and not (self.whole and limit % 1)
        return self.hi >= limit if bound.at_least is not None else self.lo <= limit

    def may_leave(self, bound: Bound) -> bool:
        """Whether one of them is beyond a bound."""
        limit = bound.limit.value
        if bound.equals is not None:
            return not self.lo == self.hi == limit
        return self.lo < limit if bound.at_least is not None else self.hi > limit


_YES_OR_NO = Values(0, 1, whole=True)
_YES = Values(1, 1, whole=True)
_COUNT = Values(0, math.inf, whole=True)
_POSITIVE = Values(0, math.inf)
_OF_READ: Mapping[tuple[str, str], Values] = {
    ("http", "up"): _YES_OR_NO,
    ("http", "status"): Values(100, 999, whole=True),
    ("http", "latency"): _POSITIVE,
    ("tcp", "up"): _YES_OR_NO,
    ("tcp", "latency"): _POSITIVE,
    ("grpc", "up"): _YES_OR_NO,
    ("grpc", "status"): Values(0, 3, whole=True),
    ("grpc", "latency"): _POSITIVE,
    ("container", "up"): _YES_OR_NO,
    ("container", "healthy"): _YES_OR_NO,
    ("container", "restarts"): _COUNT,
    ("file", "count"): _COUNT,
    ("file", "bytes"): _COUNT,
    ("command", "success"): _YES_OR_NO,
    ("airflow", "state"): _YES_OR_NO,
    ("redis", "length"): _POSITIVE,
    ("redis", "count"): _COUNT,
    ("feast", "count"): _COUNT,
    ("s3", "count"): _COUNT,
    ("s3", "bytes"): _COUNT,
    ("s3", "changed"): _YES_OR_NO,
    ("s3", "equal"): _YES_OR_NO,
    ("mongo", "up"): _YES,
    ("mongo", "count"): _COUNT,
}
"""By kind and `read`; what is not here may be any number."""
_OF_KIND: Mapping[str, Values] = {"log": _COUNT, "kafka_lag": _COUNT}
_NEVER_DOWN = {("http", "up"), ("tcp", "up"), ("container", "up")}
"""Those to which no answer is a value; any other reading may be none, which breaks every bound."""


def values_of(spec: ProbeSpec) -> Values | None:
    """Return the values that a probe can have; None where it may be any number."""
    return _OF_READ.get((spec.kind, getattr(spec.settings, "read", ""))) or _OF_KIND.get(spec.kind)


def any_answer_keeps(spec: ProbeSpec, bound: Bound) -> bool:
    """Whether a bound only breaks where no answer comes, as a count does that must be 0 or more."""
    values = values_of(spec)
    return values is not None and not values.may_leave(bound)


def cannot_break(spec: ProbeSpec, bound: Bound) -> bool:
    """Whether no reading of a probe breaks a bound, nor can there be none."""
    never_down = (spec.kind, getattr(spec.settings, "read", "")) in _NEVER_DOWN
    return never_down and any_answer_keeps(spec, bound)
