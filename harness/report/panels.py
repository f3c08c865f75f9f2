"""The lower part of the timeline: requests by outcome, and each probe's curve against its bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.journal.records import Journal
from harness.judge.compared import points_since
from harness.judge.facts import gather
from harness.model.answers import ANSWER_PROBES
from harness.model.clauses import Bound
from harness.model.readings import Answer
from harness.model.series import Point
from harness.model.units import Unit
from harness.report.drawing import Canvas, Scale, fitting, log_ticks, stepped, thinned, ticks
from harness.report.spans import OUTCOME_WORDS, OUTCOMES, answers_by_outcome
from harness.report.words import amount, seconds, unit_of

MOST_PANELS = 10
MOST_BINS = 150
LABEL_GAP = 12.0
SIGNS = {"at_least": "≥", "at_most": "≤", "equals": "="}
_TIME_UNITS = ((3600.0, " h"), (60.0, " min"), (1.0, " s"), (1e-3, " ms"))


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the figure: from `top` to `bottom`, on the figure's axis of seconds, with room on both sides."""

    x: Scale
    top: float
    bottom: float
    left: float
    right: float

    def title(self, canvas: Canvas, title: str, subtitle: str) -> None:
        """Write its title at the left, and draw its baseline."""
        y = self.top + 0.3 * (self.bottom - self.top)
        room = self.x.start - self.left - 44
        canvas.text(self.left, y, fitting(title, room, 10.5), "ink", 10.5, bold=True, tip=title)
        canvas.text(self.left, y + 15, fitting(subtitle, room, 9.5), "soft", 9.5, tip=subtitle)
        canvas.line(self.x.start, self.bottom, self.x.end, self.bottom, "line", 0.8)

    def ticks(self, canvas: Canvas, y: Scale, named: Sequence[tuple[float, str]]) -> None:
        """Write the values of the vertical axis, each with a faint line."""
        for value, words in named:
            canvas.line(self.x.start, y(value), self.x.end, y(value), "line", 0.4)
            canvas.text(self.x.start - 5, y(value) + 3.3, words, "soft", 9.5, anchor="end")


@dataclass(frozen=True, slots=True)
class Panel:
    """One probe: its curve, as the judge measures the first of its bounds, and all the bounds on it."""

    probe: str
    unit: Unit
    bounds: tuple[Bound, ...]
    points: tuple[Point, ...]


def panels(journal: Journal) -> list[Panel]:
    """Return a panel for each probe with a bound: to be left, to recover, to stay, steady state."""
    scenario, expect = journal.plan.scenario, journal.plan.scenario.expect
    by_probe: dict[str, list[Bound]] = {}
    for bound in (*expect.recovered, *expect.noticed, *expect.stays, *scenario.steady_state):
        by_probe.setdefault(bound.probe, []).append(bound)
    stack, facts, from_s = journal.plan.stack, gather(journal), journal.phase_s("gate") or 0.0
    return [
        Panel(probe, unit_of(probe, stack), tuple(bounds), tuple(points_since(bounds[0], facts, from_s)))
        for probe, bounds in list(by_probe.items())[:MOST_PANELS]
    ]


def draw_panel(canvas: Canvas, area: Area, panel: Panel) -> None:
    """Draw a probe's curve with its bounds; breaches are shaded, intervals without a result are grey."""
    for lo_s, hi_s, good, why in _intervals(panel.points):
        words = "breaches its bound" if good is False else "inconclusive"
        tip = f"{panel.probe}: {words} {seconds(lo_s)} to {seconds(hi_s)}" + (f": {why}" if why else "")
        left, right = area.x(lo_s), area.x(hi_s)
        colour = "breach" if good is False else "inconclusive"
        canvas.rect(left, area.top, max(right - left, 1.0), area.bottom - area.top, colour, tip)
    y = y_scale(panel, area)
    area.ticks(canvas, y, y_ticks(y, panel.unit))
    area.title(canvas, panel.probe, _subtitle(panel))
    curves = [[(area.x(s), y(value)) for s, value in run] for run in _unbroken(panel.points)]
    drawn = [stepped(thinned(run)) for run in curves]
    canvas.curve([run for run in drawn if len(run) > 1], "curve", 1.6)
    canvas.curve([run for run in drawn if len(run) == 1], "curve", 4)
    _draw_limits(canvas, area, y, panel)


def _draw_limits(canvas: Canvas, area: Area, y: Scale, panel: Panel) -> None:
    """Draw each limit once, labelled at the right; limits too close together share a label."""
    labels: list[tuple[float, list[str]]] = []
    for bound in sorted(panel.bounds, key=lambda b: -b.limit.value):
        at = y(bound.limit.value)
        text = f"{SIGNS[bound.side]} {amount(bound.limit.value, panel.unit)}"
        canvas.line(area.x.start, at, area.x.end, at, "bad", 1.0, "5 3", f"bound of {bound.id}: {panel.probe} {text}")
        if labels and at - labels[-1][0] < LABEL_GAP:
            if text not in labels[-1][1]:
                labels[-1][1].append(text)
            continue
        labels.append((at, [text]))
    room = area.right - area.x.end - 8
    for at, texts in labels:
        text = ", ".join([*(t.removesuffix(" event") for t in texts[:-1]), texts[-1]])
        canvas.text(area.x.end + 6, at + 3.3, fitting(text, room, 9.5), "bad", 9.5, tip=text)


