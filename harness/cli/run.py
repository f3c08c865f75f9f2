"""`harness run`: from paths to an exit code.

load → check → plan → (print the plan) or run → judge → report → exit code
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.cli.app import GivenPath, given_or_usual, json_option, paths_argument, seconds, set_option, stack_option
from harness.cli.exit_codes import say
from harness.model.errors import ScenarioError
from harness.model.givenfile import wrong_path

if TYPE_CHECKING:
    from harness.model.plan import Plan, Twin
    from harness.runner.checking.guardrails import GivenGuardrails

DEFAULT_NAME = "latest"
AUTO = "auto"
MOST_JOBS = 64


def _jobs(_ctx: click.Context, _param: click.Parameter, value: str) -> int | None:
    """Return the number of runs side by side; None where it is to be found out."""
    if value == AUTO:
        return None
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= MOST_JOBS):
        raise click.BadParameter(f"{value!r} is neither a number from 1 to {MOST_JOBS} nor {AUTO!r}")
    return int(value)


@click.command()
@paths_argument
@click.option(
    "--reports",
    type=GivenPath(),
    default=Path("reports"),
    show_default=True,
    metavar="DIR",
    help="Folder of the reports; each suite gets a subfolder.",
)
@click.option(
    "--name", default=DEFAULT_NAME, show_default=True, metavar="SUITE", help="Name of the suite and of its subfolder."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Seed of every random choice; default: the scenario's, or 1."
)
@click.option(
    "--twin",
    type=click.Choice(["control", "sabotage", "misfire"]),
    help="Run the twins instead: controls without the fault, sabotages with one alert rule or recovery off, or "
    "misfires with the fault where it cannot matter.",
)
@click.option("--paired", is_flag=True, help="Run each scenario's control too, and judge them as a pair.")
@click.option("-k", "expression", default="", metavar="EXPR", help="Only runs whose name matches, as pytest's -k does.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only scenarios with one of these tags.")
@click.option(
    "-j",
    "--jobs",
    callback=_jobs,
    default=AUTO,
    show_default=True,
    metavar="N",
    help="Runs side by side: a number, or auto, which adapts to how late the runs get.",
)
@click.option(
    "--wait-for-quiet",
    callback=seconds,
    metavar="TIME",
    help="Before each run, wait up to TIME (such as 60s) until other programs leave it enough of the machine.",
)
@click.option(
    "--retry-busy", is_flag=True, help="Repeat a run once that is unknown because the machine was busy; both are kept."
)
@click.option("--backend", help="Backend of the stacks: local (the default) or compose.")
@click.option(
    "--attach",
    metavar="PROJECT",
    help="Run on this running compose project and leave it as it is; '.': the one that was started in this folder. "
    "With --backend compose, else $HARNESS_ATTACH.",
)
@stack_option
@set_option
@click.option(
    "--abort-if",
    "rules",
    multiple=True,
    metavar="RULE",
    help="Revert all and end a run when this holds: 'probe: availability, at_most: 0.5, over: 2s', or 'alert: NAME'.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="How much faults may do: faults_at_once, share_of_replicas or fault_time. The strictest counts.",
)
@click.option("--dry-run", is_flag=True, help="Print what the runs would do and hit; start nothing.")
@json_option
def run(
    paths: tuple[Path, ...], reports: Path, name: str, seed: int | None, twin: Twin | None, paired: bool,
    expression: str, tags: tuple[str, ...], jobs: int | None, wait_for_quiet: float, retry_busy: bool,
    backend: str | None, attach: str | None,
    stack: str | None, settings: tuple[str, ...], rules: tuple[str, ...], limits: tuple[str, ...],
    dry_run: bool, as_json: bool,
) -> int:  # fmt: skip
    """Run scenarios, judge the runs and write a report."""
    if paired and twin is not None:
        raise click.UsageError("--paired runs the controls itself; leave --twin out")
    from harness.description.stackfile import resolve_stack
    from harness.runner.checking.guardrails import parse_guardrails
    from harness.runner.execution.backend_factory import check_attached, check_backend, project_to_attach_to
    from harness.runner.planning.plan import with_controls
    from harness.runner.safekeeping.latch import refuse_if_stopped

    if attach is not None and backend == "local":
        raise click.UsageError("--attach is for containers; leave --backend local out")
    if attach is not None and attach.startswith("-"):  # an option, taken for the value that is missing
        raise click.UsageError(f"--attach needs the name of a compose project, not {attach!r}")
    backend = backend or ("compose" if attach else "local")
    check_backend(backend)
    attach = project_to_attach_to(attach, backend)
    folder = _suite_folder(reports, name)
    given = parse_guardrails(rules, limits)
    plans = _planned(paths, settings, stack, expression, tags, seed, twin, backend, attach, given, starts=not dry_run)
    if paired:
        plans = with_controls(plans)
    if dry_run:
        from harness.cli.dry_run import print_plans

        print_plans(plans, as_json)
        return 0
    refuse_if_stopped(name for plan in plans for name in (plan.stack.name, plan.attach))
    check_attached(map(resolve_stack, {plan.scenario.stack for plan in plans}), backend, attach, say)
    from harness.cli.suite import run_and_print
    from harness.suite.pool import SuiteRequest

    mode: Literal["json", "text"] = "json" if as_json else "text"
    request = SuiteRequest(name, tuple(plans), folder, jobs, wait_for_quiet, retry_busy)
    return run_and_print(request, twin, mode)


def _suite_folder(reports: Path, name: str) -> Path:
    if name in ("", ".", "..") or "/" in name:
        raise click.UsageError(f"--name must be a folder name, not {name!r}")
    problem = wrong_path(name)
    if problem is not None:
        raise ScenarioError(problem, field="--name", remedy="give a short name of letters, digits, '-' and '_'")
    return reports / name


def _planned(
    paths: tuple[Path, ...], settings: tuple[str, ...], stack: str | None, expression: str, tags: Sequence[str],
    seed: int | None, twin: Twin | None, backend: str, attach: str | None, given: GivenGuardrails,
    *, starts: bool,
) -> list[Plan]:  # fmt: skip
    from harness.runner.checking.check import check_given
    from harness.runner.checking.check_faults import needs_containers
    from harness.runner.checking.stacks import stacks_of, validated
    from harness.runner.loading.explain import RefusedError
    from harness.runner.loading.needed_secrets import missing_secrets
    from harness.runner.loading.select import parse_expression
    from harness.runner.loading.variables import parse_settings
    from harness.runner.planning.plan import make_plans, not_sabotaged

    chosen = parse_expression(expression)
    found = validated(given_or_usual(paths), parse_settings(settings), stack)
    known_tags = {tag for item, _ in found for tag in item.scenario.tags}
    found = [pair for pair in found if not tags or set(tags) & set(pair[0].scenario.tags)]
    if wrong := check_given(given, found):
        raise RefusedError(wrong)
    plans = []
    for description, group in stacks_of(found):
        made = make_plans(group, description, seed=seed, twin=twin, backend=backend, attach=attach, guardrails=given)
        plans += [plan for plan in made if chosen(plan.run)]
        names = {plan.scenario.scenario for plan in plans if plan.faults_on}
        meant = [item for item in group if item.scenario.scenario in names] if backend == "local" else []
        wrong += [problem for item in meant for problem in needs_containers(item)]
        if twin == "sabotage":
            for item in group:
                for alert in not_sabotaged(item.scenario, description):
                    say(f"{item.name}: the stack description cannot switch off {alert}, so it has no sabotage twin")
    if wrong:
        raise RefusedError(wrong)
    if not plans:
        filters = " ".join([*(f"--tag {tag}" for tag in tags), *([f"-k {expression!r}"] if expression else [])])
        remedy = f"tags: {', '.join(sorted(known_tags)) or 'none'}; see `harness list scenarios` for names"
        raise ScenarioError(f"no run is selected{f' by {filters}' if filters else ''}", remedy=remedy)
    run = {plan.scenario.scenario for plan in plans}
    needed = [(item, catalogue.stack) for item, catalogue in found if item.scenario.scenario in run]
    missing = missing_secrets(needed) if starts else []
    if missing:
        raise RefusedError(missing)
    return plans
