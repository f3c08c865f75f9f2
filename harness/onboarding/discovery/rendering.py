"""The texts of files that init writes: templates filled in, and values as YAML."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import jinja2

MARK = "# Written by `harness init`"
"""How a file of ours begins; nothing else is ever overwritten."""
STACK_FILE = "compose.harness.yaml"
SCENARIOS = "scenarios"
STANDARD = "scenarios/standard"
"""Where the standard suite lies."""
ENDING = ".scenario.yaml"
_PLAIN = re.compile(r"(?:\.{0,2}/|[A-Za-z_])[\w./@+ >()%-]*[\w./%)]|[A-Za-z_]")
_TYPED = re.compile(r"(?i)true|false|yes|no|on|off|null|y|n|\.inf|\.nan")
_DURATION = re.compile(r"\d+(\.\d+)?(us|ms|s|min|h|d)( event)?")


@cache
def _templates() -> jinja2.Environment:
    """Return the templates, of which each is compiled once."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.onboarding.discovery"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, in which every value is put by `flow`
    )
    environment.filters |= {"flow": flow, "comment": comment}
    return environment


def render(template: str, **values: Any) -> str:
    """Fill in a template."""
    return _templates().get_template(template).render(**values)


def flow(value: Any) -> str:
    """Return a value as one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(inside)}" for key, inside in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(inside) for inside in value) + "]"
    if isinstance(value, str):
        return quoted(value)
    return json.dumps(value)


def quoted(value: str) -> str:
    """Return a text, in quotes where it could be read as anything else."""
    plain = _PLAIN.fullmatch(value) and not _TYPED.fullmatch(value) and ": " not in value and " #" not in value
    if plain or _DURATION.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def comment(value: str) -> str:
    """Return a text that fits into a comment: one line, printable."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())
