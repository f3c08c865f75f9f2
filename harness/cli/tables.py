"""Tables of text: aligned columns for pipes and logs, a drawn table for a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence

from harness.cli.terminal import cell, echo, while_it_is_there

STYLES: Mapping[str, str] = {"pass": "bold green", "fail": "bold red", "unknown": "bold yellow"}


USUAL_WIDTH = 80
NARROWEST = 24
"""How wide the last column is at the least."""


def line_width() -> int:
    """Return how long a line may be: as wide as the terminal is, or as COLUMNS says; 80 where neither tells."""
    return shutil.get_terminal_size((USUAL_WIDTH, 24)).columns


def wrapped(text: str, width: int, *, first: str = "", then: str = "") -> str:
    """Return a text in lines no longer than that, but for a word that is longer; `first` and `then` begin them."""
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=then, break_long_words=False, break_on_hyphens=False
    )


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Return aligned columns; the last is as wide as it needs to be, or goes on in further lines where `width` ends."""
    lines = [tuple(columns), *(tuple(" ".join(one.split()) or "-" for one in row) for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    before = sum(widths[:-1]) + 2 * len(widths[:-1])
    shown: list[str] = []
    for *cells, last in lines:
        start = "".join(one.ljust(room) + "  " for one, room in zip(cells, widths[:-1], strict=True))
        room = max(NARROWEST, width - before) if width is not None else len(last) + 1
        shown += f"{start}{wrapped(last, room)}".replace("\n", "\n" + " " * before).splitlines()
    return "\n".join(line.rstrip() for line in shown)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Draw a table on a terminal, or write aligned columns elsewhere. The last column is a verdict."""
    if sys.stdout is None or not sys.stdout.isatty():
        echo(plain_table(columns, rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in columns[:-1]:  # nothing is cut off: two names that begin alike must not look the same
        table.add_column(column, overflow="fold")
    table.add_column(columns[-1], no_wrap=True)
    for row in rows:
        *cells, verdict = row
        table.add_row(
            *(Text(cell(one)) for one in cells), Text(cell(verdict), STYLES.get(verdict.partition(" ")[0], ""))
        )
    with while_it_is_there():
        Console().print(table)
