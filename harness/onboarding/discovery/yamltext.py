"""Values as YAML text on one line, as people write it: `{http: /health}`, `[a, b]`, quotes where they are needed."""

from __future__ import annotations

import json
import re
from typing import Any

_PLAIN = re.compile(r"(?:\.{0,2}/|[A-Za-z_])[\w./@+ >()%-]*[\w./%)]|[A-Za-z_]")
_TYPED = re.compile(r"(?i)true|false|yes|no|on|off|null|y|n|\.inf|\.nan")
_DURATION = re.compile(r"\d+(\.\d+)?(us|ms|s|min|h|d)( event)?")


def flow(value: Any) -> str:
    """Return a value as one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(inside)}" for key, inside in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(inside) for inside in value) + "]"
    if isinstance(value, str):
        return text(value)
    return json.dumps(value)


def text(value: str) -> str:
    """Return a text, in quotes where it could be read as anything else."""
    plain = _PLAIN.fullmatch(value) and not _TYPED.fullmatch(value) and ": " not in value and " #" not in value
    if plain or _DURATION.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def literal(value: str) -> str:
    """Return a text in which no dollar sign stands for a variable."""
    return value.replace("$", "$$")


def comment(value: str) -> str:
    """Return a text that fits into a comment: one line, printable."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())
