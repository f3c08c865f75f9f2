"""SVG for a page, written as text: rectangles, lines, texts, each with an optional tooltip.

Servers send pages with policies that forbid inline styles, so every colour is a presentation attribute, which such a
policy lets through, and a class, by which the page's own style sheet overrides it: that is how a drawing follows light
and dark. Colours are the names of the palette.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

from harness.report.palette import LIGHT
from harness.report.words import writable

Path = Sequence[tuple[float, float]]
_WIDTHS = (("ijl.,:;'|! ·", 0.34), ("ftr()[]-", 0.43), ("mwMW@%…—", 1.0))


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

    def curve(self, paths: Iterable[Path], colour: str, width: float = 1.6, dash: str = "", tip: str = "") -> None:
        """Add lines through points; each path begins anew. A path of one point is a dot."""
        drawn = " ".join(_path(points) for points in paths if points)
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
        spoken = escape(writable(f"{title}. {description}"))
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


def _path(points: Path) -> str:
    (x, y), *rest = points
    if not rest:
        return f"M{num(x)} {num(y)}h.1"
    return f"M{num(x)} {num(y)}L" + " ".join(f"{num(px)} {num(py)}" for px, py in rest)


def _fill(colour: str) -> str:
    return f' class="f-{colour}" fill="{LIGHT[colour]}"'


def _stroke(colour: str, width: float = 1.0) -> str:
    return f' class="s-{colour}" stroke="{LIGHT[colour]}" stroke-width="{num(width)}"'


def _text(words: str) -> str:
    return escape(writable(words), quote=False)
