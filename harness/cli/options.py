"""Options shared by several commands."""

from __future__ import annotations

from pathlib import Path

import click

paths_argument = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
stack_option = click.option(
    "--stack", metavar="STACK", help="Use this stack (a name or a compose file) instead of the scenarios'."
)
set_option = click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="Set a variable.")
json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON and nothing else to stdout.")


def given_or_usual(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return the paths; without any, the folder `scenarios` if there is one, or else this one."""
    usual = Path("scenarios")
    return paths or ((usual,) if usual.is_dir() else (Path(),))
