"""`harness check` and `harness schema`: scenario files validated without running anything, here or by an editor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.app import given_or_usual, json_option, paths_argument, set_option, stack_option
from harness.cli.exit_codes import INVALID, PASS
from harness.cli.terminal import echo, echo_json
from harness.model.errors import ScenarioError


@click.command()
@paths_argument
@stack_option
@set_option
@json_option
def check(paths: tuple[Path, ...], stack: str | None, settings: tuple[str, ...], as_json: bool) -> int:
    """Validate scenarios without running anything."""
    from harness.runner.checking.notes import notes
    from harness.runner.checking.stacks import validated
    from harness.runner.loading.explain import problems_of
    from harness.runner.loading.needed_secrets import missing_secrets
    from harness.runner.loading.variables import parse_settings

    try:
        found = validated(given_or_usual(paths), parse_settings(settings), stack)
    except ScenarioError as error:
        if not as_json:
            raise
        echo_json({"valid": False, "runs": [], "problems": [_problem(p) for p in problems_of(error)], "notes": []})
        return INVALID
    names = [item.name for item, _ in found]
    # No note fails: a check, unlike a run, may well be made where no secret is.
    noted = [*notes(found), *missing_secrets((item, catalogue.stack) for item, catalogue in found)]
    if as_json:
        echo_json({"valid": True, "runs": names, "problems": [], "notes": [_problem(note) for note in noted]})
        return PASS
    for note in noted:
        echo(f"note: {note}")
    files = len({item.source.file for item, _ in found})
    runs = "" if len(names) == files else f", {len(names)} runs"
    echo(f"{files} scenario{'s' if files != 1 else ''}{runs}: valid")
    return PASS


def _problem(error: ScenarioError) -> dict[str, Any]:
    fields = ("message", "file", "line", "field", "remedy")
    return {"text": str(error), **{name: getattr(error, name) for name in fields}}


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, with all installed faults."""
    from harness.faults.installed import Faults
    from harness.runner.loading.schema import scenario_schema, schema_text

    echo(schema_text(scenario_schema(Faults())), nl=False)
