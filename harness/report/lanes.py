"""The upper part of the picture: a lane for the phases, one a fault, one an alert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.journal.records import Journal
from harness.report.palette import LIGHT
from harness.report.spans import MOST_LANES, AlertLane, FaultLane, Stretch, alert_lanes, fault_lanes, phases
from harness.report.svg import Drawing
from harness.report.words import seconds

LABEL_CHARS = 31
_PHASES = {"gate": "phase-gate", "baseline": "phase-baseline", "fault": "phase-fault", "observing": "phase-observing"}
_FAULT = {
    "unconfirmed": ("fault-tint", "put in, not yet confirmed at its seam"),
    "confirmed": ("fault", "in, confirmed at its seam"),
    "reverting": ("fault-tint", "being taken out"),
    "planned": (None, "planned, not put in"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch with its colour and its tooltip; no colour is an outline."""

    stretch: Stretch
    colour: str | None
    tip: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class LaneRow:
    """One lane: its label, what kind it is, and its bars."""

    label: str
    kind: str
    bars: tuple[Bar, ...]
    note: str = ""


def lane_rows(journal: Journal) -> list[LaneRow]:
    """Return the lanes of a run, from the top."""
    rows = [LaneRow("phase", "phase", tuple(_phase(s) for s in phases(journal)))]
    rows += [_fault(lane) for lane in fault_lanes(journal)]
    alerts = alert_lanes(journal)
    rows += [_alert(lane) for lane in alerts[:MOST_LANES]]
    if len(alerts) > MOST_LANES:
        rows.append(LaneRow(f"and {len(alerts) - MOST_LANES} more alerts", "more", (), "listed below"))
    return rows


def _phase(stretch: Stretch) -> Bar:
    tip = f"{stretch.what}: {seconds(stretch.from_s)} to {seconds(stretch.to_s)}"
    return Bar(stretch, _PHASES.get(stretch.what, "phase-other"), tip, stretch.what)


def _fault(lane: FaultLane) -> LaneRow:
    bars = []
    for s in lane.stretches:
        colour, words = _FAULT[s.what]
        bars.append(Bar(s, colour, f"{lane.label}: {words}, {seconds(s.from_s)} to {seconds(s.to_s)}"))
    note = "" if lane.stretches else "never put in"
    return LaneRow(lane.label, "fault", tuple(bars), "failed" if lane.failed_s is not None else note)


def _alert(lane: AlertLane) -> LaneRow:
    solid, light = ("alert", "alert-tint") if lane.expected else ("stray", "stray-tint")
    bars = [
        Bar(s, colour, f"{lane.label}: {s.what} {seconds(s.from_s)} to {seconds(s.to_s)}")
        for stretches, colour in ((lane.pending, light), (lane.firing, solid))
        for s in stretches
    ]
    note = "" if lane.firing else "never fired" if lane.expected else "pending only"
    return LaneRow(lane.label, "expected" if lane.expected else "not expected", tuple(bars), note)


def draw_lanes(axes: Any, drawing: Drawing, rows: Sequence[LaneRow]) -> None:
    """Draw the lanes into their part of the figure."""
    axes.set_ylim(len(rows), 0)
    axes.set_yticks([])
    for k, row in enumerate(rows):
        axes.axhline(k + 1, color=LIGHT["line"], linewidth=0.6)
        _label(axes, drawing, k, row)
        for bar in row.bars:
            _bar(axes, drawing, k, bar)


def _label(axes: Any, drawing: Drawing, k: int, row: LaneRow) -> None:
    text = row.label if len(row.label) <= LABEL_CHARS else row.label[: LABEL_CHARS - 1] + "…"
    colour = {"fault": "fault", "expected": "alert", "not expected": "stray"}.get(row.kind, "soft")
    where = axes.get_yaxis_transform()
    if row.kind != "phase":
        # A sign beside the colour, for those who cannot tell the colours apart.
        sign = {"fault": "▼", "expected": "●", "not expected": "▲", "more": " "}[row.kind]
        axes.text(-0.31, k + 0.68, sign, transform=where, fontsize=8.5, color=LIGHT[colour])
    label = axes.text(-0.29, k + 0.68, text, transform=where, fontsize=10.5, color=LIGHT["ink"])
    drawing.tip(label, f"{row.label} ({row.kind})" if row.kind != "phase" else row.label)
    said = row.note or (row.kind if row.kind == "not expected" else "")
    calm = row.kind in ("phase", "more") or said == "pending only"
    if said:
        axes.text(1.01, k + 0.68, said, transform=where, fontsize=9.5, color=LIGHT["soft" if calm else "bad"])


def _bar(axes: Any, drawing: Drawing, k: int, bar: Bar) -> None:
    from matplotlib.patches import Rectangle

    low, high = axes.get_xlim()
    from_s, to_s = max(bar.stretch.from_s, low), min(bar.stretch.to_s, high)
    if to_s < from_s:
        return
    # A firing that no poll saw has no length; it must still be seen.
    width = max(to_s - from_s, (high - low) / 300)
    style: dict[str, Any] = {"facecolor": LIGHT[bar.colour], "edgecolor": "none"} if bar.colour else {
        "facecolor": "none", "edgecolor": LIGHT["fault"], "linestyle": (0, (3, 2)), "linewidth": 1.0}  # fmt: skip
    inset = 0.1 if bar.text else 0.2
    drawing.tip(axes.add_patch(Rectangle((from_s, k + inset), width, 1 - 2 * inset, **style)), bar.tip)
    if bar.text and (to_s - from_s) / (high - low) * 644 > 6 * len(bar.text) + 6:
        axes.text((from_s + to_s) / 2, k + 0.67, bar.text, fontsize=9.5, color=LIGHT["ink"], ha="center")
