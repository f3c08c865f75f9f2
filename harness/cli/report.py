"""`harness report`: judge stored runs again and write their report anew, as after an update of the harness."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import json_option
from harness.model.errors import ScenarioError

if TYPE_CHECKING:
    from harness.journal.records import Journal
    from harness.report import JudgedRun


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def report(folder: Path, as_json: bool) -> int:
    """Judge the runs of a folder again and write its report anew."""
    from harness.cli.folders import read_journal
    from harness.cli.suite import exit_code, show
    from harness.journal.files import NAME as JOURNAL
    from harness.report import SuiteInfo, write_suite

    runs = sorted(found.parent for found in folder.glob(f"*/{JOURNAL}"))
    if not runs:
        raise ScenarioError("there is no run in this folder", file=str(folder), remedy="give the folder of a suite")
    before = _before(folder)
    journals = {run: read_journal(run) for run in _in_order(runs, before)}
    judged = [_judged(run, journal, journals, before) for run, journal in journals.items()]
    first = next(iter(journals.values()))
    suite = SuiteInfo(
        name=str(before.get("suite", folder.resolve().name)),
        backend=first.plan.backend,
        seed=int(before.get("seed", first.plan.seed)),
        started=str(before.get("started", min(journal.header.started for journal in journals.values()))),
        wall_s=float(before.get("wall_s", max(_length_s(journal) for journal in journals.values()))),
        runs=judged,
        twin=before.get("twin"),
    )
    show(write_suite(folder, suite), folder, "json" if as_json else "text")
    return exit_code(judged)


def _before(folder: Path) -> dict[str, Any]:
    """Return what the earlier `suite.json` said; nothing where there is none that can be read."""
    try:
        data = json.loads((folder / "suite.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _in_order(runs: list[Path], before: dict[str, Any]) -> list[Path]:
    listed = [scenario.get("run_dir") for scenario in before.get("scenarios", ())]
    return sorted(runs, key=lambda run: listed.index(run.name) if run.name in listed else len(listed))


def _judged(run: Path, journal: Journal, journals: dict[Path, Journal], before: dict[str, Any]) -> JudgedRun:
    from harness.judge import judge
    from harness.report import JudgedRun, write_run

    control = journals.get(run.with_name(f"{run.name}~control"))
    verdict = judge(journal, control)
    errors = {s.get("run_dir"): s.get("error") for s in before.get("scenarios", ())}
    return JudgedRun(run, journal, verdict, errors.get(run.name), write_run(run, journal, verdict, control))


def _length_s(journal: Journal) -> float:
    return journal.lines[-1].t_s if journal.lines else 0.0