def _subtitle(panel: Panel) -> str:
    ids = ", ".join(b.id for b in panel.bounds)
    over = f", over {panel.bounds[0].over:g} s" if panel.probe in ANSWER_PROBES else ""
    return f"{ids}{over}"


def y_scale(panel: Panel, area: Area) -> Scale:
    """Choose a scale that shows the curve and the bounds: logarithmic for times over several powers of ten."""
    values = [p.value for p in panel.points if p.value is not None and math.isfinite(p.value)]
    limits = [b.limit.value for b in panel.bounds]
    low, high = min(values + limits), max(values + limits)
    positive = [v for v in values + limits if v > 0]
    if panel.unit is Unit.WALL and positive and high / min(positive) > 30:
        return Scale(min(positive) / 1.5, high * 1.5, area.bottom, area.top, log=True)
    if panel.unit is not Unit.RATIO or low > 0.5 * high:
        room = (high - low) * 0.15 or abs(high) * 0.1 or 1.0
    else:
        low, room = 0.0, high * 0.12 or 0.01
    floor = low - room if low - room > 0 or (low < 0 and panel.unit is not Unit.RATIO) else -room * 0.4
    return Scale(floor, high + room, area.bottom, area.top)


def y_ticks(y: Scale, unit: Unit) -> list[tuple[float, str]]:
    """Return the values to write beside a panel, as text: times all in one unit, round in that unit."""
    timed = unit in (Unit.EVENT, Unit.WALL)
    if y.log:
        return [(t, amount(t, unit)) for t in log_ticks(y.low, y.high, 3)]
    size, suffix = next((s for s in _TIME_UNITS if y.high >= 1.5 * s[0]), _TIME_UNITS[-1]) if timed else (1.0, "")
    most = 1.0 if unit is Unit.RATIO and y.high <= 1.2 else math.inf
    values = [t for t in ticks(y.low / size, y.high / size, 4) if t <= most and (t >= 0 or y.low < -0.5 * y.high)]
    return [(t * size, f"{t:.4g}{suffix}" if timed else amount(t, unit)) for t in values]


def _unbroken(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    """Split the curve where it has no value: an interval without a measurement is not drawn."""
    found: list[list[tuple[float, float]]] = []
    begun = False
    for p in points:
        if p.value is None or not math.isfinite(p.value):
            begun = False
            continue
        if not begun:
            found.append([])
            begun = True
        found[-1].append((p.hi_s, p.value))
    return found


def _intervals(points: Sequence[Point]) -> list[tuple[float, float, bool | None, str | None]]:
    """Join neighbours that are not good into intervals, each with the reason of its first point."""
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


def draw_requests(canvas: Canvas, area: Area, journal: Journal) -> None:
    """Draw requests per second, stacked by outcome."""
    size_s = max(1.0, math.ceil((area.x.high - area.x.low) / MOST_BINS))
    bins: dict[int, list[Answer]] = {}
    for _, answer in journal.answers:
        bins.setdefault(math.floor(answer.due_s / size_s), []).append(answer)
    top = max(len(found) for found in bins.values()) / size_s
    y = Scale(0.0, top * 1.08, area.bottom, area.top)
    rounded = _leading_digit(top)
    area.ticks(canvas, y, [(0.0, "0"), (rounded, f"{rounded:g}")])
    area.title(canvas, "requests per second", "by when they were due")
    seen: set[str] = set()
    for k, found in sorted(bins.items()):
        counts = {outcome: n for outcome, n in answers_by_outcome(found).items() if n}
        seen.update(counts)
        left, right = area.x(k * size_s), area.x((k + 1) * size_s)
        if right - left < 0.5:
            continue
        gap = min(0.8, 0.1 * (right - left))
        base = 0.0
        for outcome in OUTCOMES:
            rate = counts.get(outcome, 0) / size_s
            if rate:
                canvas.rect(left + gap, y(base + rate), right - left - 2 * gap, y(base) - y(base + rate), outcome)
                base += rate
        words = ", ".join(f"{n:,} {OUTCOME_WORDS[outcome]}" for outcome, n in counts.items())
        tip = f"{k * size_s:g} s to {(k + 1) * size_s:g} s: {words}"
        canvas.rect(left, area.top, right - left, area.bottom - area.top, None, tip)
    _outcome_labels(canvas, area, [o for o in reversed(OUTCOMES) if o in seen or o == "right"])


def _outcome_labels(canvas: Canvas, area: Area, outcomes: Sequence[str]) -> None:
    for k, outcome in enumerate(outcomes):
        y = area.top + 9 + 15.5 * k
        canvas.rect(area.x.end + 8, y - 8, 9, 9, outcome, radius=1.5)
        words = {"wrong": "silently wrong"}.get(outcome, OUTCOME_WORDS[outcome])
        canvas.text(area.x.end + 21, y, words, "soft", 9.5)


def _leading_digit(top: float) -> float:
    """Round down to one leading digit, for the axis of rates."""
    step = 10.0 ** math.floor(math.log10(max(top, 1)))
    return math.floor(top / step) * step
