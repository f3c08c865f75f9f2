"""Takes the open faults of one stack out in one order, the newest first, whatever they act by.

The newer one may have taken the older one's effect for the original state, and brings it back when it is reverted. So
what lies below one that came out late is taken out once more. What commands did is measured last, after all that was
reverted below.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.faults.overlap import may_overlap
from harness.guard.reverting import command_gone, is_command, taken_out
from harness.guard.stacks import Reached, reached
from harness.journal.undo import UndoFiles
from harness.model.errors import HarnessError
from harness.model.undo import FaultUndo, RunUndo

PASSES = 3
"""How often each fault is tried: one that lies on another comes out only after it."""

EVERY_S = 1.0
LONGEST_S = 120.0
"""How often a fault is looked at that a call of the dead owner may yet put in; one by commands only at the end."""


@dataclass(eq=False)
class OpenFault:
    """One fault that is open."""

    files: UndoFiles
    name: str
    undo: FaultUndo
    run: RunUndo | None
    """None where that cannot be read: commands need no more than their own undo."""
    written_ns: int
    """When it was written, and never before an older one of its run: clocks are set back."""
    in_flight_until_s: float = 0.0
    """Until when a call of the dead owner on it may still be in flight; 0 where none is."""
    left_alone: str | None = None
    """Why it is not tried here, where that is so."""
    evidence: dict[str, Any] | None = None
    """That it is gone, as it was measured; None where it is in."""
    began_s: float = 0.0
    """When it was last tried."""
    why: str = ""
    """Why it is not out."""

    @property
    def by_commands(self) -> bool:
        """Whether it acts by commands, which need no stack."""
        return is_command(self.undo)

    @property
    def in_flight(self) -> bool:
        """Whether a call of the dead owner was in flight when it was last tried, which may put it in again."""
        return self.in_flight_until_s > self.began_s

    def overlaps(self, other: OpenFault) -> bool:
        """Whether both may act on the same."""
        if self.run is None or other.run is None:
            return True
        return may_overlap(self.undo.step, self.run.stack, other.undo.step, other.run.stack)


def newest_first(found: Sequence[OpenFault]) -> list[OpenFault]:
    """Return faults in the order in which they come out: in one run by number, across runs by time."""
    return sorted(found, key=lambda one: (one.written_ns, one.undo.n), reverse=True)


class TakingOut:
    """Takes out the faults of one stack, and measures that they are gone."""

    def __init__(self, found: Sequence[OpenFault], runs: Sequence[RunUndo], *, final: bool) -> None:
        """`found`: the newest first. `runs`: those of the stack. `final`: the runs are dead, and do not go on."""
        tried = [one for one in found if one.left_alone is None]
        self._inside = [one for one in tried if not one.by_commands]
        self._commands = [one for one in tried if one.by_commands]
        self._runs = runs
        self._final = final
        self._removes = final and bool(runs) and runs[0].owned
        # What is removed with its stack brings nothing back, and commands may need the stack.
        self._all = self._commands + self._inside if self._removes else tried

    async def go(self) -> None:
        """Take out what is in, and again what a call of a dead owner may still be putting in."""
        began_s = time.monotonic()
        await self._passes(self._all)
        if not self._final:
            return
        took_s = time.monotonic() - began_s
        if in_flight := [one for one in self._inside if one.in_flight]:
            # Commands may take long: what acts in the stack does not wait for them.
            await self._settle(self._inside, lambda: self._passes(self._inside), EVERY_S, took_s)
            if commands := [one for one in _tied(in_flight, self._all) if one.by_commands]:
                _are_in(commands)
                await self._passes(self._all)
        await self._settle(self._commands, lambda: self._passes(self._all), LONGEST_S, took_s)

    async def _settle(
        self, found: Sequence[OpenFault], take_out: Callable[[], Awaitable[None]], every_s: float, took_s: float
    ) -> None:
        """Take out again and again until each was tried once when all calls of the dead owner had to be over.

        `took_s` is how long that took the last time.
        """
        while in_flight := [one for one in found if one.in_flight]:
            left_s = max(one.in_flight_until_s for one in in_flight) - time.monotonic()
            # One that cannot be done before the end would be for nothing.
            await asyncio.sleep(every_s if left_s > every_s + took_s else max(0.0, left_s))
            _are_in(_tied(in_flight, self._inside if found is self._inside else self._all))
            began_s = time.monotonic()
            await take_out()
            took_s = time.monotonic() - began_s

    async def _passes(self, found: Sequence[OpenFault]) -> None:
        for _ in range(PASSES):
            if all(one.evidence is not None for one in found):
                return
            async with _Session(self._runs, removes=self._final) as session:
                await _one_pass(found, session)


def _tied(these: Sequence[OpenFault], among: Sequence[OpenFault]) -> list[OpenFault]:
    """Return these, and all that may have to be taken out again once they are."""
    tied = list(these)
    for one in tied:  # which grows meanwhile
        tied += [other for other in among if other not in tied and other.overlaps(one)]
    return tied


def _are_in(these: Sequence[OpenFault]) -> None:
    for one in these:
        one.evidence = None


class _Session:
    """The stack as a pass reaches it, once it is needed, and anew after commands: they may have moved it."""

    def __init__(self, runs: Sequence[RunUndo], *, removes: bool) -> None:
        self._runs = runs
        self._removes = removes
        self._open = contextlib.AsyncExitStack()
        self._stack: Reached | None = None

    async def __aenter__(self) -> _Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def stack(self) -> Reached:
        if self._stack is None:
            self._stack = await self._open.enter_async_context(reached(self._runs, removes=self._removes))
        return self._stack

    async def leave(self) -> None:
        self._stack = None
        with contextlib.suppress(HarnessError):  # what was measured counts, though the engine is gone by now
            await self._open.aclose()


async def _one_pass(found: Sequence[OpenFault], session: _Session) -> None:
    """Try each that is in, and each that lies below one that came out; then measure commands that were out before."""
    changed: list[OpenFault] = []
    for one in found:
        to_do = one.evidence is None or any(one.overlaps(above) for above in changed)
        if to_do and await _reverted(one, session):
            changed.append(one)
    for k, one in enumerate(found):
        if one.by_commands and any(below in changed and one.overlaps(below) for below in found[k + 1 :]):
            await _measure_again(one)


async def _reverted(one: OpenFault, session: _Session) -> bool:
    """Take one out; return whether that put back what it had found."""
    one.evidence, one.began_s = None, time.monotonic()
    seams, problem = None, None
    try:
        if one.by_commands:
            await session.leave()
        else:
            stack = await session.stack()
            if stack.gone is not None:
                one.evidence, one.in_flight_until_s = {"stack": stack.gone}, 0.0
                return False
            if one.run is not None:
                seams, problem = stack.seams_of(one.run), stack.problem_of(one.run)
            one.began_s = time.monotonic()
        one.evidence = await taken_out(one.undo, seams, one.run.seed if one.run is not None else 0)
    except HarnessError as error:
        one.why = f"{error}" if problem is None else f"{problem}; {error}"
        return False
    return True


async def _measure_again(one: OpenFault) -> None:
    if one.evidence is None:
        return
    try:
        one.evidence = await command_gone(one.undo)
    except HarnessError as error:
        one.evidence, one.why = None, f"after older ones were taken out: {error}"
