"""`harness up` and `down`: stacks without a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from harness.cli.exit_codes import PASS
from harness.cli.terminal import echo
from harness.model.errors import BackendError, ScenarioError

if TYPE_CHECKING:
    from harness.backends.compose.built_images import BuiltImage
    from harness.model.fields import Link
    from harness.model.stack import StackDescription
    from harness.runner.keeping.down import RunningStack


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
    from harness.runner.execution.backend_factory import check_backend
    from harness.runner.keeping.up import up as start

    check_backend(backend)
    description = resolve_stack(stack)
    planned = _links(description, links, every == "all")
    start(description, planned, backend, seed, lambda step: echo(step.text), name)
    return PASS


def _links(stack: StackDescription, wanted: tuple[str, ...], all_links: bool) -> tuple[Link, ...]:
    known = [link.name for link in stack.links]
    for name in wanted:
        if name not in known:
            message, remedy = stack.no_link(name)
            raise ScenarioError(message, field="--link", remedy=remedy)
    return tuple(link for link in stack.links if all_links or link.name in wanted)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Stop everything of this engine, whoever started it, runs included.")
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
@click.option("--images", is_flag=True, help="Also remove the images that the harness built for these stacks.")
def down(names: tuple[str, ...], every: bool, yes: bool, images: bool) -> int:
    """Stop stacks by name (a stack or a project); without a name, those that were started in this folder."""
    from harness.runner.keeping.down import stop

    if every and names:
        raise ScenarioError("--all takes no name", remedy="leave one of the two out")
    if yes and not every:
        raise ScenarioError("there is nothing to say yes to", field="--yes", remedy="leave it out, or add --all")
    meant = _meant(names, every=every, images=images)
    for one in meant.stacks:
        echo(str(one))
    if every and (meant.stacks or meant.images) and not yes:
        if not sys.stdin.isatty():
            raise ScenarioError("there is no terminal to ask on", field="--all", remedy="add --yes, or name the stacks")
        also = f" and remove {len(meant.images)} images" if meant.images else ""
        click.confirm(f"Stop all {len(meant.stacks)}, with their volumes{also}?", abort=True)
    stop(meant.stacks, though_owned=every)
    echo(f"{len(meant.stacks)} stack{'s' if len(meant.stacks) != 1 else ''} stopped")
    if images:
        _remove(meant.images, every=every)
    if meant.others and not names:
        echo(f"not from this folder, or of an active run: {', '.join(meant.others)}")
    return PASS


@dataclass(frozen=True)
class _Meant:
    """What `harness down` is to take, and the names of the stacks that it leaves alone."""

    stacks: Sequence[RunningStack]
    images: Sequence[BuiltImage]
    others: Sequence[str]


def _meant(names: Sequence[str], *, every: bool, images: bool) -> _Meant:
    from harness.runner.keeping.built_images import choose_images, on_engine
    from harness.runner.keeping.down import choose, running

    unanswered: list[BackendError] = []
    found = running(unanswered)
    built = on_engine() if images else []
    # A stack that does not run may still have images.
    only_images = {
        name for name in names if _is_of_no_stack(name, found) and choose_images(built, {name}, everything=False)
    }
    to_stop = [name for name in names if name not in only_images]
    try:
        chosen = choose(found, to_stop, everything=every) if to_stop or not names else []
    except ScenarioError:
        if unanswered:  # what is meant may run there
            raise unanswered[0] from None
        raise
    stacks = {one.stack for one in chosen} | only_images
    its_images = choose_images(built, stacks, everything=every)
    if not names and not every:
        its_images += [one for one in choose_images(built, (), everything=False) if one not in its_images]
    return _Meant(chosen, its_images if images else (), sorted({one.name for one in found if one not in chosen}))


def _is_of_no_stack(name: str, found: Sequence[RunningStack]) -> bool:
    return not any(name in (one.project, one.stack) for one in found)


def _remove(images: Sequence[BuiltImage], *, every: bool) -> None:
    from harness.runner.keeping.built_images import remove_images

    outcomes = remove_images(images, though_others=every)
    for one in outcomes:
        image = f"{one.image.name} ({one.image.size_bytes / 1e6:.0f} MB)"
        echo(
            f"removed the image {image}" if one.kept_because is None else f"kept the image {image}: {one.kept_because}"
        )
    removed = sum(one.kept_because is None for one in outcomes)
    echo(f"{removed} image{'s' if removed != 1 else ''} removed")
