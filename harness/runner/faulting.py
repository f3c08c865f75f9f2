"""One fault through its life: undo written, injected, confirmed again and again, reverted, seen to be gone.

Every step has a deadline. What goes wrong is written down and the run goes on to heal; the judge then knows that
nothing can rest on this fault.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from harness.journal.writer import JournalWriter
from harness.model.errors import FaultError, HarnessError, JournalError
from harness.model.fault import Confirmation, Fault
from harness.model.readings import FaultSeen, FaultStage, Hit, Undo
from harness.model.scenario import FaultStep

PREPARE_S = 5.0
INJECT_S = 5.0
CONFIRM_S = 8.0
REVERT_S = 5.0
ABSENT_S = 5.0
CONFIRM_EVERY_S = 0.5
ABSENT_EVERY_S = 0.02
T = TypeVar("T")


class Driver:
    """Drives one fault of one run."""

    def __init__(
        self,
        step: FaultStep,
        fault: Fault,
        journal: JournalWriter,
        now_event: Callable[[], int | None],
        hit: Callable[[tuple[str, int, str]], None],
        look: Callable[[], Awaitable[None]],
        call_limit_s: float | None = None,
    ) -> None:
        """`look` polls the alert sources once, now; `hit` is told of every row that was changed.

        A fault of a kind that takes its time has a `call_limit_s` of its own for each call.
        """
        self._step = step
        self._fault = fault
        self._journal = journal
        self._now_event = now_event
        self._on_hit = hit
        self._look = look
        self._call_limit_s = call_limit_s or 0.0
        self._undo: dict[str, Any] | None = None
        self._begun = False
        self.reverted = False
        self.reverted_at_s: float | None = None

    @property
    def needs_revert(self) -> bool:
        """Whether the fault may be in."""
        return self._begun and not self.reverted

    async def prepare(self) -> bool:
        """Write down how to take the fault out, before it goes in. Returns whether that was possible."""
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
        """Inject, confirm until the fault's time is over, revert. Never raises HarnessError: it is written down."""
        try:
            await self._look()
            lo_s = self._journal.now_s()
            self._say("injecting", lo_s)
            self._begun = True
            await _within(self._limit_s(INJECT_S), "injecting", self._fault.inject())
            self._say("injected", lo_s)
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
        # The time-out around this cancels once; should a library swallow that, the clock still ends the fault.
        while self._journal.now_s() < until_s:
            began_s = self._journal.now_s()
            try:
                landing = await _within(self._limit_s(CONFIRM_S), "confirming", self._fault.confirm())
            except HarnessError as error:
                landing = Confirmation(None, {"error": str(error)})
            self._manifest()
            stage: FaultStage = "confirmed" if landing.landed and not confirmed else "effect"
            confirmed = confirmed or stage == "confirmed"
            self._say(stage, began_s, landing)
            pause_s = CONFIRM_EVERY_S if confirmed else 0.05
            await asyncio.sleep(max(0.0, began_s + pause_s - self._journal.now_s()))

    async def revert(self) -> None:
        """Take the fault out and wait until it is measured to be gone. May be called again."""
        if not self.needs_revert or self._undo is None:
            return
        lo_s = self._journal.now_s()
        with contextlib.suppress(JournalError):  # a disk that is full must not keep the fault in
            self._say("reverting", lo_s)
        try:
            await _within(self._limit_s(REVERT_S), "reverting", self._fault.revert(self._undo))
            landing = await self._gone(lo_s)
        except HarnessError as error:
            self._manifest()
            self._failed("revert", error)
            return
        self.reverted = True
        self.reverted_at_s = self._journal.now_s()
        self._manifest()
        self._say("reverted", lo_s, landing)

    async def _gone(self, since_s: float) -> Confirmation:
        while True:
            landing = await _within(self._limit_s(ABSENT_S), "looking whether it is gone", self._fault.absent())
            if landing.landed is False:
                return landing
            if self._journal.now_s() > since_s + self._limit_s(REVERT_S) + ABSENT_S:
                raise FaultError(f"still there after its revert: {landing.evidence}")
            await asyncio.sleep(ABSENT_EVERY_S)

    def _limit_s(self, usual_s: float) -> float:
        return max(usual_s, self._call_limit_s)

    def _manifest(self) -> None:
        rows = self._fault.manifest()
        if rows:
            self._journal.write(Hit(fault=self._step.id, rows=tuple(rows)))
            for row in rows:
                with contextlib.suppress(KeyError, TypeError, ValueError):  # a row that is not told apart by event time
                    self._on_hit((str(row.get("entity")), int(row["event_time"]), str(row["field"])))

    def _say(self, stage: FaultStage, lo_s: float, landing: Confirmation | None = None) -> None:
        self._journal.write(
            FaultSeen(
                fault=self._step.id,
                stage=stage,
                lo_s=lo_s,
                hi_s=self._journal.now_s(),
                at_event=self._now_event(),
                landed=landing.landed if landing is not None else None,
                evidence=landing.evidence if landing is not None else {},
            )
        )

    def _failed(self, doing: str, error: HarnessError) -> None:
        at_s = self._journal.now_s()
        evidence = {"doing": doing, "error": str(error)}
        self._journal.write(FaultSeen(fault=self._step.id, stage="failed", lo_s=at_s, hi_s=at_s, evidence=evidence))


async def _within(limit_s: float, doing: str, call: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(limit_s):
            return await call
    except TimeoutError:
        raise FaultError(f"{doing} took longer than {limit_s:g} s") from None
    except HarnessError:
        raise
    except Exception as error:  # a mistake in a fault, perhaps in somebody else's: the run must be able to heal
        raise FaultError(f"{doing} failed: {type(error).__name__}: {error}") from error
