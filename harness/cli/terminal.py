"""The one place that writes to the terminal: every text is cleaned here, whatever it came from.

What a stack says reaches messages, tables and progress. Commands call these functions, never `click.echo` or `print`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from harness.model.cleaned import cleaned, escaped_json, for_terminal


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Write a text, to stdout or to stderr."""
    click.echo(_encodable(for_terminal(text), err=err), err=err, nl=nl)


def echo_json(value: Any, *, indent: int | None = 2) -> None:
    """Write a value as JSON, in which nothing is lost: what a terminal would obey is escaped."""
    click.echo(escaped_json(json.dumps(value, indent=indent, default=str)))
    sys.stdout.flush()


def cell(value: object) -> str:
    """Return a value as the cell of a drawn table has it: one line."""
    return " ".join(cleaned(str(value)).split())


def _encodable(text: str, *, err: bool) -> str:
    """Replace what the terminal has no character for."""
    encoding = (sys.stderr if err else sys.stdout).encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
