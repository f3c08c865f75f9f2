"""Figures and tables: quantiles, medians with their extremes, and tables as aligned Markdown.

Pure: numbers in, text out. A figure that could not be measured is None and is shown as a dash, never as 0.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

NOTHING = "–"
Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """A table: what it shows, its columns, and its rows as text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """Return it as Markdown with aligned columns, under its title."""
        widths = [max(len(row[k]) for row in (self.columns, *self.rows)) for k in range(len(self.columns))]
        lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in self.rows]
        head = "| " + " | ".join(c.ljust(w) for c, w in zip(self.columns, widths, strict=True)) + " |"
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        parts = [f"**{self.title}**", "", head, rule, *lines]
        return "\n".join([*parts, "", self.note] if self.note else parts)

    def as_json(self) -> dict[str, Any]:
        """Return it as it is stored."""
        return {"title": self.title, "columns": list(self.columns), "rows": [list(r) for r in self.rows]} | (
            {"note": self.note} if self.note else {}
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Table:
        """Return a stored table."""
        rows = tuple(tuple(row) for row in data["rows"])
        return cls(data["title"], tuple(data["columns"]), rows, data.get("note", ""))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]], note: str = "") -> Table:
    """Make a table of text and numbers."""
    return Table(title, tuple(columns), tuple(tuple(shown(cell) for cell in row) for row in rows), note)


def shown(value: Cell, digits: int = 3) -> str:
    """Return a cell as text: a number with so many significant digits, never in scientific notation."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, int) or value == 0:
        return str(int(value))
    if not math.isfinite(value):
        return NOTHING
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


@dataclass(frozen=True)
class Spread:
    """Median, extremes and count of some measurements."""

    median: float
    min: float
    max: float
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of some measurements, None where there are none."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values))


def spread_cells(values: Sequence[float], scale: float = 1.0) -> tuple[Cell, Cell, Cell, Cell]:
    """Return median, min, max and n as cells, scaled (1e3 for milliseconds)."""
    found = spread(values)
    if found is None:
        return None, None, None, 0
    return found.median * scale, found.min * scale, found.max * scale, found.n


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest measurement that at least this share does not exceed (nearest rank); None where none is."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """Return ours over theirs, None where either is missing or theirs is 0."""
    return None if ours is None or not theirs else ours / theirs


def median(values: Sequence[float]) -> float | None:
    """Return the median, None where there is nothing."""
    return statistics.median(values) if values else None
