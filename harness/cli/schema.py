"""`harness schema`: the JSON Schema with which editors complete and check scenario files."""

from __future__ import annotations

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, with all installed faults."""
    from harness.runner.catalogue import Faults
    from harness.runner.schema import scenario_schema, schema_text

    click.echo(schema_text(scenario_schema(Faults())), nl=False)
