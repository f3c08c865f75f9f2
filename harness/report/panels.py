"""The lower part of the picture: each probe's curve against its bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.journal.records import Journal
from harness.model.answers import ANSWER_PROBES
from harness.model.expectations import Bound
from harness.model.series import STEP_S, Point, answer_series, reading_series
from harness.model.units import Unit
from harness.report.outcomes import side_title
from harness.report.palette import LIGHT
from harness.report.svg import Drawing
from harness.report.words import amount, seconds, unit_of

MOST_PANELS = 10


@dataclass(frozen=True, slots=True)
class Panel:
    """One probe: its curve, as the first of its bounds sees it, and all the bounds on it."""

    probe: str
    unit: Unit
    bounds: tuple[Bound, ...]
    points: tuple[Point, ...]


def panels(journal: Journal, from_s: float, to_s: float) -> list[Panel]:
    """Return a panel a probe that a clause uses: what must recover, what must stay, what the gate waits for."""
    scenario = journal.plan.scenario
    by_probe: dict[str, list[Bound]] = {}
    for bound in (*scenario.expect.recovered, *scenario.expect.stays, *scenario.steady_state):
        by_probe.setdefault(bound.probe, []).append(bound)
    start_s, end_s = _looked(journal, from_s, to_s)
    return [
        Panel(
            probe, unit_of(probe, journal.plan.stack), tuple(bounds), tuple(_points(journal, bounds[0], start_s, end_s))
        )
        for probe, bounds in list(by_probe.items())[:MOST_PANELS]
    ]


def _looked(journal: Journal, from_s: float, to_s: float) -> tuple[float, float]:
    """Return where the curves begin and end: windows fall where the judge's do, which counts them from the gate."""
    begun_s = journal.phase_s("gate")
    start_s = max(from_s, begun_s) if begun_s is not None else from_s
    if journal.gate is not None and journal.gate[1].met:
        gate_s = journal.gate[1].at_s
        start_s = gate_s - math.floor((gate_s - start_s) / STEP_S) * STEP_S
    observed_s = journal.phase_s("observed")
    return start_s, min(to_s, observed_s) if observed_s is not None else to_s


def _points(journal: Journal, bound: Bound, from_s: float, to_s: float) -> list[Point]:
    if bound.probe in ANSWER_PROBES:
        return answer_series(bound, journal.answers, from_s, to_s, journal.gaps("workload"))
    return reading_series(bound, journal.readings(bound.probe), from_s, to_s, journal.gaps(bound.probe))


def draw_panel(axes: Any, drawing: Drawing, panel: Panel) -> None:
    """Draw a probe's curve with its bounds; breaches are shaded, stretches that cannot be judged greyed."""
    for lo_s, hi_s, good, why in _stretches(panel.points):
        words = "breaches" if good is False else "cannot be judged"
        tip = f"{panel.probe} {words} {seconds(lo_s)} to {seconds(hi_s)}" + (f": {why}" if why else "")
        colour = LIGHT["breach" if good is False else "blind"]
        drawing.tip(axes.axvspan(lo_s, max(hi_s, lo_s + 0.05), facecolor=colour, edgecolor="none"), tip)
    scale = _Scale.of(panel)
    low, high, log = scale.low, scale.high, scale.log
    if log:
        axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.minorticks_off()
    ticks = _ticks(low, high, log, panel.unit)
    axes.set_yticks(ticks, [amount(t, panel.unit).removesuffix(" event") for t in ticks])
    for x, y in _runs(panel.points):
        shown = [min(max(v, low), high) for v in y]
        axes.plot(x, shown, color=LIGHT["curve"], linewidth=1.6, marker="o" if len(x) == 1 else None, markersize=2.5)
    _limits(axes, drawing, panel)
    side_title(axes, panel.probe, _subtitle(panel))


