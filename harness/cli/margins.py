"""`harness margins`: how near the passed clauses of many runs came to their bounds."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.app import GivenPath, json_option
from harness.cli.terminal import echo, echo_json


@click.command()
@click.argument("reports", nargs=-1, required=True, type=GivenPath())
@json_option
def margins(reports: tuple[Path, ...], as_json: bool) -> int:
    """Show how near clauses that passed came to their bounds, and which of them will flake."""
    from harness.cli.tables import plain_table
    from harness.report.margins import margins_in
    from harness.report.words import per_cent

    found = margins_in(reports)
    if as_json:
        rows = [
            {"run": m.run, "clause": m.clause, "kind": m.kind, "runs": len(m.uses),
             "worst": m.worst, "mean": round(m.mean, 4), "warning": m.warning}
            for m in found
        ]  # fmt: skip
        echo_json(rows, indent=None)
        return 0
    columns = ("run", "clause", "runs", "bound used, at worst", "on average", "")
    cells = [
        [m.run, f"{m.clause} ({m.kind})", str(len(m.uses)), per_cent(m.worst), per_cent(m.mean), m.warning or ""]
        for m in found
    ]
    echo(plain_table(columns, cells))
    return 0
