"""The picture of a run: lanes and panels on one axis of seconds, with the moments that matter drawn through them.

Laid out by hand in points, so that every report has the same proportions however much there is to show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.journal.records import Journal
from harness.model.verdict import Verdict
from harness.report.lanes import draw_lanes, lane_rows
from harness.report.outcomes import draw_requests
from harness.report.palette import LIGHT
from harness.report.panels import Panel, draw_panel, panels
from harness.report.spans import Marker, extent, markers
from harness.report.svg import Drawing, settings
from harness.report.words import seconds

WIDTH = 960.0
LEFT, RIGHT = 212.0, 104.0
LANE, REQUESTS, PANEL, SPACE, AXIS = 23.0, 92.0, 70.0, 20.0, 10.0
LABEL_ROW = 15.0


@dataclass
class Page:
    """A figure filled from the top down; all its parts share one axis of seconds."""

    height: float
    from_s: float
    to_s: float
    drawing: Drawing
    figure: Any
    y: float = 0.0
    parts: list[Any] = field(default_factory=list)

    def part(self, height: float) -> Any:
        """Add a part of that height below the last one."""
        self.y += height
        box = (LEFT / WIDTH, 1 - self.y / self.height, (WIDTH - LEFT - RIGHT) / WIDTH, height / self.height)
        axes = self.figure.add_axes(box)
        axes.set_xlim(self.from_s, self.to_s)
        axes.patch.set_visible(False)
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0, labelsize=9.5, labelcolor=LIGHT["soft"], pad=4)
        axes.grid(True, axis="x", color=LIGHT["line"], linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelbottom=False)
        self.parts.append(axes)
        return axes


def run_svg(journal: Journal, verdict: Verdict) -> str:
    """Return the picture of a run as one `<svg>` element."""
    with settings(journal.plan.run):
        return _draw(journal, verdict)


def _draw(journal: Journal, verdict: Verdict) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    from_s, to_s = extent(journal)
    moments = [m for m in markers(verdict) if from_s <= m.at_s <= to_s]
    placed = _rows(moments, from_s, to_s)
    top = 10.0 + LABEL_ROW * max([row + 1 for row, _ in placed], default=0)
    rows = lane_rows(journal)
    shown = panels(journal, from_s, to_s)
    answered = bool(journal.answers)
    height = top + LANE * len(rows) + SPACE + (REQUESTS + SPACE) * answered + (PANEL + SPACE) * len(shown) + AXIS
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    figure.patch.set_facecolor(LIGHT["paper"])
    page = Page(height, from_s, to_s, Drawing(journal.plan.run), figure, y=top)
    draw_lanes(page.part(LANE * len(rows)), page.drawing, rows)
    page.y += SPACE
    if answered:
        draw_requests(page.part(REQUESTS), page.drawing, journal)
        page.y += SPACE
    for panel in shown:
        draw_panel(page.part(PANEL), page.drawing, panel)
        page.y += SPACE
    _axis(page)
    _draw_markers(page, placed, top)
    return page.drawing.svg(figure, f"Timeline of {journal.plan.run}", _description(moments, shown))


def _axis(page: Page) -> None:
    from matplotlib.ticker import MaxNLocator

    # One locator for all parts, or the grid lines would not meet.
    ticks = [t for t in MaxNLocator(12, steps=[1, 2, 5, 10]).tick_values(page.from_s, page.to_s)
             if page.from_s <= t <= page.to_s]  # fmt: skip
    for axes in page.parts:
        axes.set_xticks(ticks)
    last = page.parts[-1]
    last.tick_params(labelbottom=True)
    last.set_xticklabels([f"{t:g} s" for t in ticks])


def _rows(moments: Sequence[Marker], from_s: float, to_s: float) -> list[tuple[int, Marker]]:
    """Give each marker's label a row, from the right: above every later marker whose line it would run across."""
    points_per_s = (WIDTH - LEFT - RIGHT) / (to_s - from_s)
    placed: list[tuple[int, Marker]] = []
    for moment in reversed(moments):
        ends_s = moment.at_s + (6.4 * len(_label(moment)) + 8) / points_per_s
        row = max((r + 1 for r, later in placed if later.at_s < ends_s), default=0)
        placed.append((row, moment))
    return placed[::-1]


def _label(moment: Marker) -> str:
    return f"{moment.what} {seconds(moment.at_s)}"


def _draw_markers(page: Page, placed: Sequence[tuple[int, Marker]], top: float) -> None:
    bottom = page.y - SPACE
    box = (LEFT / WIDTH, 1 - bottom / page.height, (WIDTH - LEFT - RIGHT) / WIDTH, bottom / page.height)
    axes = page.figure.add_axes(box, zorder=10)
    axes.set_xlim(page.from_s, page.to_s)
    axes.set_ylim(bottom, 0)
    axes.axis("off")
    for row, moment in placed:
        y = top - 6 - LABEL_ROW * row
        colour = LIGHT["fault"] if moment.what in ("injected", "reverted") else LIGHT["marker"]
        (line,) = axes.plot([moment.at_s] * 2, [y - 9, bottom], color=colour, linewidth=1.1, linestyle=(0, (4, 2.5)))
        page.drawing.tip(line, _label(moment))
        axes.annotate(
            _label(moment), (moment.at_s, y), (4, 0), textcoords="offset points",
            fontsize=10.5, fontweight="bold", color=colour, va="baseline",
        )  # fmt: skip


def _description(moments: Sequence[Marker], shown: Sequence[Panel]) -> str:
    said = ", ".join(_label(m) for m in moments) or "no fault was injected"
    drawn = ", ".join(panel.probe for panel in shown)
    return f"{said}. Curves: {drawn or 'none'}. The same is told in words in the tables of this page."
