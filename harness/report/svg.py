"""A matplotlib figure turned into an SVG element for a page: no style attributes, colours by class, with tooltips.

Pages are shown under policies that forbid inline styles, so every style becomes a presentation attribute, which such a
policy lets through and which the page's own style sheet may override: that is how a drawing follows light and dark.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

from harness.report.palette import NAME_OF
from harness.report.words import writable

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_FONT = re.compile(r"(?:(bold|\d{3}) )?([\d.]+)px ")
_DEFAULTS = {("stroke-linejoin", "miter"), ("opacity", "1"), ("fill-opacity", "1"), ("stroke-opacity", "1")}
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")


@contextmanager
def settings(salt: str) -> Iterator[None]:
    """Set matplotlib up while a figure is made: the same ids each time, and a `$` in a name is a `$`."""
    import matplotlib

    chosen: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": salt, "text.parse_math": False}
    with matplotlib.rc_context(chosen), warnings.catch_warnings():
        # Text is drawn by the reader's fonts; that the one it is measured with lacks a sign does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@dataclass
class Drawing:
    """A figure in the making: remembers which artist gets which tooltip."""

    salt: str
    titles: dict[str, str] = field(default_factory=dict)

    def tip(self, artist: Any, text: str) -> Any:
        """Give an artist a tooltip, which also tells those who do not see it what it is."""
        gid = f"tip-{len(self.titles)}"
        self.titles[gid] = text
        artist.set_gid(gid)
        return artist

    def svg(self, figure: Any, title: str, description: str) -> str:
        """Return the figure as one `<svg>` element."""
        written = io.StringIO()
        with settings(self.salt):
            figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
        root = ET.fromstring(writable(written.getvalue()))  # noqa: S314  (our own output of a moment ago)
        return self._finish(root, title, description)

    def _finish(self, root: ET.Element, title: str, description: str) -> str:
        for parent in list(root.iter()):
            for child in list(parent):
                if child.tag.endswith("}metadata") or child.tag == f"{_SVG}style":
                    parent.remove(child)
        used = {e.get(_HREF, "")[1:] for e in root.iter()} | {
            m for e in root.iter() for m in re.findall(r"url\(#([^)]+)\)", e.get("clip-path", ""))
        }
        for element in root.iter():
            self._element(element, used)
        width, height = (root.attrib.pop(k, "0").removesuffix("pt") for k in ("width", "height"))
        root.attrib.update(
            {
                "class": "plot",
                "role": "img",
                "aria-label": writable(f"{title}. {description}"),
                "stroke-linejoin": "round",
            }
        )
        root.attrib.update({"width": width, "height": height, "font-family": "system-ui, sans-serif"})
        ET.register_namespace("", _SVG[1:-1])
        ET.register_namespace("xlink", _HREF[1 : _HREF.index("}")])
        return ET.tostring(root, encoding="unicode")

    def _element(self, element: ET.Element, used: set[str]) -> None:
        gid = element.get("id", "")
        if gid in self.titles:
            tooltip = ET.Element(f"{_SVG}title")
            tooltip.text = writable(self.titles[gid])
            element.insert(0, tooltip)
        if gid and gid not in used:
            del element.attrib["id"]
        style = element.attrib.pop("style", "")
        for part in style.split(";"):
            name, _, value = (s.strip() for s in part.partition(":"))
            if name == "font":
                _font(element, value)
            elif name and (name, value) not in _DEFAULTS:
                element.set(name, value)
        classes = [f"{kind[0]}-{NAME_OF[element.get(kind, '')]}" for kind in ("fill", "stroke")
                   if element.get(kind, "") in NAME_OF]  # fmt: skip
        if element.tag == f"{_SVG}text" and not element.get("fill"):
            classes.append("f-ink")
        if classes:
            element.set("class", " ".join(classes))
        if "d" in element.attrib:
            element.set("d", _LONG_NUMBER.sub(_shorten, " ".join(element.attrib["d"].split())))
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None


def _font(element: ET.Element, value: str) -> None:
    found = _FONT.match(value)
    if found:
        element.set("font-size", found[2])
        if found[1] and found[1] != "400":
            element.set("font-weight", found[1])


def _shorten(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
