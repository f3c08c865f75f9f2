"""`harness doctor`: test a stack description against the running stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import json_option
from harness.cli.exit_codes import FAIL, PASS
from harness.cli.tables import plain_table

if TYPE_CHECKING:
    from harness.onboarding.doctor.checks import Finding


@click.command()
@click.argument("stack")
@click.argument("scenarios", nargs=-1, type=click.Path(path_type=Path))
@click.option("--backend", help="Backend of the stack: local or compose. [default: local; compose with --attach]")
@click.option("--attach", metavar="PROJECT", help="Examine this running compose project.")
@click.option("--start", is_flag=True, help="Start the stack with every link through a proxy, and stop it afterwards.")
@click.option("--watch", default="3s", show_default=True, help="How long to observe probes and alert sources.")
@json_option
def doctor(
    stack: str,
    scenarios: tuple[Path, ...],
    backend: str | None,
    attach: str | None,
    start: bool,
    watch: str,
    as_json: bool,
) -> int:
    """Test the description of STACK against the running stack, and report what SCENARIOS lack.

    Exit codes: 0 everything works, 1 something does not, 2 invalid input, 4 the engine or the stack cannot be reached.
    """
    from harness.description.stackfile import resolve_stack
    from harness.onboarding.doctor.checks import all_well
    from harness.onboarding.doctor.examine import ExaminationRequest, examine

    description = resolve_stack(stack)
    runs_on = backend or ("local" if attach is None else "compose")
    found = examine(ExaminationRequest(description, runs_on, attach, start, _seconds(watch), scenarios))
    well = all_well(found)
    if as_json:
        click.echo(json.dumps({"works": well, "findings": [finding.as_data() for finding in found]}, indent=2))
    else:
        _show(found)
    return PASS if well else FAIL


def _seconds(text: str) -> float:
    from pydantic import TypeAdapter, ValidationError

    from harness.model.errors import ScenarioError
    from harness.model.units import PositiveWallSeconds

    try:
        return TypeAdapter(PositiveWallSeconds).validate_python(text)
    except ValidationError as error:
        message = f"{text!r} is not a duration"
        raise ScenarioError(message, field="--watch", remedy="write one such as 5s or 1min") from error


def _show(found: list[Finding]) -> None:
    click.echo(plain_table(("", "area", "name", "result"), [[f.state, f.area, f.name, f.says] for f in found]))
    helped = [finding for finding in found if finding.remedy and finding.state != "ok"]
    if helped:
        click.echo("\nremedies:")
    for finding in helped:
        click.echo(f"  {finding.area} {finding.name}: {finding.remedy}")
    wrong = sum(finding.state == "wrong" for finding in found)
    notes = sum(finding.state == "note" for finding in found)
    verdict = "everything works" if not wrong else f"{wrong} of {len(found)} do not work"
    click.echo(f"\n{verdict}" + (f", {notes} to note" if notes else ""))
