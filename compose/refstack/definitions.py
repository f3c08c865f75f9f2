"""The one definition of the live feature: mean departure delay at an origin over the last two hours.

At event time T it is the mean delay, in minutes, of the departures from that origin that actually left in
(T - 2 h, T], in plain event time: the night is not cut out of the window, so mornings do not inherit last
evening's delays. Nobody left in the window: 0. Pipeline, guards, monitor and truth all call this module;
delays are whole minutes, so the sums are exact and do not depend on the order of arrival. That all of them share it
is why no run can show an error in it: ``tests/refstack/test_independent_truth.py`` compares it with a truth of its own.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from refstack.eventtime import Ints

WINDOW_S = 2 * 3600
EMPTY_MIN = 0.0


class Departures:
    """Departures of one origin in order of actual departure, with running sums."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._sums: list[int] = [0]

    def add(self, at: int, delay_min: int) -> None:
        if self._times and at < self._times[-1]:
            raise ValueError(f"departure at {at} comes after one at {self._times[-1]}")
        self._times.append(at)
        self._sums.append(self._sums[-1] + delay_min)

    def mean_delay(self, at: int) -> float:
        low, high = bisect_right(self._times, at - WINDOW_S), bisect_right(self._times, at)
        if low == high:
            return EMPTY_MIN
        return (self._sums[high] - self._sums[low]) / (high - low)

    def forget(self, before: int) -> None:
        """Drop what no window at or after ``before`` can reach."""
        cut = bisect_right(self._times, before - WINDOW_S)
        if cut > 256:
            base = self._sums[cut]
            self._times = self._times[cut:]
            self._sums = [total - base for total in self._sums[cut:]]


def mean_delays(times: Ints, delays_min: Ints, at: Ints) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The same for many instants at once; ``times`` ascending."""
    sums = np.concatenate(([0], np.cumsum(delays_min, dtype=np.int64)))
    low = np.searchsorted(times, at - WINDOW_S, side="right")
    high = np.searchsorted(times, at, side="right")
    count = high - low
    total = sums[high] - sums[low]
    return np.where(count > 0, total / np.maximum(count, 1), EMPTY_MIN)
