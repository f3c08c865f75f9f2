"""`harness heal` and `harness status`: what runs that were cut off have left, taken out and listed."""

from __future__ import annotations

import shlex
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.app import GivenPath, json_option
from harness.cli.exit_codes import BROKEN, PASS, say
from harness.cli.terminal import cell, echo, echo_json
from harness.model.errors import BackendError, ScenarioError

if TYPE_CHECKING:
    from harness.guard.heal import Healed
    from harness.guard.open_runs import OpenRun
    from harness.guard.sidecars_on_engine import SidecarOnEngine
    from harness.guard.stack_owner import StackOwner

WAIT_S = 60.0
"""How long another process that heals the same run is waited for."""
LOOK_EVERY_S = 0.3
ENGINE_S = 5.0
"""How long an engine may take for each answer before the rest of the list is shown without it."""


@click.command()
@click.argument("paths", nargs=-1, type=GivenPath())
@click.option(
    "--by-hand", "by_hand", multiple=True, metavar="FAULT", help="Note that you have taken out this fault yourself."
)
def heal(paths: tuple[Path, ...], by_hand: tuple[str, ...]) -> int:
    """Take out the faults that killed runs have left in, from their undo alone.

    PATHS are folders of runs, or folders with runs in them; without any, reports. Runs that still go on are left
    alone. Ends with 4 where something is left, which is named, and with 0 where nothing is.
    """
    from harness.journal.undo_folder import heal_command

    runs = _runs(paths)
    if by_hand:
        _note_by_hand(runs, by_hand)
    healed = _healed(runs)
    for one in healed:
        hangs = one.hung and one.skipped is None
        for fault in one.taken_out:
            now = "was taken out; its run hangs, and may put it in again" if hangs else "is out"
            echo(f"{one.run}: the fault {fault!r} {now}")
        if one.skipped is not None and not one.left:
            echo(f"{one.run}: left alone: {one.skipped}")
        if hangs:
            one.left.append(_ending(one.run))
        for text in one.left:
            say(f"{one.run}: {text}")
    left = [one for one in healed if one.left]
    counts = [f"{len(runs)} run{'s' if len(runs) != 1 else ''} checked", f"{sum(len(one.left) for one in left)} left"]
    if living := sum(one.goes_on for one in healed):  # whatever it has in stays in
        counts.append(f"{living} still {'goes' if living == 1 else 'go'} on")
    echo(", ".join(counts))
    for one in left:
        if not one.hung:  # of one that hangs, nothing can be closed by hand
            by_hands = " ".join(f"--by-hand {shlex.quote(fault)}" for fault in sorted(_open_faults(one.run)))
            restored = f"; once you have restored it by hand: {by_hands}" if by_hands else ""
            say(f"to try again: {heal_command(one.run)}{restored}")
    return BROKEN if left else PASS


def _ending(run: Path) -> str:
    """Return how to finish with a run that hangs."""
    from harness.journal.owner import owner_of
    from harness.journal.undo_folder import folder_of, heal_command

    owner = owner_of(folder_of(run))
    if owner is None:
        return "its process hangs, and may go on: end it"
    then = f"end it with `kill -9 {owner.pid}`, then run `{heal_command(run)}`"
    return f"its process {owner.pid} hangs, and may go on: {then}"


def _open_faults(run: Path) -> dict[str, str]:
    """Return the faults of a run that may be in, as far as their files tell, with the names of their undo."""
    from harness.guard.missing_undo import missing_undo, name_for_gone
    from harness.journal.undo import UndoFiles, Unreadable
    from harness.journal.undo_folder import fault_of

    files = UndoFiles(run)
    found = {}
    for name in files.open():
        undo = files.fault(name)
        found[fault_of(name) if isinstance(undo, Unreadable) else undo.fault] = name
    return found | {one.fault: name_for_gone(run, one.fault) for one in missing_undo(run)}


def _runs(paths: tuple[Path, ...]) -> list[Path]:
    """Return the runs that are meant. Raises ScenarioError for a path that has none.

    The usual folder may have none: its first run may be about to start.
    """
    from harness.guard.open_runs import runs_under
    from harness.journal.files import NAME as JOURNAL

    runs = []
    for path in paths or (Path("reports"),):
        folder = path.parent if path.name == JOURNAL else path
        found = runs_under(folder)
        usual = not paths and folder.is_dir()
        if not found and not usual and not any(folder.glob(f"**/{JOURNAL}")):
            remedy = "give the folder of a run, or one that holds runs"
            raise ScenarioError("no run found here", file=str(path), remedy=remedy)
        runs += found
    return list(dict.fromkeys(runs))


def _healed(runs: list[Path]) -> list[Healed]:
    """Heal runs; those that another process heals at the same time are waited for."""
    from harness.guard.heal import BUSY, heal

    until_s = time.monotonic() + WAIT_S
    healed = {one.run: one for one in heal(runs, "heal")}
    while time.monotonic() < until_s:
        busy = [one.run for one in healed.values() if one.skipped == BUSY]
        if not busy:
            break
        time.sleep(LOOK_EVERY_S)
        healed |= {one.run: one for one in heal(busy, "heal")}
    stuck = [one for one in healed.values() if one.skipped == BUSY]
    for one in stuck:
        healed[one.run] = replace(one, left=[f"{BUSY}{_guard_of(one.run)}"], skipped=None)
    return list(healed.values())


