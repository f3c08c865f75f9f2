"""`harness margins`: how near the passed clauses of many runs came to their bounds."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.app import json_option


@click.command()
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@json_option
def margins(reports: tuple[Path, ...], as_json: bool) -> int:
    """Show how near clauses that passed came to their bounds, and which of them will flake."""
    from harness.cli.tables import plain_table
    from harness.report.margins import margins_in

    found = margins_in(reports)
    if as_json:
        rows = [
            {"scenario": m.scenario, "clause": m.clause, "kind": m.kind, "runs": len(m.uses),
             "worst": m.worst, "mean": round(m.mean, 4), "warning": m.warning}
            for m in found
        ]  # fmt: skip
        click.echo(json.dumps(rows))
        return 0
    columns = ("scenario", "clause", "runs", "bound used, at worst", "on average", "")
    cells = [
        [m.scenario, f"{m.clause} ({m.kind})", str(len(m.uses)), f"{m.worst:.0%}", f"{m.mean:.0%}", m.warning or ""]
        for m in found
    ]
    click.echo(plain_table(columns, cells))
    return 0
