"""`harness up`, `down` and `heal`: stacks without a run, and healing after killed runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.exit_codes import FAIL, PASS, say
from harness.model.errors import ScenarioError, did_you_mean

if TYPE_CHECKING:
    from harness.model.fields import Link
    from harness.model.stack import StackDescription


@click.command()
@click.argument("stack", default="reference")
@click.option("--link", "links", multiple=True, metavar="'A -> B'", help="Run this link through the fault proxy.")
@click.option("--links", "every", type=click.Choice(["all"]), help="Run every link through the fault proxy.")
@click.option("--backend", default="local", show_default=True, help="Backend of the stack: local or compose.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the fault proxy's random choices.")
def up(stack: str, links: tuple[str, ...], every: str | None, backend: str, seed: int) -> int:
    """Start a stack and keep it running until Ctrl-C or `harness down`; containers until `harness down`."""
    from harness.description.stackfile import resolve_stack
    from harness.runner.backend_factory import check_backend
    from harness.runner.up_down import up as start

    check_backend(backend)
    description = resolve_stack(stack)
    start(description, _links(description, links, every == "all"), backend, seed, lambda step: click.echo(step.text))
    return PASS


def _links(stack: StackDescription, wanted: tuple[str, ...], all_links: bool) -> tuple[Link, ...]:
    known = [link.name for link in stack.links]
    for name in wanted:
        if name not in known:
            raise ScenarioError(f"unknown link {name!r}", field="--link", remedy=did_you_mean(name, known))
    return tuple(link for link in stack.links if all_links or link.name in wanted)


@click.command()
@click.option(
    "--all", "every", is_flag=True, help="Stop all your stacks, including those of active runs and leftovers."
)
def down(every: bool) -> int:
    """Stop the stacks that `harness up` started."""
    from harness.runner.up_down import down as stop

    stopped = stop(every)
    click.echo(f"{stopped} stack{'s' if stopped != 1 else ''} stopped")
    return PASS


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
def heal(paths: tuple[Path, ...]) -> int:
    """Revert faults left active by killed runs, from their journals alone."""
    from harness.journal.files import NAME as JOURNAL
    from harness.runner.healing import heal as heal_runs
    from harness.suite.folders import run_folder

    given = paths or (Path("reports"),)
    runs = [found.parent for path in given for found in sorted(path.glob(f"**/{JOURNAL}"))]
    runs += [run_folder(path) for path in given if path.name == JOURNAL]
    if not runs:
        where = ", ".join(str(path) for path in given)
        raise ScenarioError(f"no run found in {where}", remedy=f"give folders of runs: a run has a {JOURNAL}")
    left = heal_runs(runs)
    for text in left:
        say(text)
    click.echo(f"{len(runs)} run{'s' if len(runs) != 1 else ''} checked, {len(left)} left to heal by hand")
    return FAIL if left else PASS
