"""`harness coverage`: which services, links and alerts of a stack its scenarios touch, and which no one ever does."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.app import given_or_usual, json_option, paths_argument
from harness.cli.tables import plain_table
from harness.cli.terminal import echo, echo_json
from harness.model.errors import ScenarioError

NEVER, FORBIDDEN = "never", "never, by never_touch"


@click.command()
@click.argument("stack")
@paths_argument
@json_option
def coverage(stack: str, paths: tuple[Path, ...], as_json: bool) -> None:
    """Show which services, links and alerts of STACK no scenario touches.

    STACK is a stack's file, or an installed stack's name. Scenarios of other stacks are left out.
    """
    from harness.description.stackfile import resolve_stack
    from harness.faults.installed import Faults
    from harness.runner.checking.stacks import validated
    from harness.runner.planning.catalogue import Catalogue
    from harness.runner.planning.coverage import coverage as covered_by

    description = resolve_stack(stack)
    items = validated(given_or_usual(paths))
    own = [item.scenario for item, catalogue in items if catalogue.stack.file == description.file]
    if not own:
        what = f"none of the scenarios is about the stack {description.name!r}"
        raise ScenarioError(what, remedy="give the files or folders of those that are")
    found = covered_by(own, Catalogue(description, Faults()))
    names = list(dict.fromkeys(scenario.scenario for scenario in own))
    if as_json:
        echo_json({"stack": description.name, "scenarios": names, **found.parts, "never": found.never})
        return
    rows = [
        (kind.removesuffix("s"), name, ", ".join(by) or (NEVER if name in found.never[kind] else FORBIDDEN))
        for kind, part in found.parts.items()
        for name, by in part.items()
    ]
    echo(plain_table(("what", "name", "scenarios"), rows))
    counts = [f"{len(found.never[kind])} of {len(part)} {kind}" for kind, part in found.parts.items() if part]
    number = f"{len(names)} scenario{'' if len(names) == 1 else 's'}"
    echo(f"{number}; never touched: {', '.join(counts)}")
