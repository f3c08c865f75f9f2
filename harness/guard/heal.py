"""Heals runs from their undo alone: takes out every fault that is open, newest first, and gives the stack back.

The faults of all runs on one stack are healed together, for the newer one may have taken the older one's effect for the
original state. One that cannot be taken out keeps none of the others in; what lies below one that came out late is
taken out once more. What is healed is written down, with what was measured, so that nothing is healed twice. A run
whose owner lives is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.faults.command import end_left
from harness.guard.beside import spoken_for
from harness.guard.reverting import in_flight_of, is_command, taken_out
from harness.guard.stacks import GIVEN_BACK, REMOVED, Reached, given_back, not_to_be_healed, reached
from harness.journal import undo_folder
from harness.journal.owner import is_copy, owner_of, state_of
from harness.journal.undo import UndoFiles, Unreadable
from harness.model.errors import HarnessError
from harness.model.reach import services_hit
from harness.model.undo import FaultUndo, RunUndo, Who

PASSES = 3
"""How often each fault is tried: one that lies on another comes out only after it."""

EVERY_S = 1.0
LONGEST_S = 120.0
"""How often a fault is looked at that a call of the dead owner may yet put in; one by commands only at the end."""
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
    done_before: bool = False
    """Whether nothing was left to do."""
    hung: bool = False
    """Whether its owner hangs: it may go on, so that nothing is written down."""
    elsewhere: bool = False
    """Whether it is a run of another machine."""


@dataclass
class _Open:
    """One fault that is open."""

    files: UndoFiles
    name: str
    undo: FaultUndo
    run: RunUndo | None
    """None where that cannot be read: commands need no more than their own undo."""
    report: Healed
    busy_until_s: float = 0.0
    """Until when a call of the dead owner may still be at work on it; 0 where none is."""
    evidence: dict[str, Any] | None = None
    why: str = ""

    @property
    def known_elsewhere(self) -> str | None:
        """Why it cannot be known here to be out; None where it can."""
        if not self.report.elsewhere:
            return None
        if is_command(self.undo):
            return "it acts by commands, on the machine of its run"
        return "what it changed last is known in the folder of its run alone" if "kept" in self.undo.data else None


def heal(runs: Sequence[Path], by: Who, *, while_alive: bool = False, elsewhere: bool = False) -> list[Healed]:
    """Heal runs and return what became of each, in their order. Blocks. Raises nothing of the harness's own.

    Of a run whose owner hangs the faults are taken out, and stay open: it may go on. `while_alive` treats one whose
    owner lives in the same way. `elsewhere`: the runs are of another machine. What their commands did there, and the
    last of what they kept, are known there alone, so that such faults stay open.
    """
    with contextlib.ExitStack() as holding:
        reports = [_taken_on(Healed(Path(run), elsewhere=elsewhere), holding, while_alive=while_alive) for run in runs]
        mine = [report for report in reports if report.skipped is None and not report.done_before]
        groups: dict[tuple[str, str, bool, bool], list[tuple[Healed, RunUndo]]] = {}
        for report in mine:
            run = UndoFiles(report.run).run()
            if run is None:
                file = undo_folder.folder_of(report.run) / undo_folder.RUN
                asyncio.run(_heal_commands(report, by))
                report.left.append(f"{file}: not as it was written, so nobody knows where the run's stack is")
                continue
            if run.guard is not None and report.skipped is None:
                report.taken_out += holding.enter_context(spoken_for(report.run, run))
                report.done_before = undo_folder.has_ended(undo_folder.folder_of(report.run))
            if report.done_before:
                continue
            if report.skipped is None and (why := _refused(report, run)) is not None:
                report.done_before = why == GIVEN_BACK
                if report.done_before or not UndoFiles(report.run).open():
                    report.skipped = why
                else:  # nobody can take them out while the other run goes on, and they are not out
                    report.left.append(why)
                continue
            stack = run.project if run.backend != "local" and run.project is not None else str(report.run)
            groups.setdefault((run.backend, stack, run.owned, report.hung), []).append((report, run))
        for (*_, hung), group in groups.items():
            asyncio.run(_heal_stack(group, by, final=not hung))
    return reports


def _refused(report: Healed, run: RunUndo) -> str | None:
    """Return why a run must not be healed from this undo; what the engine does not tell stands with each fault."""
    try:
        return not_to_be_healed(run, copied=is_copy(undo_folder.folder_of(report.run)))
    except HarnessError:
        return None


def removed_with_its_stack(run: Path) -> None:
    """Write down that what a dead run had put into its stack is gone, for the stack was removed. Raises JournalError.

    What its commands did elsewhere stays open.
    """
    files = UndoFiles(run)
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
    if folder.is_dir() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        report.left.append(f"{folder}: it may be looked into and changed by its owner only; heal as that user")
        report.skipped = "it cannot be looked into"
        return report
    # Of a run of another machine the caller knows from what it hears; the clocks of two machines tell nothing.
    state = ("hung" if while_alive else "dead") if report.elsewhere else state_of(folder)
    report.hung = state == "hung" or (state == "alive" and while_alive)
    if state == "alive" and not while_alive:
        report.skipped = f"its owner, {owner_of(folder)}, is alive"
        return report
    if not holding.enter_context(_locked(folder / undo_folder.HEALING)):
        report.skipped = BUSY
    # Whoever held the lock just now may have healed it.
    report.done_before = undo_folder.has_ended(folder)
    return report


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """Hold the lock of a file; yields whether it is held."""
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # a folder that cannot be written is healed all the same
        yield True
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _opened(report: Healed, run: RunUndo | None) -> list[_Open]:
    """Return the faults of a run that are open; what cannot be read is left, and named."""
    files = UndoFiles(report.run)
    found = []
    for name in files.open():
        undo = files.fault(name)
        if isinstance(undo, Unreadable):
            report.left.append(str(undo))
        else:
            in_flight_s = in_flight_of(undo)
            busy_s = files.busy_for_s(name, in_flight_s)
            if is_command(undo) and not (report.hung or report.elsewhere) and busy_s > 0:
                end_left(undo.data)
            # From now on, not from when it was taken out the first time: that may take as long as the call.
            busy_until_s = time.monotonic() + busy_s if busy_s > 0 else 0.0
            found.append(_Open(files, name, files.moved(undo), run, report, busy_until_s))
    return found


async def _heal_commands(report: Healed, by: Who) -> None:
    """Take out what acts by commands, where nothing else is known of a run."""
    found = _opened(report, None)
    commands = [one for one in found if is_command(one.undo)]
    began_s = time.monotonic()
    await _passes(commands)
    if not report.hung:
        await _settle(commands, lambda: _passes(commands), began_s, LONGEST_S)
        _write_down(commands, commands, report, by)
    report.left += [f"the fault {one.undo.fault!r}: its stack is not known" for one in found if one not in commands]


async def _heal_stack(group: Sequence[tuple[Healed, RunUndo]], by: Who, *, final: bool) -> None:
    """Heal the runs of one stack."""
    found = [one for report, run in group for one in _opened(report, run)]
    found.sort(key=lambda one: (one.undo.written_ns, one.undo.n), reverse=True)
    runs = [run for _, run in group]
    for one in found:
        one.why = one.known_elsewhere or ""
    commands = [one for one in found if is_command(one.undo) and not one.report.elsewhere]
    inside = [one for one in found if not is_command(one.undo)]
    began_s = time.monotonic()
    await _passes(commands)
    began_inside_s = time.monotonic()
    await _passes_inside(inside, runs, final=final)
    if final:
        await _settle(inside, lambda: _passes_inside(inside, runs, final=final), began_inside_s, EVERY_S)
        await _settle(commands, lambda: _passes(commands), began_s, LONGEST_S)
        for report, run in group:
            _write_down([one for one in found if one.report is report], found, report, by)
            await _ended(report, run, by)
        return
    for one in found:
        if one.evidence is None:
            one.report.left.append(f"the fault {one.undo.fault!r}: {one.why}")
        else:
            one.report.taken_out.append(one.undo.fault)


async def _settle(
    found: Sequence[_Open], take_out: Callable[[], Awaitable[None]], began_s: float, every_s: float
) -> None:
    """Take out again and again what a call of the dead owner may still be putting in.

    `began_s` is when that was last begun. It ends with one that began when each such call had to be over.
    """
    took_s = time.monotonic() - began_s
    while busy := [one for one in found if one.busy_until_s > began_s]:
        left_s = max(one.busy_until_s for one in busy) - time.monotonic()
        # One that cannot be done before the end would be for nothing.
        await asyncio.sleep(every_s if left_s > every_s + took_s else max(0.0, left_s))
        for one in found:
            if any(one is other or _overlap(one, other) for other in busy):
                one.evidence = None
        began_s = time.monotonic()
        await take_out()
        took_s = time.monotonic() - began_s


async def _passes(found: Sequence[_Open]) -> None:
    for number in range(PASSES):
        await _one_pass(found, None, first=number == 0)
        if all(one.evidence is not None for one in found):
            return


async def _passes_inside(found: Sequence[_Open], runs: Sequence[RunUndo], *, final: bool) -> None:
    """Take out what acts in a stack, which is reached anew each time: addresses change when containers start."""
    for number in range(PASSES):
        async with reached(runs, removes=final) as stack:
            if stack.gone is not None:
                for one in found:
                    one.evidence, one.busy_until_s = {"stack": stack.gone}, 0.0
            elif found:
                await _one_pass(found, stack, first=number == 0)
        if all(one.evidence is not None for one in found):
            return


async def _one_pass(found: Sequence[_Open], stack: Reached | None, *, first: bool) -> None:
    """Try each fault that is in, the newest first, and again each that lies below one that came out only now."""
    late: list[_Open] = []
    for one in found:
        if one.evidence is not None and not any(_overlap(one, above) for above in late):
            continue
        again = one.evidence is not None
        seams, problem = None, None
        if stack is not None and one.run is not None:
            seams, problem = stack.seams_of(one.run), stack.problem_of(one.run)
        try:
            one.evidence = await taken_out(one.undo, seams, one.run.seed if one.run is not None else 0)
        except HarnessError as error:
            one.evidence = None
            one.why = f"{error}" if problem is None else f"{problem}; {error}"
        else:
            if not first and not again:
                late.append(one)


def _overlap(one: _Open, above: _Open) -> bool:
    if one.run is None or above.run is None:
        return True
    try:
        mine = services_hit(one.undo.step.target, one.run.stack)
        theirs = services_hit(above.undo.step.target, above.run.stack)
    except ValueError:  # what is given as a link is none: nobody can tell what it hits
        return True
    return not mine or not theirs or bool(mine & theirs)


def _write_down(mine: Sequence[_Open], all_of_stack: Sequence[_Open], report: Healed, by: Who) -> None:
    """Write down what was measured to be gone, the newest first; nothing that lies below what is still in."""
    for one in mine:
        if one.evidence is None or one.known_elsewhere is not None:
            report.left.append(f"the fault {one.undo.fault!r}: {one.known_elsewhere or one.why}")
            continue
        above = [
            other
            for other in all_of_stack
            if other.evidence is None
            and (other.undo.written_ns, other.undo.n) > (one.undo.written_ns, one.undo.n)
            and _overlap(one, other)
        ]
        if above:
            over = above[-1].undo.fault
            report.left.append(f"the fault {one.undo.fault!r}: it is out, and to be taken out again after {over!r}")
            continue
        try:
            one.files.write_gone(one.name, one.undo.fault, by, one.evidence)
            report.taken_out.append(one.undo.fault)
        except HarnessError as error:
            report.left.append(f"the fault {one.undo.fault!r} is out, and that cannot be written down: {error}")


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
