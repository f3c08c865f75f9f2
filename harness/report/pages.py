"""HTML pages from templates: self-contained, without scripts, under a policy of their own that forbids every request.

Everything that comes from a journal is escaped. Only our own drawings and our own style sheet are inserted as they are;
the page's policy allows the style sheet by its digest.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.model.cleaned import cleaned
from harness.report import words
from harness.report.drawing import LIGHT, palette_css


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(style=Markup(_style()), style_digest=_digest(_style()), light=LIGHT)  # noqa: S704  (our own text)
    environment.filters.update(seconds=words.seconds)
    return environment


@cache
def _style() -> str:
    written = resources.files("harness.report").joinpath("templates", "report.css").read_text(encoding="utf-8")
    return palette_css() + written


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def drawing(svg: str) -> Markup:
    """Mark one of our drawings as safe to insert: its texts were escaped when it was written."""
    return Markup(svg)  # noqa: S704


def page(template: str, **values: Any) -> str:
    """Return a page: what is not ours in it is escaped, and what a browser would obey and not show is replaced."""
    return cleaned(_environment().get_template(template).render(**values))
