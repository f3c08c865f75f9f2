"""Heals runs from their undo alone: takes out every fault that is open, newest first, and gives the stack back.

The faults of all runs on one stack are healed together, for the newer one may have taken the older one's effect for the
original state. One that cannot be taken out keeps none of the others in, and those below it open.
What is healed is written down, with what was measured, so that nothing is healed twice. A run whose owner lives is left
alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.faults.command import end_left
from harness.guard.missing_undo import missing_undo
from harness.guard.reverting import in_flight_of, is_command
from harness.guard.sidecar_healing import has_heartbeat, kept_idle
from harness.guard.stacks import NOBODY_OWNS, REMOVED, given_back, not_to_be_healed, reached
from harness.guard.taking_out import OpenFault, TakingOut, newest_first
from harness.journal import undo_folder
from harness.journal.owner import is_copy, owner_of, state_of
from harness.journal.undo import UndoFiles, Unreadable
from harness.liveness import locked
from harness.model.errors import HarnessError
from harness.model.undo import RunUndo, Who

BUSY = "another process heals it right now"


@dataclass
class Healed:
    """What became of one run."""

    run: Path
    taken_out: list[str] = field(default_factory=list)
    """The faults that were taken out now."""
    left: list[str] = field(default_factory=list)
    """What could not be restored, and why."""
    skipped: str | None = None
    """Why the run was left alone."""
    goes_on: bool = False
    """Whether it was left alone because its owner lives."""
    done_before: bool = False
    """Whether nothing was left to do."""
    hung: bool = False
    """Whether its owner hangs: it may go on, so that nothing is written down."""
    remote: bool = False
    """Whether it is a run of another machine."""
    owner_unknown: str | None = None
    """Why it is not known which run owns its stack now, where that is so: it may be another one that goes on."""


def heal(runs: Sequence[Path], by: Who, *, while_alive: bool = False, remote: bool = False) -> list[Healed]:
    """Heal runs and return what became of each, in their order. Blocks. Raises nothing of the harness's own.

    Of a run whose owner hangs the faults are taken out, and stay open: it may go on. `while_alive` treats one whose
    owner lives in the same way. `remote`: the runs are of another machine. What their commands did there, and the
    last of what they kept, are known there alone, so that such faults stay open.
    """
    with contextlib.ExitStack() as holding:
        reports = [_taken_on(Healed(Path(run), remote=remote), holding, while_alive=while_alive) for run in runs]
        mine = [report for report in reports if report.skipped is None and not report.done_before]
        groups: dict[tuple[str, str, bool, bool], list[tuple[Healed, RunUndo]]] = {}
        for report in mine:
            run = UndoFiles(report.run).run()
            if run is None:
                file = undo_folder.folder_of(report.run) / undo_folder.RUN
                asyncio.run(_heal_commands(report, by))
                missing = missing_undo(report.run)
                report.left += map(str, missing)
                if not missing or file.exists():
                    report.left.append(f"{file}: not as it was written, so nobody knows where the run's stack is")
                continue
            if run.guard is not None:
                if _goes_on_remotely(report.run, run):
                    report.skipped, report.goes_on = "its guard in a container gets heartbeats, so it goes on", True
                    continue
                report.taken_out += holding.enter_context(kept_idle(report.run, run))
                report.done_before = undo_folder.has_ended(undo_folder.folder_of(report.run))
            if report.done_before:
                continue
            if (why := _refused(report, run)) is not None:
                if UndoFiles(report.run).open() or missing_undo(report.run):
                    report.left.append(why)  # nobody knows that they are out
                elif why == NOBODY_OWNS:
                    report.done_before = True
                else:
                    report.skipped = why
                continue
            stack = run.project if run.backend != "local" and run.project is not None else str(report.run)
            groups.setdefault((run.backend, stack, run.owned, report.hung), []).append((report, run))
        for (*_, hung), group in groups.items():
            asyncio.run(_heal_stack(group, by, final=not hung))
    return reports


def _goes_on_remotely(run: Path, undo: RunUndo) -> bool:
    """Whether a run goes on of which only a copy is here, or that belongs to another machine: no lock tells of it."""
    folder = undo_folder.folder_of(run)
    owner = owner_of(folder)
    is_known_here = owner is not None and owner.is_here() and not is_copy(folder)
    return not is_known_here and has_heartbeat(run, undo)


def _refused(report: Healed, run: RunUndo) -> str | None:
    """Return why a run must not be healed from this undo; what the engine does not tell is left with each fault."""
    try:
        return not_to_be_healed(run, copied=is_copy(undo_folder.folder_of(report.run)))
    except HarnessError as error:  # by the time that a fault comes out it may answer, and another run go on there
        report.owner_unknown = str(error)
        return None


@contextlib.contextmanager
def healing(run: Path) -> Iterator[bool]:
    """Hold the lock of whoever heals a run; yields whether it is held."""
    with contextlib.ExitStack() as lock:
        is_held = True
        try:
            lock.enter_context(locked(undo_folder.folder_of(run) / undo_folder.HEALING))
        except BlockingIOError:
            is_held = False
        except OSError:  # a folder that cannot be written is healed all the same
            pass
        yield is_held


def removed_with_its_stack(run: Path, run_id: str) -> None:
    """Write down that what a dead run had put into its stack is gone, for the stack was removed. Raises JournalError.

    What its commands did elsewhere stays open, and so does all of another run that has the folder by now.
    """
    files = UndoFiles(run)
    of = files.run()
    if of is None or of.id != run_id:
        return
    for name in files.open():
        undo = files.fault(name)
        if not isinstance(undo, Unreadable) and not is_command(undo):
            files.write_gone(name, undo.fault, "heal", {"stack": REMOVED})
    if not files.open():
        files.write_ended("heal")


def _taken_on(report: Healed, holding: contextlib.ExitStack, *, while_alive: bool) -> Healed:
    """Take a run on, or say why it is left alone."""
    folder = undo_folder.folder_of(report.run)
    if undo_folder.has_ended(folder):
        report.done_before = True
        return report
    closed = undo_folder.closed_to_us(report.run)
    if closed is not None:
        report.left.append(f"{closed}: it may be looked into by its owner only; heal as that user")
        report.skipped = "it cannot be looked into"
        return report
    # Of a run of another machine the caller knows from its heartbeats; the clocks of two machines tell nothing.
    state = ("hung" if while_alive else "dead") if report.remote else state_of(folder)
    report.hung = state == "hung" or (state == "alive" and while_alive)
    if state == "alive" and not while_alive:
        report.skipped, report.goes_on = f"its owner, {owner_of(folder)}, is alive", True
        return report
    if not holding.enter_context(healing(report.run)):
        report.skipped = BUSY
    # Whoever held the lock just now may have healed it.
    report.done_before = undo_folder.has_ended(folder)
    return report


def _opened(report: Healed, run: RunUndo | None) -> list[OpenFault]:
    """Return the faults of a run that are open; what cannot be read is left, and named."""
    files = UndoFiles(report.run)
    were_open = set(files.open())
    found: list[OpenFault] = []
    written_ns = 0
    for name in reversed(files.all()):
        undo = files.fault(name)
        if isinstance(undo, Unreadable):
            if name in were_open:
                report.left.append(str(undo))
            continue
        written_ns = max(written_ns, undo.written_ns)
        if name not in were_open:
            continue
        # What a heartbeat tells of a remote run is up to a second old, and calls begin within it.
        in_flight_s = files.in_flight_for_s(name, in_flight_of(undo), unmarked=report.remote)
        if is_command(undo) and not (report.hung or report.remote) and in_flight_s > 0:
            end_left(undo.data)
        # From now on, not from when it was taken out the first time: that may take as long as the call.
        in_flight_until_s = time.monotonic() + in_flight_s if in_flight_s > 0 else 0.0
        one = OpenFault(files, name, files.moved(undo), run, written_ns, in_flight_until_s)
        if report.remote and is_command(undo):
            one.left_alone = "it acts by commands, on the machine of its run"
        elif not is_command(undo):
            one.left_alone = report.owner_unknown
        found.append(one)
    return found


async def _heal_commands(report: Healed, by: Who) -> None:
    """Take out what acts by commands, where nothing else is known of a run."""
    found = newest_first(_opened(report, None))
    commands = [one for one in found if one.by_commands]
    await TakingOut(commands, (), final=not report.hung).go()
    if not report.hung:
        _write_down(dict.fromkeys(commands, report), by)
    report.left += [f"the fault {one.undo.fault!r}: its stack is not known" for one in found if one not in commands]


async def _heal_stack(group: Sequence[tuple[Healed, RunUndo]], by: Who, *, final: bool) -> None:
    """Heal the runs of one stack."""
    of_run = {one: report for report, run in group for one in _opened(report, run)}
    found = {one: of_run[one] for one in newest_first(list(of_run))}
    await TakingOut(list(found), [run for _, run in group], final=final).go()
    if final:
        _write_down(found, by)
        for report, run in group:
            missing = missing_undo(report.run)
            if missing and await _stack_is_gone([run for _, run in group]):
                missing = [one for one in missing if one.is_command]  # the others are gone with it
            report.left += map(str, missing)
            await _ended(report, run, by)
        return
    for one, report in found.items():
        if one.evidence is None:
            report.left.append(f"the fault {one.undo.fault!r}: {one.left_alone or one.why}")
        else:
            report.taken_out.append(one.undo.fault)


async def _stack_is_gone(runs: Sequence[RunUndo]) -> bool:
    async with reached(runs, removes=True) as stack:
        return stack.gone is not None


def _write_down(found: Mapping[OpenFault, Healed], by: Who) -> None:
    """Write down what was measured to be gone, the newest first; nothing that lies below what stays open."""
    staying: list[OpenFault] = []
    for one, report in found.items():
        above = [other for other in staying if one.overlaps(other)]
        staying.append(one)
        why = _unknown_here(one, report) or (one.why if one.evidence is None else None)
        if why is not None or one.evidence is None:
            report.left.append(f"the fault {one.undo.fault!r}: {why}")
            continue
        if above:
            over = above[-1].undo.fault
            report.left.append(f"the fault {one.undo.fault!r}: it is out, and to be taken out again after {over!r}")
            continue
        try:
            one.files.write_gone(one.name, one.undo.fault, by, one.evidence)
        except HarnessError as error:
            report.left.append(f"the fault {one.undo.fault!r} is out, and that cannot be written down: {error}")
        else:
            report.taken_out.append(one.undo.fault)
            staying.pop()


def _unknown_here(one: OpenFault, report: Healed) -> str | None:
    """Return why it cannot be known here that a fault is out; None where it can."""
    if one.left_alone is None and report.remote and "kept" in one.undo.data:
        return "what it changed last is known in the folder of its run alone"
    return one.left_alone


async def _ended(report: Healed, run: RunUndo, by: Who) -> None:
    """Give back, or remove, the stack of a run of which nothing is in any more, and write that down."""
    files = UndoFiles(report.run)
    if report.left or files.open():
        return
    try:
        if run.backend != "local":
            await asyncio.to_thread(given_back, run)
        files.write_ended(by)
    except HarnessError as error:
        report.left.append(str(error))
