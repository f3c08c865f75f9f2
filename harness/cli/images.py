"""`harness images`: the images that the runs of a stack need, and how they get to an engine without a registry."""

from __future__ import annotations

import tarfile
from pathlib import Path

import click

from harness.cli.app import GivenPath, json_option
from harness.cli.exit_codes import PASS, say
from harness.cli.tables import plain_table
from harness.cli.terminal import echo, echo_json
from harness.model.errors import ScenarioError


@click.command()
@click.argument("stack", default="reference")
@click.option("--list", "listing", is_flag=True, help="List them, and which the engine has; the default.")
@click.option(
    "--save", "to", type=GivenPath(), metavar="FILE",
    help="Write them to a file; what is missing is built or pulled first.",
)  # fmt: skip
@click.option("--load", "of", type=GivenPath(), metavar="FILE", help="Have the engine read such a file.")
@click.option("--force", is_flag=True, help="With --save: overwrite the file.")
@json_option
def images(stack: str, listing: bool, to: Path | None, of: Path | None, force: bool, as_json: bool) -> int:
    """List, save or load the images that runs of STACK in containers need.

    For an engine that reaches no registry: save them where one is reached, and load the file there.
    """
    from harness.description.stackfile import resolve_stack
    from harness.runner.keeping.images import load, needed_images, save

    if sum((listing, to is not None, of is not None)) > 1:
        raise click.UsageError("--list, --save and --load exclude one another")
    if of is not None:
        if not of.is_file():
            raise ScenarioError(
                "there is no such file of images", file=str(of), remedy="`harness images --save` writes one"
            )
        if not tarfile.is_tarfile(of):
            raise ScenarioError("it is no file of images", file=str(of), remedy="`harness images --save` writes one")
        names = load(of)
        if as_json:
            echo_json({"loaded": names})
        else:
            echo("\n".join(f"loaded {name}" for name in names) or "there was no image in the file")
        return PASS
    description = resolve_stack(stack)
    if to is not None:
        if to.exists() and not to.is_file():
            raise ScenarioError("it is there, and is no file", file=str(to), remedy="give the path of a new file")
        if to.exists() and not force:
            remedy = "give the path of a new file, or overwrite this one with --force"
            raise ScenarioError("there is a file already", file=str(to), remedy=remedy)
        if not to.parent.is_dir():
            raise ScenarioError("its folder does not exist", file=str(to), remedy="make the folder first")
        names, size_bytes = save(description, to, say)
        if as_json:
            echo_json({"saved": names, "file": str(to), "size_bytes": size_bytes})
        else:
            echo("\n".join(f"saved {name}" for name in names))
            echo(f"{to}: {_size(size_bytes)}; `harness images --load {to}` reads it elsewhere")
        return PASS
    found = needed_images(description)
    if as_json:
        echo_json([one.as_data() for one in found])
        return PASS
    rows = [
        (
            one.image,
            "missing" if one.size_bytes is None else _size(one.size_bytes),
            one.runs,
            one.needed_by,
        )
        for one in found
    ]
    echo(plain_table(("image", "size here", "needed by", "for"), rows))
    return PASS


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB"
