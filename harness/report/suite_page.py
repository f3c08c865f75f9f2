"""`index.html`: a suite for a person, the table of the terminal with a strip of timeline under each row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from urllib.parse import quote

from markupsafe import Markup

from harness.journal.records import Journal
from harness.model.verdict import Verdict
from harness.report.documents import SuiteDocument
from harness.report.drawing import Canvas, Scale
from harness.report.margins import nearest
from harness.report.pages import drawing, page
from harness.report.spans import alert_lanes, extent, fault_lanes, markers, outcome_of
from harness.report.table import row, standing
from harness.report.words import seconds

WIDTH, HEIGHT = 960.0, 44.0
_BAD = ("wrong", "failed")


def suite_html(suite: SuiteDocument, pictures: Mapping[str, str], reports: set[str]) -> str:
    """Return the page. `pictures` are strips by the run's folder, `reports` the folders that have a report."""
    runs = [
        (
            run,
            row(run),
            drawing(pictures[run.run_dir]) if run.run_dir in pictures else Markup(),
            f"{quote(run.run_dir)}/report.html" if run.run_dir in reports else None,
        )
        for run in suite.scenarios
    ]
    standings = {standing(run) for run in suite.scenarios} - {"repeated"}
    worst = "fail" if "failure" in standings else "unknown" if standings != {"good"} else "pass"
    return page("index.html.j2", suite=suite, runs=runs, worst=worst, margins=nearest(suite))


def thumbnail_svg(journal: Journal, verdict: Verdict) -> str:
    """Return the timeline of a run in one strip: fault, alerts, seconds with bad answers, detection and recovery."""
    from_s, to_s = extent(journal)
    x = Scale(from_s, to_s, 0.0, WIDTH)
    canvas = Canvas()
    canvas.rect(0, 0, WIDTH, HEIGHT, "card", f"{seconds(from_s)} to {seconds(to_s)}")

    def bar(start_s: float, end_s: float, y: float, height: float, colour: str, tip: str) -> None:
        canvas.rect(x(start_s), y, max(x(end_s) - x(start_s), 2.0), height, colour, tip)

    for first, last in _joined({math.floor(a.due_s) for _, a in journal.answers if outcome_of(a) in _BAD}):
        tip = f"{first} s to {last} s: silently wrong, stale or failed answers"
        bar(first, last, 0, HEIGHT, "breach", tip)
    for fault in fault_lanes(journal):
        for s in fault.intervals:
            if s.what != "planned":
                colour = "fault" if s.what == "confirmed" else "fault-tint"
                bar(s.from_s, s.to_s, 8, 10, colour, f"{fault.label}: {s.period}")
    for alert in alert_lanes(journal):
        for s in alert.firing:
            y, colour = (26, "alert") if alert.expected else (32, "unexpected")
            bar(s.from_s, s.to_s, y, 10, colour, f"{alert.label} fires {s.period}")
    moments = markers(verdict)
    for moment in moments:
        if moment.what in ("detected", "noticed", "recovered"):
            at = x(moment.at_s)
            canvas.line(at, 0, at, HEIGHT, "marker", 2, "4 3", f"{moment.what} {seconds(moment.at_s)}")
    words = ", ".join(f"{m.what} {seconds(m.at_s)}" for m in moments) or "no fault was injected"
    return canvas.svg(WIDTH, HEIGHT, f"Timeline of {journal.plan.run}", words, stretched=True)


def _joined(found: set[int]) -> list[tuple[int, int]]:
    """Join seconds that follow one another into intervals."""
    intervals: list[tuple[int, int]] = []
    for second in sorted(found):
        if intervals and intervals[-1][1] == second:
            intervals[-1] = (intervals[-1][0], second + 1)
        else:
            intervals.append((second, second + 1))
    return intervals
