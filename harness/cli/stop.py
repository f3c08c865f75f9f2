"""`harness stop`: a latch that ends the runs of a stack and keeps new ones from starting, until it is released."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import seconds
from harness.cli.exit_codes import BROKEN, PASS, say
from harness.cli.terminal import echo
from harness.model.errors import ScenarioError, nearest

if TYPE_CHECKING:
    from harness.runner.safekeeping.running import Running

WAIT = "60s"
EVERY_S = 0.1


@click.command()
@click.argument("stacks", nargs=-1)
@click.option("--why", metavar="TEXT", help="The reason, for those who meet the latch.")
@click.option(
    "--wait", "wait_s", callback=seconds, default=WAIT, show_default=True, metavar="TIME",
    help="How long to wait at most for the runs to end.",
)  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="List the latches that are set, and the runs that go on.")
@click.option("--release", "releasing", is_flag=True, help="Release the latch, so that runs may start again.")
def stop(stacks: tuple[str, ...], why: str | None, wait_s: float, listing: bool, releasing: bool) -> int:
    """Revert the faults of runs, end them, and keep new ones from starting until the latch is released.

    STACKS are names of stacks or compose projects, or compose files; without one, all of yours on this machine.
    """
    from harness.runner.safekeeping.latch import ALL, set_latch
    from harness.runner.safekeeping.running import runs

    if listing and releasing:
        raise click.UsageError("--list and --release exclude one another")
    if any(not name.strip() for name in stacks):
        raise click.UsageError("the name of a stack is empty; leave it out to stop all of yours")
    names = tuple(map(_name, stacks)) or (ALL,)
    if listing:
        return _list(names)
    if releasing:
        return _release(names)
    # Who gives a compose file, or the name of what runs, has made no typing error.
    for given, name in zip(stacks, names, strict=False):
        if given == name:
            _refuse_if_misspelt(name)
    for name in names:
        latch = set_latch(name, why)
        stops = any(alive and running.is_of((name,)) for _, running, alive in runs())
        if not stops:
            others = sorted({f"{running.run} of {running.stack}" for _, running, alive in runs() if alive})
            of = "" if name == ALL else f" of {name!r}"
            goes_on = f"; what goes on: {', '.join(others)}" if others else ""
            say(f"nothing was stopped: no run{of} is going on{goes_on}")
        what = f"stopped {name}" if stops else f"the latch {name} is set"
        echo(f"{what} ({latch.text}); release it with `{latch.release}`")
    return _wait(names, wait_s)


def _refuse_if_misspelt(name: str) -> None:
    """Raise ScenarioError for a name of which no run is known, while one of a similar name goes on."""
    from harness.runner.safekeeping.latch import ALL
    from harness.runner.safekeeping.running import runs

    known = list(runs())
    if name == ALL or any(running.is_of((name,)) for _, running, _ in known):
        return
    close = nearest(name, {each for _, running, alive in known if alive for each in (running.stack, *running.projects)})
    if close is None:
        return
    remedy = f"did you mean {close!r}? To keep runs of another stack from starting, give its compose file"
    raise ScenarioError(f"no run of {name!r} is going on, and nothing was stopped", remedy=remedy)


def _name(given: str) -> str:
    """Return the name of a stack that may be given as its compose file."""
    if Path(given).suffix not in (".yaml", ".yml"):
        return given
    from harness.description.stackfile import resolve_stack

    return resolve_stack(given).name


def _list(names: Sequence[str]) -> int:
    from harness.guard.open_runs import must_be_healed
    from harness.runner.safekeeping.latch import ALL, latches
    from harness.runner.safekeeping.running import runs

    found = [latch for latch in latches() if ALL in names or latch.name in names]
    for latch in found:
        echo(f"{latch.name}: stopped {latch.text}; {latch.path}")
    for _, running, alive in runs():
        if running.is_of(names) and (alive or must_be_healed(Path(running.run_dir)) is not None):
            state = "going on" if alive else "killed"
            echo(f"run {running.run} of {running.stack}: {state}, process {running.pid}, {running.run_dir}")
    if not found:
        echo("no latch is set")
    return PASS


def _release(names: Sequence[str]) -> int:
    from harness.runner.safekeeping.latch import latches, release

    for name in names:
        echo(f"released {name} (it was stopped {release(name).text})")
    left = latches()
    if left:
        echo(f"still stopped: {', '.join(latch.name for latch in left)}")
    return PASS


@dataclass
class _Outcome:
    """What has become of the runs so far."""

    waiting: dict[Path, Running] = field(default_factory=dict)
    left: list[Running] = field(default_factory=list)
    """Runs that are over and have left faults in."""
    killed: dict[Path, Running] = field(default_factory=dict)
    """Runs that were killed; what is left of them is told last, for their guards may be at work."""

    def look(self, names: Sequence[str]) -> None:
        """Take in which runs go on now; tell of those that have ended."""
        from harness.runner.safekeeping.running import runs

        now: dict[Path, Running] = {}
        for path, running, alive in runs():
            if not running.is_of(names):
                continue
            if alive:
                now[path] = running
            else:
                self.waiting.pop(path, None)
                self.killed[path] = running
        for path, running in self.waiting.items():
            if path in now:
                continue
            if path.exists():  # it could not be read just now
                now[path] = running
            else:
                self._over(running, "has ended")
        self.waiting = now

    def of_the_killed(self, until_s: float) -> None:
        """Say what became of those that were killed; a guard that is at work is waited for."""
        for path, running in self.killed.items():
            if self._over(running, "was killed", until_s):
                path.unlink(missing_ok=True)

    def _over(self, running: Running, how: str, until_s: float = 0.0) -> bool:
        """Say what became of a run that is over. Returns whether nothing of it is left."""
        from harness.guard.open_runs import must_be_healed
        from harness.suite.folders import GUARD_S

        left_s = max(0.0, until_s - time.monotonic())
        why = must_be_healed(Path(running.run_dir), min(GUARD_S, left_s))
        if why is not None:
            self.left.append(running)
            echo(f"run {running.run} {how}: {why}")
        elif how == "has ended":
            echo(f"run {running.run} has reverted and ended")
        return why is None


def _wait(names: Sequence[str], wait_s: float) -> int:
    """Wait until no run of these stacks goes on. Tells which have reverted, and how to finish with the others."""
    from harness.journal.undo_folder import heal_command

    outcome = _Outcome()
    until_s = time.monotonic() + wait_s
    outcome.look(names)
    while outcome.waiting and time.monotonic() < until_s:
        time.sleep(EVERY_S)
        outcome.look(names)
    outcome.of_the_killed(until_s)
    for running in outcome.waiting.values():
        what = _may_be_in(Path(running.run_dir))
        say(f"run {running.run} (process {running.pid}) has not ended after {wait_s:g} s; {what}")
    open_ones = [*outcome.waiting.values(), *outcome.left]
    if not open_ones:
        return PASS
    for running in outcome.waiting.values():
        say(f"end its process with `kill -9 {running.pid}`, then run `{heal_command(Path(running.run_dir))}`")
    for running in outcome.left:
        say(f"run `{heal_command(Path(running.run_dir))}`")
    return BROKEN


def _may_be_in(run: Path) -> str:
    """Return what is known of each fault of a run that has not ended."""
    from harness.guard.open_runs import UNREADABLE, open_run
    from harness.journal.undo import UndoFiles, Unreadable
    from harness.journal.undo_folder import RUN

    files = UndoFiles(run)
    if not (files.folder / RUN).is_file():
        return UNREADABLE
    found = open_run(run)
    may_be_in = f"may be in: {', '.join(found.faults)}" if found is not None and found.faults else "no fault is in"
    closed = [files.fault(name) for name in reversed(files.all()) if files.gone(name) is not None]
    out = [undo.fault for undo in closed if not isinstance(undo, Unreadable)]
    return f"{may_be_in}; out: {', '.join(out)}" if out else may_be_in
