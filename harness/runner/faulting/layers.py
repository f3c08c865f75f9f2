"""Which faults of a run lie on which, and the order in which they come out: the newest first.

A fault that went in later may have taken an older one's effect for the original state. Its revert brings that back, so
the older one must be reverted after it. Faults that have nothing in common come out side by side: one that hangs keeps
none of the others in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from harness.faults.overlap import may_overlap
from harness.model.errors import BackendError
from harness.model.stack import StackDescription
from harness.runner.faulting.driver import Driver, bounded


class Layers:
    """The faults of one run."""

    def __init__(self, stack: StackDescription, in_order: Callable[[], Sequence[str]]) -> None:
        """`in_order` returns the faults of which an undo is open, the oldest first."""
        self._stack = stack
        self._in_order = in_order
        self.drivers: dict[str, Driver] = {}

    def covered_by(self, fault: str) -> str | None:
        """Return the newest fault that may lie on this one and could not be taken out: its revert is yet to come."""
        above = self._above(fault, self.left())
        return next((driver.step.id for driver in reversed(above) if driver.is_stuck), None)

    def left(self) -> list[Driver]:
        """Return the drivers of the faults that may be in, the oldest first."""
        order = {fault: number for number, fault in enumerate(self._in_order())}
        left = [driver for driver in self.drivers.values() if driver.needs_revert]
        return sorted(left, key=lambda driver: order.get(driver.step.id, len(order)))

    def _above(self, fault: str, left: Sequence[Driver]) -> list[Driver]:
        ids = [driver.step.id for driver in left]
        if fault not in ids:
            return []
        at = ids.index(fault)
        return [other for other in left[at + 1 :] if may_overlap(left[at].step, self._stack, other.step, self._stack)]

    async def revert_all(self, each_s: float) -> None:
        """Revert what is in, each fault after all newer ones that may lie on it, however that has ended.

        Each has `each_s`, or the limit of its own that is longer. Raises the first error, once all were tried.
        """
        left = self.left()
        going: dict[str, asyncio.Task[None]] = {}
        for driver in reversed(left):
            above = [going[other.step.id] for other in self._above(driver.step.id, left)]
            going[driver.step.id] = asyncio.create_task(_revert_after(above, driver, _limit_s(driver, each_s)))
        for outcome in await asyncio.gather(*going.values(), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def within_s(self, each_s: float) -> float:
        """Return how long that may take: as long as the slowest row of faults of which one lies on the other."""
        left = self.left()
        until_s: dict[str, float] = {}
        for driver in reversed(left):
            above_s = [until_s[other.step.id] for other in self._above(driver.step.id, left)]
            until_s[driver.step.id] = max(above_s, default=0.0) + _limit_s(driver, each_s)
        return max(until_s.values(), default=each_s)


def _limit_s(driver: Driver, each_s: float) -> float:
    return max(each_s, driver.revert_within_s)


async def _revert_after(above: Sequence[asyncio.Task[None]], driver: Driver, limit_s: float) -> None:
    if above:
        await asyncio.wait(above)
    await bounded(limit_s, f"healing {driver.step.id!r}", driver.revert(), BackendError)
