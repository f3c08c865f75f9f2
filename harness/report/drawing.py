"""Drawings for a page: SVG written as text, the scales and curves on it, and every colour, for light and for dark.

Servers send pages with policies that forbid inline styles, so every colour is a presentation attribute, which such a
policy lets through, and a class, by which the page's own style sheet overrides it: that is how a drawing follows light
and dark. The data colours differ in lightness as well as in hue, for readers who cannot tell the hues apart.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from harness.model.cleaned import cleaned

XY = tuple[float, float]
Curve = Sequence[XY]
_WIDTHS = (("ijl.,:;'|! ·", 0.34), ("ftr()[]-", 0.43), ("mwMW@%…—", 1.0))
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
# Samples further apart than this on the drawing are held until the next one: nobody knows of a slope between them.
HOLD_FROM = 6.0
PALETTE: dict[str, tuple[str, str]] = {
    # name: (light, dark)
    "ink": ("#1b1f24", "#e6e8eb"),
    "soft": ("#57606a", "#a1abb6"),
    "line": ("#d8dee4", "#343b44"),
    "paper": ("#ffffff", "#15181c"),
    "card": ("#f6f8fa", "#1d2228"),
    "good": ("#15693d", "#4cc38a"),
    "bad": ("#b3261e", "#ff7b72"),
    "unknown": ("#8a5d00", "#e3b341"),
    "link": ("#0a58ca", "#79b8ff"),
    "good-tint": ("#def3e6", "#17342a"),
    "bad-tint": ("#fbdedc", "#47201f"),
    "unknown-tint": ("#fbeecb", "#3d3113"),
    "fault": ("#7d3bd1", "#b794f6"),
    "fault-tint": ("#d9c6f5", "#4d3a75"),
    "alert": ("#d9730d", "#ffa657"),
    "alert-tint": ("#f8dcba", "#5e4420"),
    "unexpected": ("#c4302b", "#ff8078"),
    "unexpected-tint": ("#f3bfbd", "#5f2b2b"),
    "phase-gate": ("#d5dce4", "#3a434e"),
    "phase-baseline": ("#c3dfce", "#29513c"),
    "phase-fault": ("#e2d5f8", "#443365"),
    "phase-observing": ("#c5dcf5", "#27456a"),
    "phase-other": ("#e9ecef", "#2b3138"),
    "curve": ("#1f6feb", "#6cb0ff"),
    "breach": ("#fad7d5", "#4f2223"),
    "inconclusive": ("#eceff2", "#282d34"),
    "right": ("#86c2a2", "#3f8562"),
    "flagged": ("#e9b949", "#c9992b"),
    "wrong": ("#d1383a", "#f0605a"),
    "slow": ("#8db4dc", "#527fae"),
    "failed": ("#424a53", "#b9c2cc"),
    "unverified": ("#b9a9cc", "#6f6287"),
    "marker": ("#2a3038", "#d5dbe1"),
}
LIGHT: dict[str, str] = {name: light for name, (light, _) in PALETTE.items()}


class Canvas:
    """An SVG element in the making. Later shapes cover earlier ones."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def rect(
        self, x: float, y: float, width: float, height: float, colour: str | None, tip: str = "", radius: float = 0
    ) -> None:
        """Add a filled rectangle; without a colour it is invisible and only carries its tooltip."""
        box = f'<rect x="{num(x)}" y="{num(y)}" width="{num(width)}" height="{num(height)}"'
        rounded = f' rx="{num(radius)}"' if radius else ""
        look = _fill(colour) if colour is not None else ' fill="none" pointer-events="all"'
        self._add(f"{box}{rounded}{look}", "rect", tip)

    def outline(self, x: float, y: float, width: float, height: float, colour: str, tip: str = "") -> None:
        """Add a dashed outline of a rectangle."""
        box = f'<rect x="{num(x)}" y="{num(y)}" width="{num(width)}" height="{num(height)}" fill="none"'
        self._add(f'{box}{_stroke(colour)} stroke-dasharray="3 2" pointer-events="all"', "rect", tip)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0, dash: str = "", tip: str = ""
    ) -> None:
        """Add a straight line."""
        self.curve([((x1, y1), (x2, y2))], colour, width, dash, tip)

    def curve(self, curves: Iterable[Curve], colour: str, width: float = 1.6, dash: str = "", tip: str = "") -> None:
        """Add lines through points. A curve of one point is a dot."""
        drawn = " ".join(_path(points) for points in curves if points)
        if drawn:
            dashes = f' stroke-dasharray="{dash}"' if dash else ""
            ends = "" if dash else ' stroke-linecap="round"'
            self._add(f'<path d="{drawn}" fill="none"{_stroke(colour, width)}{dashes}{ends}', "path", tip)

    def text(
        self, x: float, y: float, words: str, colour: str, size: float, *,
        bold: bool = False, anchor: str = "start", tip: str = "",
    ) -> None:  # fmt: skip
        """Add a text on its baseline."""
        look = f'font-size="{num(size)}"' + (' font-weight="bold"' if bold else "")
        where = f'x="{num(x)}" y="{num(y)}"' + (f' text-anchor="{anchor}"' if anchor != "start" else "")
        self._add(f"<text {where} {look}{_fill(colour)}", "text", tip, words)

    def svg(self, width: float, height: float, title: str, description: str, *, stretched: bool = False) -> str:
        """Return the element, with what it shows in words for those who do not see it.

        A stretched one is a strip that fills the width it is given; others keep their proportions.
        """
        spoken = escape(cleaned(f"{title}. {description}"))
        box = f'viewBox="0 0 {num(width)} {num(height)}" height="{num(height)}"'
        box += (
            ' class="thumb" width="100%" preserveAspectRatio="none"'
            if stretched
            else f' class="plot" width="{num(width)}"'
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{spoken}" {box}'
            f' font-family="system-ui, sans-serif" stroke-linejoin="round">'
        )
        words = f"<title>{_text(title)}</title><desc>{_text(description)}</desc>"
        return "".join([head, words, *self._parts, "</svg>"])

    def _add(self, opening: str, tag: str, tip: str, words: str = "") -> None:
        inner = (f"<title>{_text(tip)}</title>" if tip else "") + (_text(words) if words else "")
        self._parts.append(f"{opening}>{inner}</{tag}>" if inner else f"{opening}/>")


