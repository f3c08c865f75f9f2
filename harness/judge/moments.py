"""Moments as intervals, and how they compare with deadlines.

No event is known to the instant: polls show it absent, then present. A deadline inside such an interval was neither
kept nor missed.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.verdict import Value


@dataclass(frozen=True, slots=True)
class Span:
    """A moment, or a length of time, that lies somewhere in `lo`..`hi` (seconds)."""

    lo: float
    hi: float

    def since(self, start: Span) -> Span:
        """Return how long after `start` this is: the shortest and the longest that it can have been, not below 0."""
        return Span(max(0.0, self.lo - start.hi), max(0.0, self.hi - start.lo))

    def within(self, limit_s: float) -> Value:
        """Judge a length of time against a deadline."""
        if self.hi <= limit_s:
            return Value.PASS
        return Value.FAIL if self.lo > limit_s else Value.UNKNOWN


def seconds(value: float) -> str:
    """Return a length of time for a sentence."""
    return f"{value:.2f} s"


def span_text(span: Span) -> str:
    """Return a length of time for a sentence, as an interval where that says more."""
    return seconds(span.hi) if span.hi - span.lo < 0.005 else f"{span.lo:.2f}–{span.hi:.2f} s"


def but(reason: str, cause: str | None) -> str:
    """Return a reason with what may be the cause of it, where there is something."""
    return reason if cause is None else f"{reason}, but {cause}"
