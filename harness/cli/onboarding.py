"""`harness init`: from a compose project to a stack description and first scenarios, beside the user's own files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.exit_codes import PASS
from harness.cli.tables import plain_table

if TYPE_CHECKING:
    from harness.onboarding.discovery.output import Discovery
    from harness.onboarding.discovery.services import Found


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "-f", "files", multiple=True, type=click.Path(path_type=Path), help="A compose file; repeat it for overrides."
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write to this folder, not beside the compose file."
)
@click.option(
    "--force", is_flag=True, help="Overwrite files that init wrote before. Other files are never overwritten."
)
@click.option("--no-engine", is_flag=True, help="Do not call the compose command.")
def init(path: Path, files: tuple[Path, ...], out: Path | None, force: bool, no_engine: bool) -> int:
    """Write a stack description and first scenarios for the compose project in PATH.

    Writes compose.harness.yaml and scenarios/, and changes no existing file.
    """
    from harness.onboarding.discovery.output import MARK, discover, stale, write_all
    from harness.onboarding.discovery.project import read_project
    from harness.runner.catalogue import Faults

    project = read_project(path, files, ask_engine=not no_engine)
    target = out or Path(os.path.relpath(project.folder))
    found = discover(project, target, Faults())
    written = write_all(target, found.files, MARK, force=force)
    click.echo(plain_table(("service", "kind", "port", "health", "links"), [_row(s) for s in found.services.values()]))
    click.echo("\n? marks a guess. " + _summary(found))
    for note in _notes(found):
        click.echo(f"note: {note}")
    click.echo("\nwritten:")
    for file in written:
        click.echo(f"  {file}")
    for file in stale(target, found.files, MARK):
        click.echo(f"written by an earlier init and no longer needed: {file}")
    stack, scenarios = written[0], target / "scenarios"
    click.echo(f"\nnext: read {stack}, then")
    if len(written) > 1:
        click.echo(f"  harness check {scenarios}")
    click.echo(f"  harness doctor {stack}{f' {scenarios}' if len(written) > 1 else ''} --attach PROJECT")
    return PASS


def _row(service: Found) -> list[str]:
    kind = service.kind.name if service.kind.name != "service" else "?"
    health = ""
    if service.health is not None:
        how = service.health.value
        health = how.get("http", "tcp") + ("" if service.health.sure else " ?")
    port = "" if service.port is None else f"{service.port.value}" + ("" if service.port.sure else " ?")
    if service.job:
        port, health = "", "ends by itself"
    return [service.name, kind, port, health, ", ".join(service.links)]


def _summary(found: Discovery) -> str:
    read = f"Read with {found.project.read_with}." if found.project.read_with else "Read without a compose command."
    links = sum(len(service.links) for service in found.services.values())
    counts = [
        (len(found.services), "service"),
        (links, "link"),
        (len(found.probes), "probe"),
        (len(found.rules), "alert rule"),
    ]
    return f"{read} {', '.join(f'{n} {what}' + ('s' if n != 1 else '') for n, what in counts)}."


def _notes(found: Discovery) -> list[str]:
    notes = list(found.project.notes)
    left_out = found.project.left_out.items()
    notes += [f"{name} is in the profile {', '.join(profiles)} and was left out" for name, profiles in left_out]
    notes += [
        f"{service.name}: no port was found, so probes cannot reach it"
        for service in found.services.values()
        if service.port is None and not service.job
    ]
    if not any(service.links for service in found.services.values()):
        notes.append("no link between services was found, so faults on links do not apply")
    if len(found.files) == 1:
        notes.append("no scenario was written: no service has both a fault and a probe that fit it")
    if not found.rules:
        notes.append("no alert rule was found: scenarios can check recovery, but not detection")
    return notes