def num(value: float) -> str:
    """Write a length: a tenth of a unit is finer than any screen shows."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def text_width(words: str, size: float) -> float:
    """Return about how wide a text is in whatever font the reader has: rather too wide than too narrow."""
    return size * sum(map(_letter_width, words))


def _letter_width(letter: str) -> float:
    """Return the width of a letter by that of DejaVu Sans, which is wider than most fonts."""
    for letters, width in _WIDTHS:
        if letter in letters:
            return width
    return 1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.72 if letter.isupper() else 0.64


def fitting(words: str, width: float, size: float) -> str:
    """Return the text, shortened with an ellipsis where it would be wider than that."""
    while len(words) > 1 and text_width(words, size) > width:
        words = words.removesuffix("…")[:-1].rstrip() + "…"
    return words


def _path(points: Curve) -> str:
    (x, y), *rest = points
    if not rest:
        return f"M{num(x)} {num(y)}h.1"
    return f"M{num(x)} {num(y)}L" + " ".join(f"{num(px)} {num(py)}" for px, py in rest)


def _fill(colour: str) -> str:
    return f' class="f-{colour}" fill="{LIGHT[colour]}"'


def _stroke(colour: str, width: float = 1.0) -> str:
    return f' class="s-{colour}" stroke="{LIGHT[colour]}" stroke-width="{num(width)}"'


def _text(words: str) -> str:
    return escape(cleaned(words), quote=False)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from `low`..`high` to places from `start`..`end`, along a line or by powers of ten."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value; what is beyond the scale is put at its end."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` round numbers between two values, evenly spaced."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for size in (step * factor for factor in (power, power * 10) for step in STEPS):
        first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
        if last - first + 1 <= most:
            return [k * size for k in range(first, last + 1)]
    return [low]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` powers of ten between two values; less round numbers where there are fewer than two."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, math.ceil((last - first + 1) / most))
    powers = [10.0**k for k in range(first, last + 1, every)]
    if len(powers) >= 2:
        return powers
    finer = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    return finer[-most:] or powers


def thinned(points: Iterable[XY]) -> list[XY]:
    """Return a curve with at most four points a column one unit wide: the first, the lowest, the highest, the last.

    So no peak is lost, however long the run. Points are places on the drawing, ordered by x.
    """
    columns: dict[int, list[XY]] = {}
    for point in points:
        columns.setdefault(math.floor(point[0]), []).append(point)
    found: list[XY] = []
    for column in columns.values():
        if len(column) > 4:
            keep = {0, len(column) - 1, *(f(range(len(column)), key=lambda k: column[k][1]) for f in (min, max))}
            column = [column[k] for k in sorted(keep)]
        found.extend(column)
    return _without_flat(found)


def stepped(points: Sequence[XY]) -> list[XY]:
    """Return a curve in which a value is held until the next one, where that is far enough away to be seen."""
    found: list[XY] = []
    for point in points:
        if found and point[0] - found[-1][0] > HOLD_FROM and point[1] != found[-1][1]:
            found.append((point[0], found[-1][1]))
        found.append(point)
    return found


def _without_flat(points: list[XY]) -> list[XY]:
    """Leave out the inner points of level stretches."""
    return [
        point
        for k, point in enumerate(points)
        if k in (0, len(points) - 1) or not points[k - 1][1] == point[1] == points[k + 1][1]
    ]


def palette_css() -> str:
    """Return the colours as CSS variables, for light and dark, and the classes that drawings carry."""
    light = "".join(f"--{name}:{value[0]};" for name, value in PALETTE.items())
    dark = "".join(f"--{name}:{value[1]};" for name, value in PALETTE.items())
    classes = "".join(f".f-{n}{{fill:var(--{n})}}.s-{n}{{stroke:var(--{n})}}" for n in PALETTE)
    return (
        f":root{{color-scheme:light dark;{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        f"@media print{{:root{{color-scheme:light;{light}}}}}\n"
        f"{classes}\n"
    )
