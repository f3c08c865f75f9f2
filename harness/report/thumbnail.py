"""The timeline of a run in one strip, for the table of a suite: fault, alerts, and the seconds with bad answers."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from harness.journal.records import Journal
from harness.model.verdict import Verdict
from harness.report.outcomes import outcome_of
from harness.report.palette import LIGHT
from harness.report.spans import alert_lanes, extent, fault_lanes, markers
from harness.report.words import seconds

WIDTH, HEIGHT = 960.0, 44.0


_BAD = ("wrong", "failed")


def thumbnail_svg(journal: Journal, verdict: Verdict) -> str:
    """Return the strip as one `<svg>` element."""
    from_s, to_s = extent(journal)
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH:g} {HEIGHT:g}",
                              "width": "100%", "height": "44", "class": "thumb", "role": "img",
                              "preserveAspectRatio": "none"})  # fmt: skip
    moments = markers(verdict)
    said = ", ".join(f"{m.what} {seconds(m.at_s)}" for m in moments) or "no fault was injected"
    root.set("aria-label", f"Timeline of {journal.plan.run}: {said}")

    def x(at_s: float) -> float:
        return (min(max(at_s, from_s), to_s) - from_s) / (to_s - from_s) * WIDTH

    def bar(start_s: float, end_s: float, y: float, height: float, colour: str, tip: str) -> None:
        width = max(x(end_s) - x(start_s), 2.0)
        box = {"x": x(start_s), "y": y, "width": width, "height": height}
        rect = ET.SubElement(root, "rect", {k: f"{v:.1f}" for k, v in box.items()})
        rect.attrib.update({"fill": LIGHT[colour], "class": f"f-{colour}"})
        ET.SubElement(rect, "title").text = tip

    bar(from_s, to_s, 0, HEIGHT, "card", f"{seconds(from_s)} to {seconds(to_s)}")
    for first, last in _joined({math.floor(a.due_s) for _, a in journal.answers if outcome_of(a) in _BAD}):
        tip = f"{first} s to {last} s: silently wrong, stale or failed answers"
        bar(first, last, 0, HEIGHT, "breach", tip)
    for lane in fault_lanes(journal):
        for s in lane.stretches:
            if s.what != "planned":
                colour = "fault" if s.what == "confirmed" else "fault-tint"
                bar(s.from_s, s.to_s, 8, 10, colour, f"{lane.label}: {seconds(s.from_s)} to {seconds(s.to_s)}")
    for alert in alert_lanes(journal):
        for s in alert.firing:
            colour = "alert" if alert.expected else "stray"
            tip = f"{alert.label} fires {seconds(s.from_s)} to {seconds(s.to_s)}"
            bar(s.from_s, s.to_s, 26 if alert.expected else 32, 10, colour, tip)
    for moment in moments:
        if moment.what in ("detected", "recovered"):
            at = x(moment.at_s)
            line = ET.SubElement(root, "path", {"d": f"M{at:.1f} 0V{HEIGHT:g}", "stroke": LIGHT["marker"]})
            line.attrib.update({"class": "s-marker", "stroke-width": "2", "stroke-dasharray": "4 3"})
            ET.SubElement(line, "title").text = f"{moment.what} {seconds(moment.at_s)}"
    return ET.tostring(root, encoding="unicode")


def _joined(found: set[int]) -> list[tuple[int, int]]:
    """Join seconds that follow one another into stretches."""
    stretches: list[tuple[int, int]] = []
    for second in sorted(found):
        if stretches and stretches[-1][1] == second:
            stretches[-1] = (stretches[-1][0], second + 1)
        else:
            stretches.append((second, second + 1))
    return stretches
