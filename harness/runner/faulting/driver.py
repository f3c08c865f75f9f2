"""The life of one fault: undo recorded, injected, confirmed again and again, reverted, measured to be absent.

Every step has a deadline. A failure is written into the journal and the run goes on; the judge then treats the fault as
unconfirmed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from harness.journal.writer import JournalWriter
from harness.model.errors import FaultError, HarnessError, JournalError
from harness.model.fault import Confirmation, Fault
from harness.model.faultstep import FaultStep
from harness.model.hitrows import HitRow
from harness.model.readings import FaultSeen, FaultStage, Hit, Undo

PREPARE_S = 5.0
SEND_UNDO_S = 15.0
INJECT_S = 5.0
CONFIRM_S = 8.0
REVERT_S = 5.0
ABSENT_S = 5.0
CONFIRM_EVERY_S = 0.5
ABSENT_EVERY_S = 0.02
HEAL_S = 15.0
"""How long a run may take, at its end, to take out what is still in."""
SLACK_S = 30.0
"""Beyond all limits: a fault that is in for longer has been forgotten."""
T = TypeVar("T")


class OpenUndo(Protocol):
    """The undo of a fault that is in."""

    async def send_heartbeat(self) -> None:
        """Send it to the guard in a container, if there is one, with a heartbeat. Raises BackendError."""

    def in_flight(self, on: bool, /) -> None:
        """Write down whether a call that puts it in, or takes it out, may be in flight. Raises JournalError."""

    def gone(self, evidence: Mapping[str, Any], /) -> None:
        """Write down that the fault was measured to be gone. Raises JournalError."""


Before = Callable[[FaultStep, Mapping[str, Any], float], Awaitable[OpenUndo]]
"""Writes down, before a fault goes in, how it is taken out, and for how long it is in at the most.

