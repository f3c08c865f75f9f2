"""`harness check`: validate scenarios without running anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness.cli.exit_codes import INVALID, PASS
from harness.cli.options import given_or_usual, json_option, paths_argument, set_option, stack_option
from harness.model.errors import ScenarioError


@click.command()
@paths_argument
@stack_option
@set_option
@json_option
def check(paths: tuple[Path, ...], stack: str | None, settings: tuple[str, ...], as_json: bool) -> int:
    """Validate scenarios without running anything."""
    from harness.runner.source import problems_of
    from harness.runner.stacks import validated
    from harness.runner.variables import parse_settings

    try:
        found = validated(given_or_usual(paths), parse_settings(settings), stack)
    except ScenarioError as error:
        if not as_json:
            raise
        _write({"valid": False, "runs": [], "problems": [_problem(p) for p in problems_of(error)]})
        return INVALID
    names = [item.name for item, _ in found]
    if as_json:
        _write({"valid": True, "runs": names, "problems": []})
        return PASS
    files = len({item.source.file for item, _ in found})
    runs = "" if len(names) == files else f", {len(names)} runs"
    click.echo(f"{files} scenario{'s' if files != 1 else ''}{runs}: valid")
    return PASS


def _write(data: dict[str, Any]) -> None:
    click.echo(json.dumps(data, indent=2))


def _problem(error: ScenarioError) -> dict[str, Any]:
    fields = ("message", "file", "line", "field", "remedy")
    return {"text": str(error), **{name: getattr(error, name) for name in fields}}
