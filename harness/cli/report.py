"""`harness report`: judge stored runs again and rewrite their report, as after an update of the harness."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.exit_codes import given_journals
from harness.cli.options import json_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def report(folder: Path, as_json: bool) -> int:
    """Judge the runs in a suite's folder again and rewrite its report."""
    from harness.cli.suite import print_suite
    from harness.suite.suite import report_again

    with given_journals():
        finished = report_again(folder)
    print_suite(finished.document, folder, "json" if as_json else "text")
    return finished.exit_code
