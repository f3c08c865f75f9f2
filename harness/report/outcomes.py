"""What became of each request, and the part of the picture that shows it second by second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.journal.records import Journal
from harness.model.readings import Answer
from harness.report.palette import LIGHT
from harness.report.svg import Drawing

OUTCOMES = ("right", "slow", "flagged", "unverified", "wrong", "failed")
MOST_BINS = 150
OUTCOME_WORDS = {
    "right": "correct",
    "slow": "slow",
    "flagged": "flagged",
    "unverified": "not checked",
    "wrong": "silently wrong or stale",
    "failed": "failed",
}


def answers_by_outcome(answers: Sequence[Answer]) -> dict[str, int]:
    """Count answers by what became of them; each counts once, as the worst that it was."""
    found = dict.fromkeys(OUTCOMES, 0)
    for answer in answers:
        found[outcome_of(answer)] += 1
    return found


def outcome_of(answer: Answer) -> str:
    """Return the one outcome an answer counts as."""
    if not answer.ok:
        return "failed"
    if answer.flagged is not None:
        return "flagged"
    if answer.stale or answer.wrong:
        return "wrong"
    if answer.wrong is None:
        return "unverified"
    return "slow" if answer.slow else "right"


def draw_requests(axes: Any, drawing: Drawing, journal: Journal) -> None:
    """Draw requests a second, stacked by outcome."""
    from matplotlib.patches import Rectangle

    low, high = axes.get_xlim()
    size_s = max(1.0, math.ceil((high - low) / MOST_BINS))
    binned: dict[int, list[Any]] = {}
    for _, answer in journal.answers:
        binned.setdefault(math.floor(answer.due_s / size_s), []).append(answer)
    top = max(len(found) for found in binned.values()) / size_s
    axes.set_ylim(0, top * 1.08)
    for k, found in sorted(binned.items()):
        counted = answers_by_outcome(found)
        y = 0.0
        for outcome in OUTCOMES:
            if counted[outcome]:
                rate = counted[outcome] / size_s
                axes.add_patch(Rectangle((k * size_s + 0.04, y), size_s - 0.08, rate, facecolor=LIGHT[outcome]))
                y += rate
        said = ", ".join(f"{n} {OUTCOME_WORDS[o]}" for o, n in counted.items() if n)
        cover = Rectangle((k * size_s, 0), size_s, top, facecolor=LIGHT["paper"], alpha=0)
        drawing.tip(axes.add_patch(cover), f"{k * size_s:g} s to {(k + 1) * size_s:g} s: {said}")
    axes.set_yticks([0, _round(top)])
    seen = answers_by_outcome([a for _, a in journal.answers])
    side_title(axes, "requests per second", "by when they were due")
    for k, outcome in enumerate(o for o in reversed(OUTCOMES) if seen[o] or o == "right"):
        y = 0.9 - k * 0.175
        axes.add_patch(Rectangle((1.012, y - 0.02), 0.012, 0.11, transform=axes.transAxes, clip_on=False,
                                 facecolor=LIGHT[outcome]))  # fmt: skip
        words = {"wrong": "silently wrong"}.get(outcome, OUTCOME_WORDS[outcome])
        axes.text(1.032, y, words, transform=axes.transAxes, fontsize=9.5, color=LIGHT["soft"])


def _round(top: float) -> float:
    step = 10.0 ** math.floor(math.log10(max(top, 1)))
    return math.floor(top / step) * step


def side_title(axes: Any, title: str, subtitle: str) -> None:
    """Write what a part of the picture shows beside it, and draw the line that it stands on."""
    axes.text(-0.31, 0.72, title, transform=axes.transAxes, fontsize=10.5, fontweight="bold", color=LIGHT["ink"])
    short = subtitle if len(subtitle) <= 32 else subtitle[:31] + "…"
    axes.text(-0.31, 0.72 - 15 / axes.bbox.height, short, transform=axes.transAxes, fontsize=9.5, color=LIGHT["soft"])
    axes.axhline(axes.get_ylim()[0], color=LIGHT["line"], linewidth=0.8)
