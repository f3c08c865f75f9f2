"""Tables of text: aligned columns for pipes and logs, a drawn table for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from harness.cli.terminal import cell, echo, while_it_is_there

STYLES: Mapping[str, str] = {"pass": "bold green", "fail": "bold red", "unknown": "bold yellow"}


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns; the last is as wide as it needs to be."""
    lines = [tuple(columns), *(tuple(" ".join(one.split()) or "-" for one in row) for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    return "\n".join(
        "  ".join(one.ljust(width) for one, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


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
