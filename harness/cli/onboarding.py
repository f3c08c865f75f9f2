"""`harness init` and `harness doctor`: from a compose project to a stack description, and whether that works.

`init` writes it, and first scenarios, beside the user's own files; `doctor` tests it against the running stack.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import GivenPath, json_option
from harness.cli.exit_codes import FAIL, PASS
from harness.cli.tables import line_width, plain_table, wrapped
from harness.cli.terminal import echo, echo_json
from harness.model.errors import ScenarioError

if TYPE_CHECKING:
    from harness.onboarding.discovery.guess import Guess
    from harness.onboarding.discovery.output import Discovery
    from harness.onboarding.discovery.services import FoundService
    from harness.onboarding.doctor.checks import Finding


@click.command()
@click.argument("path", type=GivenPath(), default=".")
@click.option("-f", "files", multiple=True, type=GivenPath(), help="A compose file; repeat it for overrides.")
@click.option("--profile", "profiles", multiple=True, help="A compose profile to take in; repeat it for more.")
@click.option("--out", type=GivenPath(file_okay=False), help="Write to this folder, not beside the compose file.")
@click.option(
    "--force", is_flag=True, help="Overwrite files that init wrote and somebody edited, and write deleted ones again."
)
@click.option("--prune", is_flag=True, help="Remove scenarios that init wrote and no longer would, unless edited.")
@click.option("--no-engine", is_flag=True, help="Do not call the compose command.")
@click.option(
    "--standard",
    is_flag=True,
    help="Write the standard suite to scenarios/standard/, for the stack file if there is one.",
)
def init(
    path: Path,
    files: tuple[Path, ...],
    profiles: tuple[str, ...],
    out: Path | None,
    force: bool,
    prune: bool,
    no_engine: bool,
    standard: bool,
) -> int:
    """Write a stack description and first scenarios for the compose project in PATH.

    Writes compose.harness.yaml and scenarios/. Called again, it renews what nobody edited, keeps what somebody edited
    and shows which lines are new. With --standard, a compose.harness.yaml that exists is used as it is.

    Exit codes: 0 written, or nothing to write; 2 invalid input, or a file of somebody else is in the way.
    """
    from harness.cli.init_files import show_files, show_next
    from harness.faults.installed import Faults
    from harness.onboarding.discovery.output import discover
    from harness.onboarding.discovery.project import read_project
    from harness.onboarding.discovery.rendering import SCENARIOS, STANDARD
    from harness.onboarding.discovery.writing import write_files

    project = read_project(path, files, profiles, ask_engine=not no_engine)
    target = out or Path(os.path.relpath(project.folder))
    found = discover(project, target, Faults(), standard=standard, keep_edits=not force)
    place = STANDARD if standard else SCENARIOS
    outcomes = write_files(target, found.files, place, force=force, prune=prune)
    rows = [_row(service) for service in found.services.values()]
    echo(plain_table(("service", "kind", "port", "health", "links"), rows, line_width()))
    echo("\n? marks a guess. " + _summary(found))
    for note in _notes(found):
        echo(f"note: {note}")
    lacking = show_files(found, target, outcomes)
    show_next(found, target, target / place, outcomes, lacking)
    return PASS


def _row(service: FoundService) -> list[str]:
    kind = service.kind.name if service.kind.name != "service" else "?"
    if kind != "?" and not service.kind_is_known:
        kind += " ?"
    port = "" if service.port is None else f"{service.port.value}" + ("" if service.port.sure else " ?")
    health = _health(service)
    if service.job:
        port, health = "", "ends by itself"
    return [service.name, kind, port, health, ", ".join(service.links)]


def _health(service: FoundService) -> str:
    """Return what a start waits for, as it stands in the file, and the guess that stands there as a comment."""
    from harness.onboarding.discovery.output import gating_health

    gate, guess = gating_health(service), service.health
    told = [] if gate is None else [_way(gate)]
    if guess is not None and (gate is None or gate.value != guess.value):
        told.append(f"{_way(guess)} ?")
    return ", ".join(told)


def _way(check: Guess) -> str:
    """Return how a health check asks: the path of its page, or a protocol."""
    how: str = check.value.get("http", "grpc" if "grpc" in check.value else "tcp")
    return how


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
    from harness.onboarding.discovery.probes import no_access

    notes = list(found.project.notes)
    notes += [_left_out(name, profiles) for name, profiles in found.project.left_out.items()]
    notes += [
        f"{service.name}: no port was found, so probes cannot reach it"
        for service in found.services.values()
        if service.port is None and not service.job and not service.unreached
    ]
    notes += [
        f"{name}: {why}, so no probe looks into it: give one in x-harness.probes, its password as $${{secret:NAME}}"
        for name, why in no_access(found.project, found.services).items()
    ]
    notes += _unclear_links(found)
    notes += found.not_written
    if not any(service.links for service in found.services.values()):
        notes.append("no link between services was found, so faults on links do not apply")
    if not any("/" in name for name in found.files):
        notes.append("no scenario was written: nothing that is measured could feel a fault that fits")
    if not found.rules:
        notes.append("no alert rule was found: scenarios can check recovery, but not detection")
    return notes


def _unclear_links(found: Discovery) -> list[str]:
    from harness.model.fields import Link

    notes = []
    for name, files in found.references.doubtful_services.items():
        for file, others in files.items():
            unclear = [other for other in others if Link(name, other).name not in found.settled]
            if unclear:
                them = " and ".join(unclear)
                notes.append(
                    f"{name}: it is not clear whether it uses {them}: only {file} says so, which others have too"
                )
    if any(link.name not in found.settled for link in found.references.doubtful_links):
        notes.append("to say so, list these links in x-harness.links, or in x-harness.unused_links if nobody uses them")
    return notes


def _left_out(name: str, profiles: tuple[str, ...]) -> str:
    if not profiles:
        return f"{name} is only on where no profile is chosen, and was left out"
    return f"{name} is in the profile {', '.join(profiles)} and was left out: --profile {profiles[0]} takes it in"


@click.command()
@click.argument("stack")
@click.argument("scenarios", nargs=-1, type=GivenPath())
@click.option("--backend", help="Backend of the stack: local or compose. [default: local; compose with --attach]")
@click.option("--attach", metavar="PROJECT", help="Examine this running compose project; '.': the one started here.")
@click.option("--start", is_flag=True, help="Start the stack with every link through a proxy, and stop it afterwards.")
@click.option("--watch", default="3s", show_default=True, help="How long to observe probes and alert sources.")
@click.option(
    "--send",
    is_flag=True,
    help="With --attach: send the workload's requests that may change something, too, and ask each service without a "
    "role which protocol it speaks.",
)
@json_option
def doctor(
    stack: str,
    scenarios: tuple[Path, ...],
    backend: str | None,
    attach: str | None,
    start: bool,
    watch: str,
    send: bool,
    as_json: bool,
) -> int:
    """Test the description of STACK against the running stack, and report what SCENARIOS lack.

    Exit codes: 0 everything works, 1 something does not, 2 invalid input, 4 the engine or the stack cannot be reached.
    """
    from harness.description.stackfile import resolve_stack
    from harness.onboarding.doctor.checks import all_well
    from harness.onboarding.doctor.examine import ExaminationRequest, examine
    from harness.runner.execution.backend_factory import project_to_attach_to

    description = resolve_stack(stack)
    attach = attach and project_to_attach_to(attach, None)
    runs_on = backend or ("local" if attach is None else "compose")
    found = examine(ExaminationRequest(description, runs_on, attach, start, _seconds(watch), send, scenarios))
    well = all_well(found)
    if as_json:
        echo_json({"works": well, "findings": [finding.as_data() for finding in found]})
    else:
        _show(found)
    return PASS if well else FAIL


def _seconds(text: str) -> float:
    from pydantic import TypeAdapter, ValidationError

    from harness.model.units import PositiveWallSeconds

    try:
        return TypeAdapter(PositiveWallSeconds).validate_python(text)
    except ValidationError as error:
        message = f"{text!r} is not a duration"
        raise ScenarioError(message, field="--watch", remedy="write one such as 5s or 1min") from error


def _show(found: list[Finding]) -> None:
    width = line_width()
    echo(plain_table(("", "area", "name", "result"), [[f.state, f.area, f.name, f.says] for f in found], width))
    helped = [finding for finding in found if finding.remedy and finding.state != "ok"]
    if helped:
        echo("\nremedies:")
    for finding in helped:
        text = f"{finding.area} {finding.name}: {finding.remedy}"
        echo(wrapped(text, width, first="  ", then="    "))
    wrong = sum(finding.state == "wrong" for finding in found)
    notes = sum(finding.state == "note" for finding in found)
    verdict = "everything works" if not wrong else f"{wrong} of {len(found)} do not work"
    echo(f"\n{verdict}" + (f", {notes} to note" if notes else ""))