Once that is written it awaits nothing more: who is cancelled there would not get what must be closed.
"""


class Driver:
    """Drives one fault of one run."""

    def __init__(
        self,
        step: FaultStep,
        fault: Fault,
        journal: JournalWriter,
        now_event: Callable[[], int | None],
        hit: Callable[[HitRow], None],
        look: Callable[[], Awaitable[None]],
        before: Before,
        call_limit_s: float | None = None,
        untold: str | None = None,
        covered_by: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`look` polls the alert sources once, now; `hit` is called for every changed row; `before` is awaited
        just before the injection.

        `call_limit_s` replaces the usual limits of each call, for kinds of faults that are slow. `untold` says why the
        manifest may not have all that the fault changes. `covered_by` names a newer fault that could not be taken out
        and may bring this one back.
        """
        self._step = step
        self._fault = fault
        self._journal = journal
        self._now_event = now_event
        self._on_hit = hit
        self._look = look
        self._before = before
        self._open: OpenUndo | None = None
        self._call_limit_s = call_limit_s or 0.0
        self._untold = untold
        self._undo: dict[str, Any] | None = None
        self._begun = False
        self._covered_by = covered_by
        self._reverting = asyncio.Lock()
        self.is_stuck = False
        """Whether its last revert has failed, or was broken off."""
        self.reverted = False
        self.reverted_at_s: float | None = None

    @property
    def step(self) -> FaultStep:
        """The fault in the plan."""
        return self._step

    @property
    def needs_revert(self) -> bool:
        """Whether the fault may be active: its undo is open."""
        return self._begun and not self.reverted

    @property
    def revert_within_s(self) -> float:
        """How long a revert of a slow fault may take, with the measurement that it is gone; 0 for the usual ones."""
        if not self._call_limit_s:
            return 0.0
        return 2 * self._limit_s(REVERT_S) + ABSENT_S + self._limit_s(ABSENT_S)

    async def prepare(self) -> bool:
        """Record the undo before the injection. Returns whether that was possible."""
        try:
            await self._prepare()
        except JournalError:
            raise
        except HarnessError as error:
            self._failed("prepare", error)
            return False
        return True

    async def _prepare(self) -> None:
        undo = await _within(self._limit_s(PREPARE_S), "preparing", self._fault.prepare())
        step = self._step
        self._journal.write(
            Undo(
                fault=step.id,
                fault_kind=step.fault,
                target=step.target.model_dump(exclude_none=True),
                parameters=step.parameters,
                data=undo,
            )
        )
        self._undo = undo

    async def run(self) -> None:
        """Inject, confirm until the duration is over, revert. Never raises HarnessError: the journal gets it."""
        try:
            await self._look()
            assert self._undo is not None
            self._open = await self._before(self._step, self._undo, self._in_for_s())
            # From here on the undo is open, and closes only by a measured absence, wherever this is cut off.
            self._begun = True
            await _within(SEND_UNDO_S, "sending its undo to the guard in a container", self._open.send_heartbeat())
            lo_s = self._journal.now_s()
            self._record("injecting", lo_s)
            # An alert that is absent now cannot have begun to fire before the injection.
            await self._look()
            self._open.in_flight(True)
            if self._untold is not None:
                self._journal.write(Hit(fault=self._step.id, rows=(), untold=self._untold))
            await _within(self._limit_s(INJECT_S), "injecting", self._fault.inject())
            self._open.in_flight(False)  # a call that was given up on may be in flight yet
            self._record("injected", lo_s)
            try:
                until_s = lo_s + self._step.duration
                async with asyncio.timeout(max(0.0, until_s - self._journal.now_s())):
                    await self._confirm(until_s)
            except TimeoutError:
                pass
        except HarnessError as error:
            self._failed("inject", error)
        await self.revert()

    async def _confirm(self, until_s: float) -> None:
        confirmed = False
        # The time-out around this cancels once; if a library swallows that, the clock still ends the fault.
        while self._journal.now_s() < until_s:
            began_s = self._journal.now_s()
            try:
                confirmation = await _within(self._limit_s(CONFIRM_S), "confirming", self._fault.confirm())
            except HarnessError as error:
                confirmation = Confirmation(None, {"error": str(error)})
            self._manifest()
            stage: FaultStage = "confirmed" if confirmation.landed and not confirmed else "effect"
            confirmed = confirmed or stage == "confirmed"
            self._record(stage, began_s, confirmation)
            pause_s = CONFIRM_EVERY_S if confirmed else 0.05
            await asyncio.sleep(max(0.0, began_s + pause_s - self._journal.now_s()))

    async def revert(self) -> None:
        """Revert the fault and wait until it is measured to be absent. May be called again, also meanwhile."""
        # Of two reverts at once the later one could bring back what the revert of an older fault took out in between.
        async with self._reverting:
            if not self.needs_revert or self._undo is None:
                return
            try:
                await self._revert(self._undo)
            finally:
                self.is_stuck = not self.reverted

    async def _revert(self, undo: dict[str, Any]) -> None:
        lo_s = self._journal.now_s()
        with contextlib.suppress(JournalError):  # a full disk must not keep the fault active
            self._record("reverting", lo_s)
        assert self._open is not None
        with contextlib.suppress(JournalError):
            self._open.in_flight(True)
        try:
            await _within(self._limit_s(REVERT_S), "reverting", self._fault.revert(undo))
            confirmation = await self._wait_until_absent(lo_s)
            self._mind_what_lies_on_it()
        except HarnessError as error:
            self._manifest()
            self._failed("revert", error)
            return
        self.reverted = True
        self.reverted_at_s = self._journal.now_s()
        self._manifest()
        self._record("reverted", lo_s, confirmation)
        with contextlib.suppress(JournalError):  # then it counts as open, and is taken out once more
            self._open.gone(confirmation.evidence)

    def _mind_what_lies_on_it(self) -> None:
        """Raise FaultError where a newer fault is left in: to take that one out later may bring this one back."""
        newer = self._covered_by()
        if newer is None:
            return
        assert self._open is not None
        with contextlib.suppress(JournalError):
            self._open.in_flight(False)
        raise FaultError(f"it is out, and to be taken out again after {newer!r}")

    def _in_for_s(self) -> float:
        calls_s = self._limit_s(INJECT_S) + self._limit_s(REVERT_S) + self._limit_s(ABSENT_S)
        return self._step.duration + calls_s + HEAL_S + SLACK_S

    async def _wait_until_absent(self, since_s: float) -> Confirmation:
        while True:
            confirmation = await _within(self._limit_s(ABSENT_S), "measuring its absence", self._fault.absent())
            if confirmation.landed is False:
                return confirmation
            if self._journal.now_s() > since_s + self._limit_s(REVERT_S) + ABSENT_S:
                raise FaultError(f"still active after its revert: {confirmation.evidence}")
            await asyncio.sleep(ABSENT_EVERY_S)

    def _limit_s(self, usual_s: float) -> float:
        return max(usual_s, self._call_limit_s)

    def _manifest(self) -> None:
        rows = self._fault.manifest()
        if rows:
            self._journal.write(Hit(fault=self._step.id, rows=tuple(rows)))
            for row in rows:
                self._on_hit(HitRow.of(row, self._step.target.dataset))

    def _record(self, stage: FaultStage, lo_s: float, confirmation: Confirmation | None = None) -> None:
        self._journal.write(
            FaultSeen(
                fault=self._step.id,
                stage=stage,
                lo_s=lo_s,
                hi_s=self._journal.now_s(),
                at_event=self._now_event(),
                landed=confirmation.landed if confirmation is not None else None,
                evidence=confirmation.evidence if confirmation is not None else {},
            )
        )

    def _failed(self, doing: str, error: HarnessError) -> None:
        self._journal.write(failed_stage(self._step, doing, str(error), self._journal.now_s()))


def failed_stage(step: FaultStep, doing: str, why: str, at_s: float) -> FaultSeen:
    """Return the record of a fault that has failed."""
    return FaultSeen(fault=step.id, stage="failed", lo_s=at_s, hi_s=at_s, evidence={"doing": doing, "error": why})


async def bounded(limit_s: float, doing: str, call: Awaitable[T], error: type[HarnessError]) -> T:
    """Await a call for a limited time. Raises `error` where it takes longer."""
    try:
        async with asyncio.timeout(limit_s):
            return await call
    except TimeoutError:
        raise error(f"{doing} took longer than {limit_s:g} s") from None


async def _within(limit_s: float, doing: str, call: Awaitable[T]) -> T:
    try:
        return await bounded(limit_s, doing, call, FaultError)
    except HarnessError:
        raise
    except Exception as error:  # a bug in a fault, perhaps of a third party: the run must be able to heal
        raise FaultError(f"{doing} failed: {type(error).__name__}: {error}") from error