def _guard_of(run: Path) -> str:
    """Return which process the guard of a run is, in brackets."""
    from harness.guard.start import has_guard, stopped_guard
    from harness.journal import undo_folder

    try:
        pid = undo_folder.read_regular(undo_folder.folder_of(run) / undo_folder.GUARD).decode().strip()
    except (OSError, ValueError):
        return ""
    if stopped_guard(run) is not None:
        return f" (its guard is process {pid}, which was stopped: `kill -CONT {pid}` lets it go on)"
    return f" (its guard is process {pid})" if pid and has_guard(run) else ""


def _note_by_hand(runs: list[Path], faults: tuple[str, ...]) -> None:
    """Write down what the user has restored. Raises ScenarioError for a fault that is not open."""
    from harness.guard.heal import BUSY, healing
    from harness.guard.missing_undo import missing_undo
    from harness.journal.owner import state_of
    from harness.journal.undo import UndoFiles
    from harness.journal.undo_folder import folder_of

    if len(runs) != 1:
        raise click.UsageError("--by-hand is for one run: give its folder")
    files = UndoFiles(runs[0])
    with healing(runs[0]) as held:
        if not held:
            raise ScenarioError(f"{BUSY}{_guard_of(runs[0])}", file=str(runs[0]), remedy="wait for it, and look again")
        if state_of(folder_of(runs[0])) != "dead":
            raise ScenarioError("this run still goes on", file=str(runs[0]), remedy="stop it first: see harness status")
        open_now = _open_faults(runs[0])
        for fault in faults:
            if fault not in open_now:
                message, known = f"no fault {fault!r} is open in this run", ", ".join(sorted(open_now)) or "none"
                raise ScenarioError(message, field="--by-hand", remedy=f"open: {known}")
        for fault in faults:
            files.write_gone(open_now[fault], fault, "heal", {"by_hand": True})
            echo(f"{runs[0]}: the fault {fault!r} is out, by your own hand")
        if files.run() is None and not files.open() and not missing_undo(runs[0]):
            files.write_ended("heal")  # nobody can tell where its stack is, and nothing is left in it


@click.command()
@click.argument("paths", nargs=-1, type=GivenPath())
@json_option
def status(paths: tuple[Path, ...], as_json: bool) -> int:
    """List runs that go on or have left something in, with the age of their leases, and who owns which stack.

    PATHS are folders of runs, or folders with runs in them; without any, reports. Ends with 0, whatever there is.
    """
    from harness.guard.open_runs import open_run

    there = bool(paths) or Path("reports").is_dir()
    runs = [found for run in _runs(paths) if (found := open_run(run)) is not None] if there else []
    owners, guards, engine = _on_engine()
    if as_json:
        stacks, containers = [_stack(one) for one in owners], [vars(one) for one in guards]
        echo_json({"runs": [_run(one) for one in runs], "stacks": stacks, "guards": containers})
        return PASS
    for one in runs:
        echo(cell(_line(one)))
    if not runs:
        echo(cell(f"no run goes on, or has left anything in, under {', '.join(map(str, paths)) or 'reports'}"))
    for owner in owners:
        said = "; it has ended: `harness heal` its folder" if owner.is_dead() else ""
        echo(cell(f"stack {owner.project}: owned by {owner}{said}"))
    for guard in guards:
        echo(cell(f"stack {guard.project}: the guard {guard.name} of {guard.run} on {guard.host} {guard.does}"))
    if engine is not None:
        echo(f"stacks in containers: {engine}")
    return PASS


def _stack(owner: StackOwner) -> dict[str, object]:
    process = owner.process
    return {
        "project": owner.project,
        "id": owner.id,
        "run": owner.run,
        "host": process.host if process is not None else None,
        "pid": process.pid if process is not None else None,
    }


def _run(one: OpenRun) -> dict[str, object]:
    return {
        "run": str(one.run),
        "owner": str(one.owner) if one.owner is not None else None,
        "state": one.state,
        "guarded": one.guarded,
        "stack": one.stack,
        "lease_age_s": round(one.lease_age_s, 1) if one.lease_age_s is not None else None,
        "faults": list(one.faults),
    }


def _line(one: OpenRun) -> str:
    from harness.journal.undo_folder import heal_command

    states = {"alive": "goes on", "hung": "hangs", "dead": "has ended"}
    parts = [f"{one.owner} {states[one.state]}" if one.owner is not None else states[one.state]]
    if one.lease_age_s is not None:
        parts.append(f"its lease is {_age(one.lease_age_s)} old")
    elif one.state != "dead":
        parts.append("its lease cannot be read")
    if one.stack is not None:
        parts.append(f"stack {one.stack}")
    parts.append(f"may be in: {', '.join(one.faults)}" if one.faults else "no fault is in")
    if one.guarded:
        parts.append("guarded")
    if one.state == "dead":
        parts.append(f"`{heal_command(one.run)}` takes out what is left")
    return f"{one.run}: {'; '.join(parts)}"


def _age(age_s: float) -> str:
    """Return an age, in a unit that tells a run that hangs from one that ended days ago."""
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60)):
        if age_s >= 2 * seconds:
            return f"{age_s / seconds:.0f} {unit}"
    return f"{age_s:.0f} s"


def _on_engine() -> tuple[list[StackOwner], list[SidecarOnEngine], str | None]:
    """Return who owns which stack on the engine, the guards in containers, and why that cannot be told."""
    from harness.backends.compose.engine import client
    from harness.guard.sidecars_on_engine import sidecars_on
    from harness.guard.stack_owner import owned_stacks

    try:
        with closing(client(ENGINE_S)) as engine:
            return owned_stacks(engine), sidecars_on(engine), None
    except BackendError as error:
        return [], [], error.message
