"""`harness list`: scenarios, faults, probes and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.app import given_or_usual, json_option, paths_argument, stack_option
from harness.cli.tables import plain_table
from harness.cli.terminal import echo, echo_json

if TYPE_CHECKING:
    from harness.model.stack import StackDescription


@click.group("list")
def listing() -> None:
    """List scenarios, faults, probes or alerts."""


@listing.command()
@paths_argument
@stack_option
@json_option
def scenarios(paths: tuple[Path, ...], stack: str | None, as_json: bool) -> None:
    """List the scenarios and the runs of their matrices."""
    from harness.runner.checking.stacks import validated
    from harness.runner.planning.misfire import aim

    rows = [
        {
            "name": item.name,
            "summary": item.scenario.summary,
            "faults": [step.fault for step in item.scenario.timeline],
            "covers": list(item.scenario.covers),
            "tags": list(item.scenario.tags),
            "owner": item.scenario.owner,
            "file": item.source.file,
            "misfire": [str(target) for target in aim(item.scenario, catalogue).targets],
        }
        for item, catalogue in validated(given_or_usual(paths), stack=stack)
    ]
    _show(("name", "faults", "misfire", "tags", "file", "summary"), rows, as_json)


@listing.command()
@json_option
@click.option("--markdown", is_flag=True, help="Print the whole reference, as in docs/faults.md.")
def faults(as_json: bool, markdown: bool) -> None:
    """List the kinds of fault with their targets and parameters."""
    from harness.description.findings import field_names
    from harness.faults.installed import Faults

    if markdown:
        from harness.runner.loading.reference import fault_reference

        echo(fault_reference(dict(Faults())), nl=False)
        return
    rows = [
        {
            "fault": kind.kind,
            "targets": list(kind.targets),
            "with": field_names(kind.parameters),
            "summary": kind.summary,
        }
        for kind in Faults().values()
    ]
    _show(("fault", "targets", "with", "summary"), rows, as_json)


@listing.command()
@click.option("--stack", default="reference", show_default=True, help="A stack's name or compose file.")
@json_option
def probes(stack: str, as_json: bool) -> None:
    """List the probes of the workload and of the stack."""
    from harness.faults.installed import Faults
    from harness.runner.planning.catalogue import Catalogue

    description = _stack(stack)
    own = Catalogue(description, Faults()).answer_probes.values()
    rows = [{"probe": p.name, "unit": p.unit.value, "of": "answers", "summary": p.summary} for p in own]
    rows += [
        {"probe": name, "unit": p.unit.value, "of": description.name, "summary": p.summary}
        for name, p in description.probes.items()
    ]
    _show(("probe", "unit", "of", "summary"), rows, as_json)


@listing.command()
@click.option("--stack", default="reference", show_default=True, help="A stack's name or compose file.")
@json_option
def alerts(stack: str, as_json: bool) -> None:
    """List the alert rules of the stack."""
    rows = [
        {"alert": name, "sabotage": alert.off is not None, "summary": alert.summary}
        for name, alert in _stack(stack).alerts.items()
    ]
    _show(("alert", "sabotage", "summary"), rows, as_json)


def _stack(name: str) -> StackDescription:
    from harness.description.stackfile import resolve_stack

    return resolve_stack(name)


def _show(columns: Sequence[str], rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        echo_json(rows)
        return
    echo(plain_table(columns, [[_cell(row[column]) for column in columns] for row in rows]))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)