def _limits(axes: Any, drawing: Drawing, panel: Panel) -> None:
    """Draw each limit once, named beside the panel; those too close to be told apart share one label."""
    labels: list[tuple[float, list[str]]] = []
    for bound in sorted(panel.bounds, key=lambda b: -b.limit.value):
        text = f"{'≥' if bound.at_least is not None else '≤'} {amount(bound.limit.value, panel.unit)}"
        line = axes.axhline(bound.limit.value, color=LIGHT["bad"], linewidth=1.0, linestyle=(0, (5, 3)))
        drawing.tip(line, f"bound of {bound.id}: {panel.probe} {text}")
        y = axes.transData.transform((0, bound.limit.value))[1]
        if labels and labels[-1][0] - y < 11:
            if text not in labels[-1][1]:
                labels[-1][1].append(text)
            continue
        labels.append((y, [text]))
    for y, shown in labels:
        text = ", ".join(t.removesuffix(" event") for t in shown[:-1]) + (", " if shown[1:] else "") + shown[-1]
        at = axes.transAxes.inverted().transform((0, y))[1]
        axes.annotate(text, (1.0, at), (6, 0), xycoords="axes fraction", textcoords="offset points",
                      fontsize=9.5, color=LIGHT["bad"], va="center", annotation_clip=False)  # fmt: skip


def _subtitle(panel: Panel) -> str:
    ids = ", ".join(b.id for b in panel.bounds)
    over = f", over {panel.bounds[0].over:g} s" if panel.probe in ANSWER_PROBES else ""
    return f"{ids}{over}"


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, panel: Panel) -> _Scale:
        """Choose a scale that shows the curve and the bounds: logarithmic for times over several powers of ten."""
        values = [p.value for p in panel.points if p.value is not None and math.isfinite(p.value)]
        limits = [b.limit.value for b in panel.bounds]
        low, high = min(values + limits), max(values + limits)
        positive = [v for v in values + limits if v > 0]
        if panel.unit is Unit.WALL and positive and high / min(positive) > 30:
            return cls(min(positive) / 1.5, high * 1.5, True)
        if panel.unit is not Unit.RATIO or low > 0.5 * high:
            room = (high - low) * 0.15 or abs(high) * 0.1 or 1.0
        else:
            low, room = 0.0, high * 0.12 or 0.01
        floor = low - room if low - room > 0 or low < 0 else -room * 0.4
        return cls(floor if panel.unit is not Unit.RATIO or low > 0 else -room * 0.4, high + room, False)


def _ticks(low: float, high: float, log: bool, unit: Unit) -> list[float]:
    from matplotlib.ticker import LogLocator, MaxNLocator

    if log:
        return [float(t) for t in LogLocator(numticks=4).tick_values(low, high) if low <= t <= high]
    size = 1.0
    if unit in (Unit.EVENT, Unit.WALL):
        # Round numbers of the unit in which they are written.
        size = next((s for s in (3600.0, 60.0, 1.0) if high >= 1.5 * s), 1e-3)
    found = MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]).tick_values(low / size, high / size)
    return [float(t) * size for t in found if low <= t * size <= high and (t >= 0 or low < -0.5 * high)]


def _runs(points: Sequence[Point]) -> list[tuple[list[float], list[float]]]:
    """Split the curve where it has no value: what was not measured is not drawn."""
    found: list[tuple[list[float], list[float]]] = []
    begun = False
    for p in points:
        if p.value is None or not math.isfinite(p.value):
            begun = False
            continue
        if not begun:
            found.append(([], []))
            begun = True
        found[-1][0].append(p.hi_s)
        found[-1][1].append(p.value)
    return found


def _stretches(points: Sequence[Point]) -> list[tuple[float, float, bool | None, str | None]]:
    """Join neighbours that are not good into stretches, each with the reason of its first point."""
    found: list[tuple[float, float, bool | None, str | None]] = []
    before: Point | None = None
    for p in points:
        if p.good is not True:
            if before is not None and before.good is p.good and (before.why is None) == (p.why is None):
                lo_s, hi_s, _, why = found[-1]
                found[-1] = (lo_s, max(hi_s, p.hi_s), p.good, why)
            else:
                found.append((p.lo_s, p.hi_s, p.good, p.why))
        before = p
    return found
