"""The timeline of a run in one strip, for the table of a suite: fault, alerts, and the seconds with bad answers."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from harness.journal.records import Journal
from harness.model.verdict import Verdict
from harness.report.palette import LIGHT
from harness.report.spans import alert_lanes, extent, fault_lanes, markers, outcome_of
from harness.report.words import seconds

WIDTH, HEIGHT = 960.0, 44.0


def thumbnail_svg(journal: Journal, verdict: Verdict) -> str:
    """Return the strip as one `<svg>` element."""
    from_s, to_s = extent(journal)
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH:g} {HEIGHT:g}",
                              "class": "thumb", "role": "img", "preserveAspectRatio": "none"})  # fmt: skip
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
    bad = {math.floor(a.due_s) for _, a in journal.answers if outcome_of(a) in ("wrong", "failed")}
    for second in sorted(bad):
        bar(second, second + 1, 0, HEIGHT, "breach", f"{second} s: silently wrong, stale or failed answers")
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
    return ET.tostring(root, encoding="unicode")
