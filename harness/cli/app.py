"""The table of commands, each imported when it is called and only then, and the options that several of them share.

The table says of each command whether it is short. A short command starts no other program, which would inherit the
environment, and runs without garbage collection: what is imported stays, and to look for garbage in it takes a tenth of
such a command's time. `harness.cli.main` switches the collector off, and `load` on again for the other commands.
"""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.model.errors import ScenarioError, did_you_mean
from harness.model.givenfile import is_folder, wrong_path


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command lives, what it does, in a line, and whether it is short."""

    where: str
    summary: str
    short: bool = False


COMMANDS: Mapping[str, Entry] = {
    "run": Entry("harness.cli.run:run", "Run scenarios, judge the runs and write a report."),
    "check": Entry("harness.cli.check:check", "Validate scenarios without running anything.", short=True),
    "init": Entry(
        "harness.cli.onboarding:init", "Write a stack description and first scenarios for a compose project."
    ),
    "doctor": Entry("harness.cli.onboarding:doctor", "Test a stack description against the running stack."),
    "record": Entry("harness.cli.record:record", "Record a workload with the answers that a service gives."),
    "list": Entry("harness.cli.listing:listing", "List scenarios, faults, probes or alerts.", short=True),
    "coverage": Entry("harness.cli.coverage:coverage", "Show what of a stack no scenario touches.", short=True),
    "judge": Entry("harness.cli.judge:judge", "Judge a stored run again."),
    "report": Entry("harness.cli.judge:report", "Judge the runs of a suite again and rewrite its report."),
    "margins": Entry("harness.cli.margins:margins", "Show how near passed clauses came to their bounds."),
    "up": Entry("harness.cli.stacks:up", "Start a stack and keep it running."),
    "down": Entry("harness.cli.stacks:down", "Stop stacks by name, or those that this folder started."),
    "images": Entry("harness.cli.images:images", "List, save or load the images that runs in containers need."),
    "heal": Entry("harness.cli.healing:heal", "Take out what killed runs have left in."),
    "status": Entry("harness.cli.healing:status", "List runs that go on or have left something in."),
    "stop": Entry("harness.cli.stop:stop", "Revert the faults of runs, end them, and keep new ones from starting."),
    "schema": Entry("harness.cli.check:schema", "Print the JSON Schema of scenario files.", short=True),
    "proxy": Entry("harness.cli.proxy:proxy", "Run the fault proxy on its own."),
}


class GivenPath(click.Path):
    """A path on the command line; one that no file can have is refused before anything is made of it."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Raises ScenarioError."""
        problem = wrong_path(value)
        if problem is not None:
            raise ScenarioError(problem, file=str(value), remedy="give another path")
        return super().convert(value, param, ctx)


def seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float:
    """Read a duration such as 60s; without one, 0."""
    from harness.model.units import parse_wall_s

    try:
        return 0.0 if value is None else parse_wall_s(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


paths_argument = click.argument("paths", nargs=-1, type=GivenPath())
stack_option = click.option(
    "--stack", metavar="STACK", help="Use this stack (a name or a compose file) instead of the scenarios'."
)
set_option = click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="Set a variable.")
json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON and nothing else to stdout.")


def load(entry: Entry) -> click.Command:
    """Import a command. A short one goes on without garbage collection, and without plugins of pydantic."""
    if entry.short:
        # Pydantic looks through every installed package for plugins, which takes longer than a check itself.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
        # At the end, too, there is no need to look through everything for garbage: the process is over.
        atexit.register(gc.freeze)
    module, _, name = entry.where.partition(":")
    command = getattr(import_module(module), name)
    if not entry.short:
        gc.enable()
    assert isinstance(command, click.Command)
    return command


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click calls it
        """Import a command."""
        entry = COMMANDS.get(cmd_name)
        return load(entry) if entry is not None else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no such command {args[0]!r}: {did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click calls it
        """Write the table without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
def app() -> None:
    """Chaos and fault-injection tests for machine-learning systems.

    Exit codes: 0 pass, 1 fail, 2 invalid input, 3 unknown, 4 the harness itself failed, 130 interrupted or stopped.
    """


def given_or_usual(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return the paths; without any, the folder `scenarios` if there is one, or else this one."""
    usual = Path("scenarios")
    return paths or ((usual,) if is_folder(usual) else (Path(),))
