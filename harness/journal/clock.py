"""The clock of one run: everything in a journal is stamped on it."""

from __future__ import annotations

import time


class Clock:
    """Seconds since a run's journal was opened. One a run: two that were started apart differ by what lay between."""

    def __init__(self) -> None:
        self._origin_s = time.monotonic()

    def now_s(self) -> float:
        """Return the seconds that have passed, on the monotonic clock."""
        return time.monotonic() - self._origin_s

    def at_s(self, monotonic_s: float) -> float:
        """Turn a reading of time.monotonic() into this clock's."""
        return monotonic_s - self._origin_s

    def unix_at_zero_s(self) -> float:
        """Return the unix time at which this clock stood at 0, by what the system's clock says now."""
        tightest_s, offset_s = float("inf"), 0.0
        for _ in range(3):  # who is interrupted between two readings takes the pause for a difference of the clocks
            before_s, unix_s, after_s = self.now_s(), time.time(), self.now_s()
            if after_s - before_s < tightest_s:
                tightest_s, offset_s = after_s - before_s, unix_s - (before_s + after_s) / 2
        return offset_s
