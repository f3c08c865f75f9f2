"""The timeline of a run: phases, faults, alerts and probes on one axis of seconds, with the key moments drawn through.

Laid out in fixed units, so that every report has the same proportions however much there is to show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.journal.records import Journal
from harness.model.readings import FaultSeen
from harness.model.verdict import Verdict
from harness.report.drawing import Canvas, Scale, fitting, text_width, ticks
from harness.report.panels import Area, Panel, draw_panel, draw_requests, panels
from harness.report.spans import (
    MOST_LANES,
    AlertLane,
    FaultLane,
    Interval,
    Marker,
    alert_lanes,
    extent,
    fault_lanes,
    markers,
    phases,
)
from harness.report.words import seconds

WIDTH, LEFT, RIGHT, EDGE = 960.0, 212.0, 104.0, 12.0
LANE, REQUESTS, PANEL, SPACE, AXIS = 23.0, 92.0, 70.0, 20.0, 18.0
LABEL_ROW = 15.0
# A firing that fell between two polls has no length; it must still be visible.
LEAST_BAR = 2.2
_PHASES = {"gate": "phase-gate", "baseline": "phase-baseline", "fault": "phase-fault", "observing": "phase-observing"}
_FAULT = {
    "unconfirmed": ("fault-tint", "injected, not yet confirmed"),
    "confirmed": ("fault", "active and confirmed"),
    "reverting": ("fault-tint", "being reverted"),
    "planned": (None, "planned, not injected"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval with its colour and its tooltip; without a colour it is an outline."""

    interval: Interval
    colour: str | None
    tip: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class LaneRow:
    """One lane: its label, its kind, and its bars."""

    label: str
    kind: str
    bars: tuple[Bar, ...]
    note: str = ""


def run_svg(journal: Journal, verdict: Verdict, alerts: Sequence[AlertLane] | None = None) -> str:
    """Return the timeline of a run as one `<svg>` element; `alerts` are its alert lanes, where they are known."""
    from_s, to_s = extent(journal)
    x = Scale(from_s, to_s, LEFT, WIDTH - RIGHT)
    moments = _rows([m for m in markers(verdict) if from_s <= m.at_s <= to_s], x)
    lanes, probes = lane_rows(journal, alerts), panels(journal)
    top = 10.0 + LABEL_ROW * max([row + 1 for row, _ in moments], default=0)
    heights = [LANE * len(lanes), *([REQUESTS] if journal.answers else []), *[PANEL] * len(probes)]
    areas = _stack(x, top, heights)
    bottom = areas[-1].bottom
    canvas = Canvas()
    _draw_axis(canvas, x, top, bottom)
    _draw_lanes(canvas, areas[0], lanes)
    if journal.answers:
        draw_requests(canvas, areas[1], journal)
    for area, panel in zip(areas[len(areas) - len(probes) :], probes, strict=True):
        draw_panel(canvas, area, panel)
    _draw_moments(canvas, moments, x, top, bottom)
    title = f"Timeline of {journal.plan.run}"
    return canvas.svg(WIDTH, bottom + AXIS, title, _description([m for _, m in moments], probes))


def _stack(x: Scale, top: float, heights: Sequence[float]) -> list[Area]:
    """Lay areas out one below the other."""
    areas = []
    for height in heights:
        areas.append(Area(x, top, top + height, EDGE, WIDTH))
        top += height + SPACE
    return areas


def _draw_axis(canvas: Canvas, x: Scale, top: float, bottom: float) -> None:
    for at_s in ticks(x.low, x.high, 12):
        canvas.line(x(at_s), top, x(at_s), bottom, "line", 0.6)
        canvas.text(x(at_s), bottom + 14, f"{at_s:g} s", "soft", 9.5, anchor="middle")


def lane_rows(journal: Journal, alerts: Sequence[AlertLane] | None = None) -> list[LaneRow]:
    """Return the lanes of a run from the top: the phases, each fault, each alert."""
    rows = [LaneRow("phase", "phase", tuple(_phase(s) for s in phases(journal)))]
    rows += [_fault(lane) for lane in fault_lanes(journal)]
    alerts = alert_lanes(journal) if alerts is None else alerts
    injected = any(seen.stage == "injected" for _, seen in journal.of(FaultSeen))
    rows += [_alert(lane, injected) for lane in alerts[:MOST_LANES]]
    if len(alerts) > MOST_LANES:
        rows.append(LaneRow(f"and {len(alerts) - MOST_LANES} more alerts", "more", (), "listed below"))
    return rows


def _phase(interval: Interval) -> Bar:
    tip = f"{interval.what}: {interval.period}"
    return Bar(interval, _PHASES.get(interval.what, "phase-other"), tip, interval.what)


