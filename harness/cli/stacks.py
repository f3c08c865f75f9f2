"""`harness up` and `down`: stacks without a run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from harness.cli.exit_codes import PASS
from harness.cli.terminal import echo
from harness.model.errors import BackendError, ScenarioError, did_you_mean

if TYPE_CHECKING:
    from harness.model.fields import Link
    from harness.model.stack import StackDescription


@click.command()
@click.argument("stack", default="reference")
@click.option("--link", "links", multiple=True, metavar="'A -> B'", help="Run this link through the fault proxy.")
@click.option("--links", "every", type=click.Choice(["all"]), help="Run every link through the fault proxy.")
@click.option("--backend", default="local", show_default=True, help="Backend of the stack: local or compose.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the fault proxy's random choices.")
@click.option("--name", metavar="NAME", help="Name of the compose project. [default: of the stack and this folder]")
def up(stack: str, links: tuple[str, ...], every: str | None, backend: str, seed: int, name: str | None) -> int:
    """Start a stack and keep it running until Ctrl-C or `harness down`; containers until `harness down`."""
    from harness.description.stackfile import resolve_stack
    from harness.runner.backend_factory import check_backend
    from harness.runner.up import up as start

    check_backend(backend)
    description = resolve_stack(stack)
    planned = _links(description, links, every == "all")
    start(description, planned, backend, seed, lambda step: echo(step.text), name)
    return PASS


def _links(stack: StackDescription, wanted: tuple[str, ...], all_links: bool) -> tuple[Link, ...]:
    known = [link.name for link in stack.links]
    for name in wanted:
        if name not in known:
            raise ScenarioError(f"unknown link {name!r}", field="--link", remedy=did_you_mean(name, known))
    return tuple(link for link in stack.links if all_links or link.name in wanted)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Stop everything of this engine, whoever started it, runs included.")
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
def down(names: tuple[str, ...], every: bool, yes: bool) -> int:
    """Stop stacks by name (a stack or a project); without a name, those that were started in this folder."""
    from harness.runner.down import choose, running, stop

    if every and names:
        raise ScenarioError("--all takes no name", remedy="leave one of the two out")
    if yes and not every:
        raise ScenarioError("there is nothing to say yes to", field="--yes", remedy="leave it out, or add --all")
    unanswered: list[BackendError] = []
    found = running(unanswered)
    try:
        chosen = choose(found, names, everything=every)
    except ScenarioError:
        if unanswered:  # what is meant may run there
            raise unanswered[0] from None
        raise
    for one in chosen:
        echo(str(one))
    if every and chosen and not yes:
        if not sys.stdin.isatty():
            raise ScenarioError("there is no terminal to ask on", field="--all", remedy="add --yes, or name the stacks")
        click.confirm(f"Stop all {len(chosen)}, with their volumes?", abort=True)
    stop(chosen, though_owned=every)
    echo(f"{len(chosen)} stack{'s' if len(chosen) != 1 else ''} stopped")
    others = sorted({one.name for one in found if one not in chosen})
    if others and not names:
        echo(f"not from this folder, or of an active run: {', '.join(others)}")
    return PASS
