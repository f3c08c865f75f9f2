"""From values to places on a drawing: scales, round ticks, and curves with no more points than can be seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
# Samples further apart than this on the drawing are held until the next one: nobody knows of a slope between them.
HOLD_FROM = 6.0
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from `low`..`high` to places from `start`..`end`, along a line or by powers of ten."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value; what is beyond the scale is put at its end."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` round numbers between two values, evenly spaced."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for size in (step * factor for factor in (power, power * 10) for step in STEPS):
        first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
        if last - first + 1 <= most:
            return [k * size for k in range(first, last + 1)]
    return [low]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` powers of ten between two values; less round numbers where there are fewer than two."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, math.ceil((last - first + 1) / most))
    powers = [10.0**k for k in range(first, last + 1, every)]
    if len(powers) >= 2:
        return powers
    finer = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    return finer[-most:] or powers


def thinned(points: Iterable[Point]) -> list[Point]:
    """Return a curve with at most four points a column one unit wide: the first, the lowest, the highest, the last.

    So no peak is lost, however long the run. Points are places on the drawing, ordered by x.
    """
    columns: dict[int, list[Point]] = {}
    for point in points:
        columns.setdefault(math.floor(point[0]), []).append(point)
    found: list[Point] = []
    for column in columns.values():
        if len(column) > 4:
            keep = {0, len(column) - 1, *(f(range(len(column)), key=lambda k: column[k][1]) for f in (min, max))}
            column = [column[k] for k in sorted(keep)]
        found.extend(column)
    return _without_flat(found)


def stepped(points: Sequence[Point]) -> list[Point]:
    """Return a curve in which a value is held until the next one, where that is far enough away to be seen."""
    found: list[Point] = []
    for point in points:
        if found and point[0] - found[-1][0] > HOLD_FROM and point[1] != found[-1][1]:
            found.append((point[0], found[-1][1]))
        found.append(point)
    return found


def _without_flat(points: list[Point]) -> list[Point]:
    """Leave out the inner points of level stretches."""
    return [
        point
        for k, point in enumerate(points)
        if k in (0, len(points) - 1) or not points[k - 1][1] == point[1] == points[k + 1][1]
    ]
