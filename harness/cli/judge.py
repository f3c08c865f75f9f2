"""`harness judge` and `harness report`: judge a stored run again, or all of a suite and write their report anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import GivenPath, json_option
from harness.cli.exit_codes import given_journals
from harness.cli.terminal import echo, echo_json

if TYPE_CHECKING:
    from harness.model.verdict import Verdict


@click.command()
@click.argument("run", type=GivenPath())
@click.option("--control", type=GivenPath(), help="Its control; default: the one in its suite.")
@click.option("--unpaired", is_flag=True, help="Ignore the run's control.")
@json_option
def judge(run: Path, control: Path | None, unpaired: bool, as_json: bool) -> int:
    """Judge a stored run again, from its journal alone, with its control if the suite has one. Changes no file."""
    if unpaired and control is not None:
        raise click.UsageError("--control and --unpaired exclude each other")
    from harness.suite.conclude import judge_again
    from harness.suite.rules import verdict_code

    with given_journals():
        verdict = judge_again(run, control, unpaired=unpaired)
    if as_json:
        echo_json(verdict.model_dump(mode="json"))
    else:
        echo("\n".join(_lines(verdict)))
    return verdict_code(verdict)


def _lines(verdict: Verdict) -> list[str]:
    from harness.report.words import advice_lines

    catch = f" ({verdict.catch})" if verdict.catch is not None else ""
    twin = f" [{verdict.twin}]" if verdict.twin else ""
    lines = [f"{verdict.scenario}{twin}: {verdict.value}{catch}"]
    width = max((len(clause.id) for clause in verdict.clauses), default=0)
    for clause in verdict.clauses:
        cites = f"  (journal lines {', '.join(map(str, clause.cites))})" if clause.cites else ""
        lines.append(f"  {clause.value:7}  {clause.id.ljust(width)}  {clause.reason}{cites}")
    return [*lines, *(f"  {line}" for line in advice_lines(verdict.advice))]


@click.command()
@click.argument("folder", type=GivenPath())
@json_option
def report(folder: Path, as_json: bool) -> int:
    """Judge the runs in a suite's folder again and rewrite its report."""
    from harness.cli.suite import print_suite
    from harness.suite.suite import report_again

    with given_journals():
        finished = report_again(folder)
    print_suite(finished.document, folder, "json" if as_json else "text")
    return finished.exit_code