def _fault(lane: FaultLane) -> LaneRow:
    bars = []
    for s in lane.intervals:
        colour, words = _FAULT[s.what]
        bars.append(Bar(s, colour, f"{lane.label}: {words}, {s.period}"))
    note = "" if lane.intervals else "never injected"
    return LaneRow(lane.label, "fault", tuple(bars), "failed" if lane.failed_s is not None else note)


def _alert(lane: AlertLane, injected: bool) -> LaneRow:
    solid, light = ("alert", "alert-tint") if lane.expected else ("unexpected", "unexpected-tint")
    bars = [
        Bar(s, colour, f"{lane.label}: {s.what} {s.period}")
        for intervals, colour in ((lane.pending, light), (lane.firing, solid))
        for s in intervals
    ]
    never = "never fired" if injected else "did not fire"
    note = "" if lane.firing else never if lane.expected else "pending only"
    return LaneRow(lane.label, "expected" if lane.expected else "not expected", tuple(bars), note)


def _draw_lanes(canvas: Canvas, area: Area, rows: Sequence[LaneRow]) -> None:
    for k, row in enumerate(rows):
        top = area.top + LANE * k
        canvas.line(area.x.start, top + LANE, area.x.end, top + LANE, "line", 0.6)
        _draw_label(canvas, area, top + 0.68 * LANE, row)
        for bar in row.bars:
            _draw_bar(canvas, area.x, top, bar)


def _draw_label(canvas: Canvas, area: Area, y: float, row: LaneRow) -> None:
    colour = {"fault": "fault", "expected": "alert", "not expected": "unexpected"}.get(row.kind, "soft")
    # A sign as well as a colour, for readers who cannot tell the colours apart.
    sign = {"fault": "▼", "expected": "●", "not expected": "▲"}.get(row.kind)
    if sign is not None:
        canvas.text(area.left, y, sign, colour, 8.5)
    room = area.x.start - area.left - 18
    tip = row.label if row.kind == "phase" else f"{row.label} ({row.kind})"
    canvas.text(area.left + 14, y, fitting(row.label, room, 10.5), "ink", 10.5, tip=tip)
    note = row.note or (row.kind if row.kind == "not expected" else "")
    if note:
        calm = row.kind in ("phase", "more") or note in ("pending only", "did not fire")
        canvas.text(area.x.end + 8, y, note, "soft" if calm else "bad", 9.5)


def _draw_bar(canvas: Canvas, x: Scale, top: float, bar: Bar) -> None:
    if bar.interval.to_s < x.low or bar.interval.from_s > x.high:
        return
    left, right = x(bar.interval.from_s), x(bar.interval.to_s)
    width = max(right - left, LEAST_BAR)
    inset = 0.1 if bar.text else 0.2
    box = (left, top + inset * LANE, width, (1 - 2 * inset) * LANE)
    if bar.colour is None:
        canvas.outline(*box, "fault", bar.tip)
    else:
        canvas.rect(*box, bar.colour, bar.tip)
    if bar.text and text_width(bar.text, 9.5) + 4 < width:
        canvas.text((left + right) / 2, top + 0.66 * LANE, bar.text, "ink", 9.5, anchor="middle")


def _rows(moments: Sequence[Marker], x: Scale) -> list[tuple[int, Marker]]:
    """Give each label a row, from the right: above every later moment whose line it would run across."""
    placed: list[tuple[int, Marker]] = []
    for moment in reversed(moments):
        end = x(moment.at_s) + text_width(_label(moment), 10.5) + 10
        row = max((r + 1 for r, later in placed if x(later.at_s) < end), default=0)
        placed.append((row, moment))
    return placed[::-1]


def _label(moment: Marker) -> str:
    return f"{moment.what} {seconds(moment.at_s)}"


def _draw_moments(canvas: Canvas, placed: Sequence[tuple[int, Marker]], x: Scale, top: float, bottom: float) -> None:
    for row, moment in placed:
        at, y, label = x(moment.at_s), top - 6 - LABEL_ROW * row, _label(moment)
        colour = "fault" if moment.what in ("injected", "reverted") else "marker"
        canvas.line(at, y - 9, at, bottom, colour, 1.1, "4 2.5", label)
        canvas.text(at + 4, y, label, colour, 10.5, bold=True)


def _description(moments: Sequence[Marker], probes: Sequence[Panel]) -> str:
    summary = ", ".join(_label(m) for m in moments) or "no fault was injected"
    drawn = ", ".join(panel.probe for panel in probes) or "none"
    return f"{summary}. Probes: {drawn}. The tables of this page hold the same information as text."
